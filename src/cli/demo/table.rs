//! What the demo shows while it runs, as text: a table for a terminal, one line for anything else.
//!
//! It stands apart from the terminal so that its tests compare strings.

use super::recent::Figures;
use crossterm::style::Stylize as _;
use std::fmt::Write as _;
use std::time::Duration;

/// The state of a backend as the balancer's `/metrics` show it (`plimsoll_backend_state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The balancer did not answer, or does not know the backend.
    Unknown,
    /// Takes no traffic.
    Down,
    /// Takes its share.
    Up,
    /// Finishes what it has.
    Draining,
    /// Takes a growing share.
    SlowStart,
    /// Taken out because of its answers.
    Ejected,
}

/// One backend.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) name: String,
    /// The process id; None while there is no process.
    pub(super) pid: Option<u32>,
    pub(super) state: State,
    pub(super) figures: Figures,
    /// Failed requests since the start that name this backend.
    pub(super) errors: u64,
    /// Attempts on this backend that failed and were repeated on another, unnoticed by the client.
    pub(super) retried: u64,
    /// CPU usage of its process in percent of all CPUs, as its agent reports it.
    pub(super) cpu: Option<f64>,
}

/// Everything that is shown at one moment.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) elapsed: Duration,
    pub(super) duration: Duration,
    pub(super) rows: Vec<Row>,
    pub(super) total: Figures,
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) in_flight: usize,
    /// What happened, oldest first.
    pub(super) events: Vec<String>,
}

/// How many of the last events the table shows.
const EVENTS_SHOWN: usize = 5;

/// The width of the table without bars: it fits the narrowest usual terminal.
const WIDTH: usize = 80;

/// The longest bar, and the shortest that is worth drawing; its full length is the whole traffic.
const BAR_MAX: usize = 30;
const BAR_MIN: usize = 6;

impl State {
    /// Reads the number in `plimsoll_backend_state`.
    pub(super) fn of(value: Option<f64>) -> State {
        match value.map(|value| value as i64) {
            Some(0) => State::Down,
            Some(1) => State::Up,
            Some(2) => State::Draining,
            Some(3) => State::SlowStart,
            Some(4) => State::Ejected,
            _ => State::Unknown,
        }
    }

    /// The word for the state.
    pub(super) fn word(self) -> &'static str {
        match self {
            State::Unknown => "?",
            State::Down => "down",
            State::Up => "up",
            State::Draining => "draining",
            State::SlowStart => "slow start",
            State::Ejected => "ejected",
        }
    }
}

impl View {
    /// The table, line by line. With `colour`, states and failures stand out; from a certain number of `columns`
    /// on there is room for bars.
    pub(super) fn lines(&self, colour: bool, columns: usize) -> Vec<String> {
        let bar = Some(columns.saturating_sub(WIDTH + 1).min(BAR_MAX)).filter(|bar| *bar >= BAR_MIN);
        let space = bar.map_or_else(String::new, |bar| format!(" {:<bar$}", ""));
        let mut lines = vec![
            String::new(),
            format!(
                "{:<10} {:>7} {:<10} {:>6} {:>6}{space} {:>7} {:>7} {:>6} {:>7} {:>5}",
                "backend", "pid", "state", "rps", "share", "p50 ms", "p99 ms", "errors", "retried", "cpu %"
            ),
        ];
        lines.extend(self.rows.iter().map(|row| row.line(colour, bar)));
        let progress = format!("{:.0} of {:.0} s", self.elapsed.as_secs_f64(), self.duration.as_secs_f64());
        let Figures { rps, p50_ms, p99_ms, .. } = self.total;
        let (p50, p99) = (milliseconds(p50_ms), milliseconds(p99_ms));
        let failed = format!("{:>6}", self.failed);
        let failed = if colour && self.failed > 0 { failed.red().bold().to_string() } else { failed };
        let retried: u64 = self.rows.iter().map(|row| row.retried).sum();
        lines.push(format!(
            "{:<10} {progress:<18} {rps:>6.1} {:>6}{space} {p50} {p99} {failed} {retried:>7}",
            "total", ""
        ));
        lines.push(format!(
            "{} requests, {} failed, {} in flight",
            self.requests, self.failed, self.in_flight
        ));
        let first = self.events.len().saturating_sub(EVENTS_SHOWN);
        lines.extend(self.events[first..].iter().cloned());
        lines
    }

