//! A terminal with a program in it: a pseudo-terminal whose other end reads what a person would see, and presses keys.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use super::eventually_ok;

/// A terminal, and the program that was started in it. The program is killed when it is dropped.
pub(crate) struct Pty {
    keyboard: File,
    /// The program's end: open as long as the terminal is, as a shell has it.
    end: OwnedFd,
    child: Child,
    seen: Arc<Mutex<Seen>>,
    modes: Termios,
}

/// What has been written to the terminal.
struct Seen {
    screen: vt100::Parser,
    bytes: Vec<u8>,
}

impl Pty {
    /// Starts `plimsoll` with these arguments in a terminal of this size, with only these variables in its environment.
    #[track_caller]
    pub(crate) fn plimsoll(
        (columns, lines): (u16, u16),
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("a pseudo-terminal can be made");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("it is ours");
        let end = ioctl_tiocgptpeer(&master, flags).expect("it has another end");
        tcsetwinsize(&master, size(columns, lines)).expect("it has a size");
        let modes = tcgetattr(&end).expect("it has modes");
        let another = || end.try_clone().expect("a descriptor can be copied");
        let child = Command::new("setsid")
            // The program becomes the one that the terminal tells of signals and of its size.
            .args(["--ctty", env!("CARGO_BIN_EXE_plimsoll")])
            .args(arguments)
            .env_clear()
            .envs(environment.iter().copied())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(another())
            .stdout(another())
            .stderr(another())
            .spawn()
            .expect("setsid of util-linux is everywhere");
        let screen = vt100::Parser::new(some(lines), some(columns), 0);
        let seen = Arc::new(Mutex::new(Seen { screen, bytes: Vec::new() }));
        let keyboard = File::from(master);
        watch(keyboard.try_clone().expect("a descriptor can be copied"), Arc::clone(&seen));
        Self { keyboard, end, child, seen, modes }
    }

    /// Presses keys, as the bytes that a terminal sends for them.
    #[track_caller]
    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("somebody reads the keyboard");
    }

    /// Gives the terminal another size.
    #[track_caller]
    pub(crate) fn resize(&mut self, columns: u16, lines: u16) {
        self.with(|seen| seen.screen.screen_mut().set_size(some(lines), some(columns)));
        tcsetwinsize(&self.keyboard, size(columns, lines)).expect("it has a size");
    }

    /// What is on the screen, line by line.
    pub(crate) fn screen(&self) -> String {
        self.with(|seen| seen.screen.screen().contents())
    }

    /// Everything that was written so far.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.with(|seen| seen.bytes.clone())
    }

    /// Waits until the screen shows what `is` looks for, and returns the screen.
    #[track_caller]
    pub(crate) fn expect(&mut self, what: &str, is: impl Fn(&str) -> bool) -> String {
        eventually_ok(|| {
            let screen = self.screen();
            let shown = is(&screen);
            if shown {
                return Ok(screen);
            }
            let ended = self.child.try_wait().ok().flatten();
            Err(format!("the terminal shows {what} ({ended:?}):\n{screen}"))
        })
    }

    /// Waits until a line of the screen contains all of these.
    #[track_caller]
    pub(crate) fn expect_line(&mut self, parts: &[&str]) -> String {
        let is = |line: &str| parts.iter().all(|part| line.contains(part));
        self.expect(&format!("{parts:?} on a line"), |screen| screen.lines().any(is))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a child has a pid"), signal).expect("a child can be signalled");
    }

    /// Waits for the program to end by itself.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually_ok(|| {
            let status = self.child.try_wait().expect("a child can be waited for");
            status.ok_or_else(|| format!("the program ends:\n{}", self.screen()))
        })
    }

    /// Waits until the terminal is as it was before the program: its own screen, its cursor, its modes.
    #[track_caller]
    pub(crate) fn expect_restored(&self) {
        eventually_ok(|| {
            let (alternate, hidden) = self.with(|seen| {
                let screen = seen.screen.screen();
                (screen.alternate_screen(), screen.hide_cursor())
            });
            let modes = tcgetattr(&self.end).expect("it has modes");
            let same = format!("{modes:?}") == format!("{:?}", self.modes);
            let restored = !alternate && !hidden && same;
            restored.then_some(()).ok_or_else(|| {
                format!("alternate screen: {alternate}, cursor hidden: {hidden}, modes as before: {same}")
            })
        });
    }

    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn some(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("a terminal has lines and columns")
}

fn size(columns: u16, lines: u16) -> Winsize {
    Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// Reads what is written, until nobody has the other end any more.
fn watch(mut terminal: File, seen: Arc<Mutex<Seen>>) {
    thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        while let Ok(count @ 1..) = terminal.read(&mut bytes) {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.screen.process(&bytes[..count]);
            seen.bytes.extend_from_slice(&bytes[..count]);
        }
    });
}
