//! What a helper program owes to the program that started it: to say where it listens, to end when it is asked, and
//! not to outlive it.
//!
//! One module for the agent and the demo backend, because `plimsoll demo` starts and reads both in the same way.

use std::io::{self, Write};
use std::net::SocketAddr;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use tokio::signal::unix::{SignalKind, signal};

/// What the one line on stdout starts with, once the listening socket is bound; the address follows.
pub const LISTENING: &str = "listening ";

/// Writes `listening ADDRESS` as one line to stdout, for a parent process that started this one with port 0.
///
/// # Errors
/// When stdout cannot be written, for example because the parent has closed its end.
pub fn announce(address: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{LISTENING}{address}")?;
    stdout.flush()
}

/// Returns the address in a line that [`announce`] wrote, or `None` for any other line.
pub fn announced(line: &str) -> Option<SocketAddr> {
    line.trim_end().strip_prefix(LISTENING)?.parse().ok()
}

/// Returns a future that is ready at the first SIGTERM or SIGINT; both are caught from this call on.
///
/// # Errors
/// When a signal handler cannot be installed.
pub fn asked_to_end() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// The option that ties the life of this process to its parent's.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Lifeline {
    /// End as soon as the parent process ends, however it ends
    ///
    /// The kernel sends SIGKILL when the thread that started this process ends, so start it from a thread that stays.
    /// With =PID the parent's process id is compared too, which closes the gap in which a parent that was killed at
    /// once would go unnoticed.
    #[arg(long, value_name = "PID", num_args = 0..=1, require_equals = true)]
    #[arg(value_parser = clap::value_parser!(i32).range(1..))]
    exit_with_parent: Option<Option<i32>>,
}

impl Lifeline {
    /// Asks the kernel to end this process with its parent, if the option was given. Call it from the main thread.
    ///
    /// # Errors
    /// When the kernel refuses, or when the parent has already ended.
    pub fn tie(&self) -> Result<(), LifelineError> {
        let Some(expected) = self.exit_with_parent else { return Ok(()) };
        let expected = expected.and_then(Pid::from_raw).or_else(getppid);
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| LifelineError::Refused(e.into()))?;
        // The signal is only sent for a death from here on. A parent that died before has been replaced by now.
        if getppid() == expected {
            Ok(())
        } else {
            Err(LifelineError::ParentGone { expected: Pid::as_raw(expected) })
        }
    }
}

/// Why this process cannot be tied to its parent.
#[derive(Debug, thiserror::Error)]
pub enum LifelineError {
    /// The kernel has no parent death signal to give.
    #[error("cannot ask the kernel to end this process with its parent; start it without --exit-with-parent")]
    Refused(#[source] io::Error),
    /// The parent ended before the kernel was asked.
    #[error("the parent process {expected} has already ended, so this one ends too")]
    ParentGone {
        /// The process id that was expected; 0 when the parent lives in another process namespace.
        expected: i32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_read_back() {
        let address: SocketAddr = "127.0.0.1:41234".parse().unwrap();
        assert_eq!(announced(&format!("{LISTENING}{address}\n")), Some(address));
        assert_eq!(announced("listening [::1]:80"), "[::1]:80".parse().ok());
    }

    #[test]
    fn another_line_announces_nothing() {
        for line in ["", "listening", "listening nowhere", " listening 127.0.0.1:1", "listening 127.0.0.1"] {
            assert_eq!(announced(line), None, "{line:?}");
        }
    }

    #[test]
    fn a_parent_that_is_not_the_expected_one_is_reported() {
        let not_ours = Lifeline { exit_with_parent: Some(Some(i32::MAX)) };
        assert!(matches!(not_ours.tie(), Err(LifelineError::ParentGone { expected: i32::MAX })));
    }

    #[test]
    fn without_the_option_nothing_is_tied() {
        Lifeline::default().tie().unwrap();
    }
}