    /// The same on one line.
    pub(super) fn line(&self) -> String {
        let mut line = format!(
            "t={:.0}s rps={:.0} p99={} requests={} failed={}",
            self.elapsed.as_secs_f64(),
            self.total.rps,
            or_dash(self.total.p99_ms, "ms"),
            self.requests,
            self.failed
        );
        for row in &self.rows {
            let Figures { rps, share, p50_ms, p99_ms } = row.figures;
            let _ = write!(
                line,
                " | {} {} rps={rps:.0} share={:.1}% p50={} p99={} errors={} retried={} cpu={}",
                row.name,
                row.state.word(),
                share * 100.0,
                or_dash(p50_ms, "ms"),
                or_dash(p99_ms, "ms"),
                row.errors,
                row.retried,
                or_dash(row.cpu, "%")
            );
        }
        line
    }
}

impl Row {
    fn line(&self, colour: bool, bar: Option<usize>) -> String {
        let Figures { rps, share, p50_ms, p99_ms } = self.figures;
        let pid = self.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let state = format!("{:<10}", self.state.word());
        let state = match (colour, self.state) {
            (false, _) | (true, State::Unknown) => state,
            (true, State::Up) => state.green().to_string(),
            (true, State::Down) => state.red().bold().to_string(),
            (true, _) => state.yellow().to_string(),
        };
        let bar = bar.map_or_else(String::new, |length| {
            let filled = (share.clamp(0.0, 1.0) * length as f64).round() as usize;
            let bar = format!(" {:<length$}", "\u{2588}".repeat(filled));
            if colour { bar.blue().to_string() } else { bar }
        });
        let errors = format!("{:>6}", self.errors);
        let errors = if colour && self.errors > 0 { errors.red().to_string() } else { errors };
        format!(
            "{:<10} {pid:>7} {state} {rps:>6.1} {:>5.1}%{bar} {} {} {errors} {:>7} {}",
            self.name,
            share * 100.0,
            milliseconds(p50_ms),
            milliseconds(p99_ms),
            self.retried,
            self.cpu.map_or_else(|| format!("{:>5}", "-"), |cpu| format!("{cpu:>5.1}"))
        )
    }
}

fn or_dash(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}{unit}"))
}

fn milliseconds(value: Option<f64>) -> String {
    value.map_or_else(|| format!("{:>7}", "-"), |value| format!("{value:>7.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        let figures = Figures { rps: 150.0, share: 0.5, p50_ms: Some(0.71), p99_ms: Some(1.9) };
        let gone = Figures::default();
        let row = |n: u32, pid, state, figures, cpu| Row {
            name: format!("backend-{n}"),
            pid,
            state,
            figures,
            errors: 0,
            retried: u64::from(n == 1) * 3,
            cpu,
        };
        View {
            elapsed: Duration::from_secs(12),
            duration: Duration::from_secs(30),
            rows: vec![
                row(1, None, State::Down, gone, None),
                row(2, Some(4202), State::Up, figures, Some(3.25)),
                row(3, Some(4203), State::SlowStart, figures, Some(2.0)),
            ],
            total: Figures { rps: 300.0, ..figures },
            requests: 3600,
            failed: 0,
            in_flight: 1,
            events: (1..=7).map(|n| format!("{n} s  event")).collect(),
        }
    }

    #[test]
    fn the_table_shows_each_backend_the_totals_and_the_last_events() {
        insta::assert_snapshot!(view().lines(false, 120).join("\n"));
    }

    #[test]
    fn what_is_not_a_terminal_gets_one_line() {
        insta::assert_snapshot!(view().line());
    }

    #[test]
    fn a_narrow_terminal_shows_every_column_and_no_bars() {
        let lines = view().lines(false, 80);
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
        assert!(lines[1].ends_with("cpu %"), "{lines:#?}");
    }

    #[test]
    fn colour_changes_no_width() {
        let strip = |line: &str| {
            let parts = line.split('\u{1b}').enumerate();
            parts
                .map(|(n, part)| if n == 0 { part } else { part.split_once('m').unwrap().1 })
                .collect::<String>()
        };
        let coloured: Vec<String> = view().lines(true, 120).iter().map(|line| strip(line)).collect();
        assert_eq!(coloured, view().lines(false, 120));
        assert_ne!(view().lines(true, 120), view().lines(false, 120));
    }
}
