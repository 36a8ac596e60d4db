//! What is said on stderr while a run goes on: a line per second, and what is done when. Colours only on a terminal.

use loadtest::load::Observer;
use loadtest::progress;
use std::cell::Cell;
use std::convert::Infallible;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// From line to line.
const EVERY: Duration = Duration::from_secs(1);

/// How many lines there are from one header to the next on a terminal, where the first one scrolls away.
const HEADER_EVERY: usize = 25;

/// Where progress is shown.
pub(crate) struct Screen {
    quiet: bool,
    terminal: bool,
    lines: Cell<usize>,
}

impl Screen {
    /// Says nothing at all when `quiet`.
    pub(crate) fn new(quiet: bool) -> Screen {
        Screen { quiet, terminal: std::io::stderr().is_terminal(), lines: Cell::new(0) }
    }

    /// Writes one line.
    pub(crate) fn say(&self, line: &str) {
        self.write(line, "");
    }

    /// Writes a line that nobody should miss.
    pub(crate) fn stress(&self, line: &str) {
        self.write(line, "\x1b[1m");
    }

    /// Writes a line each second until it is dropped.
    pub(crate) async fn follow(&self, observer: &Observer) -> Infallible {
        let start = Instant::now();
        let mut ticks = interval_at(start + EVERY, EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let now = ticks.tick().await;
            let Some(window) = observer.take_window().filter(|_| !self.quiet) else { continue };
            let lines = self.lines.get();
            if lines == 0 || (self.terminal && lines.is_multiple_of(HEADER_EVERY)) {
                self.write(progress::HEADER, "\x1b[2m");
            }
            self.lines.set(lines + 1);
            let style = if progress::has_failures(&window) { "\x1b[31m" } else { "" };
            self.write(&progress::line(now - start, &window), style);
        }
    }

    /// Who does not read on is not asked to: the run is what matters.
    fn write(&self, line: &str, style: &str) {
        if self.quiet {
            return;
        }
        let mut err = std::io::stderr().lock();
        let _ = if self.terminal && !style.is_empty() {
            writeln!(err, "{style}{line}\x1b[0m")
        } else {
            writeln!(err, "{line}")
        };
    }
}
