//! The terminal: taken over for as long as the picture is shown, and left as it was, however that ends.

use std::io::{self, IsTerminal as _, Stdout, Write as _};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::{cursor, execute, terminal};
use ratatui::backend::CrosstermBackend;
use ratatui::{Frame, Terminal};

use super::view::Look;

/// Whether the terminal is ours: what has to be given back by whoever comes first, the end or a panic.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// A terminal that is taken over.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

/// Why there is no terminal to draw on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoScreen {
    /// Standard output goes elsewhere.
    #[error(
        "standard output is no terminal; scripts use `plimsoll ctl`, or the API: /api/v1/upstreams of {0}"
    )]
    NoTerminal(String),
    /// The terminal cannot place text.
    #[error(
        "a terminal of TERM={0:?} cannot place text on the screen; use `plimsoll ctl`, or set TERM to what it is"
    )]
    Dumb(String),
}

/// Tells what the terminal on standard output can show; `variable` reads the environment.
pub(super) fn look(admin: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Look, NoScreen> {
    if !io::stdout().is_terminal() {
        return Err(NoScreen::NoTerminal(admin.to_owned()));
    }
    look_of(variable)
}

fn look_of(variable: impl Fn(&str) -> Option<String>) -> Result<Look, NoScreen> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let term = set("TERM").unwrap_or_default();
    if matches!(term.as_str(), "" | "dumb" | "unknown") {
        return Err(NoScreen::Dumb(term));
    }
    // The first of them that is set decides (POSIX, Base Definitions, section 8.2).
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default().to_lowercase();
    // Without any, as in many containers, the terminal is somebody's of today all the same.
    let unicode = locale.is_empty() || locale.contains("utf-8") || locale.contains("utf8");
    Ok(Look { colour: set("NO_COLOR").is_none(), unicode })
}

impl Screen {
    /// Takes over the terminal.
    pub(super) fn enter() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let earlier = std::panic::take_hook();
            // Before anything is said of the panic, and also where a panic ends the process at once.
            std::panic::set_hook(Box::new(move |panic| {
                leave();
                earlier(panic);
            }));
        });
        terminal::enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        // What is pasted comes as one event then, which nobody takes for keys that drain something.
        let screen =
            execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide, EnableBracketedPaste)
                .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        match screen {
            Ok(terminal) => Ok(Self { terminal }),
            Err(error) => {
                leave();
                Err(error)
            }
        }
    }

    /// Draws a picture: only what differs from the last one is written.
    pub(super) fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        execute!(io::stdout(), terminal::BeginSynchronizedUpdate)?;
        self.terminal.draw(picture)?;
        execute!(io::stdout(), terminal::EndSynchronizedUpdate)
    }

    /// Has the next picture written whole.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        // `Terminal::clear` would ask the terminal where its cursor is, and the answer would go to the keyboard's reader.
        let size = self.terminal.size()?;
        self.terminal.resize((ratatui::layout::Position::ORIGIN, size).into())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

/// Gives the terminal back, once.
fn leave() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // A terminal that is gone needs nothing; one that is there gets as much as it takes.
        let mut out = io::stdout();
        let _ = execute!(
            out,
            terminal::EndSynchronizedUpdate,
            DisableBracketedPaste,
            terminal::LeaveAlternateScreen,
            cursor::Show
        );
        let _ = out.flush();
        let _ = terminal::disable_raw_mode();
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;
    use std::process::Command;

    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::tcgetattr;

    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Look, NoScreen> {
        look_of(|name| {
            let set = variables.iter().find(|(known, _)| *known == name);
            set.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_terminal_shows_what_its_environment_says() {
        let look = |colour, unicode| Ok(Look { colour, unicode });
        assert_eq!(of(&[("TERM", "xterm")]), look(true, true));
        assert_eq!(of(&[("TERM", "xterm"), ("NO_COLOR", "1")]), look(false, true));
        assert_eq!(of(&[("TERM", "xterm"), ("NO_COLOR", "")]), look(true, true), "no-color.org: not empty");
        assert_eq!(of(&[("TERM", "linux"), ("LANG", "C")]), look(true, false));
        assert_eq!(of(&[("TERM", "linux"), ("LANG", "de_DE.UTF-8")]), look(true, true));
        assert_eq!(of(&[("TERM", "linux"), ("LANG", "de_DE.UTF-8"), ("LC_ALL", "POSIX")]), look(true, false));
    }

    #[test]
    fn a_terminal_that_cannot_place_text_is_refused() {
        for term in [&[("TERM", "dumb")][..], &[("TERM", "")], &[]] {
            let error = of(term).expect_err("refused").to_string();
            assert!(error.contains("plimsoll ctl"), "{error}");
        }
    }
    /// Set for the process that panics.
    const PANICS: &str = "PLIMSOLL_TEST_PANICS_ON_A_TERMINAL";

    const THIS_TEST: &str = "cli::top::screen::tests::a_panic_leaves_the_terminal_as_it_was";

    #[test]
    fn a_panic_leaves_the_terminal_as_it_was() {
        if std::env::var_os(PANICS).is_some() {
            let mut screen = Screen::enter().expect("there is a terminal");
            screen.draw(|_| panic!("a picture that cannot be drawn")).expect("it panics");
        }
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("a pseudo-terminal can be made");
        unlockpt(&master).expect("it is ours");
        let end = ioctl_tiocgptpeer(&master, flags).expect("it has another end");
        let modes = || format!("{:?}", tcgetattr(&end).expect("it has modes"));
        let before = modes();
        let another = || end.try_clone().expect("a descriptor can be copied");
        let status = Command::new("setsid")
            .arg("--ctty")
            .arg(std::env::current_exe().expect("a test has a program"))
            .args(["--exact", "--nocapture", THIS_TEST])
            .env(PANICS, "1")
            .stdin(another())
            .stdout(another())
            .stderr(another())
            .status()
            .expect("setsid of util-linux is everywhere");
        assert!(!status.success());
        assert_eq!(modes(), before, "keys are echoed again, and lines are edited");
        drop(end);
        let (mut said, mut chunk) = (Vec::new(), [0; 4096]);
        let mut master = File::from(master);
        // The end is an error: nobody has the other side any more.
        while let Ok(count @ 1..) = master.read(&mut chunk) {
            said.extend_from_slice(&chunk[..count]);
        }
        let said = String::from_utf8_lossy(&said);
        let (_, shown) = said.split_once("\x1b[?1049h").expect("the alternate screen is taken");
        let (_, after) = shown.split_once("\x1b[?1049l").expect("the alternate screen is left");
        assert!(after.contains("\x1b[?25h"), "the cursor is shown: {after}");
        assert!(after.contains("a picture that cannot be drawn"), "and why is said where it stays: {after}");
    }
}
