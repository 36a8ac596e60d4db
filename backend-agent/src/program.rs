//! The program that the agent runs beside itself: `backend-agent … -- COMMAND`.
//!
//! In a container the agent is then process 1, and owes what process 1 owes: it passes signals on to the program, reaps
//! every process that nobody else waits for, and ends with the program and its status.

use std::ffi::OsString;
use std::future::pending;
use std::io;
use std::process::{Child, Command, ExitCode};
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpgid, getpgrp, getpid, kill_process, set_child_subreaper, wait,
};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Cause;
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::ending::Asking;

/// What a shell exits with when it cannot run a command, and when it cannot find it.
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

/// A program that runs. One that is dropped before it has ended is killed.
pub(crate) struct Program {
    child: Child,
    children: unix::Signal,
    ended: bool,
}

/// Why the program does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("cannot tell when a program ends")]
    Unwatched(#[source] io::Error),
    #[error("cannot run {program:?}: {cause}")]
    NotRun { program: OsString, cause: io::Error },
}

impl StartError {
    /// Returns the exit status that a shell would end with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::NotRun { cause, .. } if cause.kind() == io::ErrorKind::NotFound => {
                ExitCode::from(NOT_FOUND)
            }
            Self::NotRun { .. } => ExitCode::from(CANNOT_RUN),
            Self::Unwatched(_) => ExitCode::FAILURE,
        }
    }
}

impl Program {
    /// Starts the program with its arguments; input, output and environment are the agent's own.
    ///
    /// From here on the agent reaps all of its children: do not start others that somebody waits for.
    ///
    /// # Errors
    /// When there is no such program, or it cannot be executed.
    pub(crate) fn start(program: &OsString, args: &[OsString]) -> Result<Self, StartError> {
        // Orphans come here and not to a process 1 that may not care, as they would were this process 1 itself.
        set_child_subreaper(Some(getpid())).map_err(|error| StartError::Unwatched(error.into()))?;
        // Before the start, so that an end cannot be missed.
        let children = signal(SignalKind::child()).map_err(StartError::Unwatched)?;
        let child = Command::new(program)
            .args(args)
            .spawn()
            .map_err(|cause| StartError::NotRun { program: program.clone(), cause })?;
        tracing::info!(pid = child.id(), ?program, "program started");
        Ok(Self { child, children, ended: false })
    }

    /// Returns the program's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Passes signals on until the program has ended, and returns what to exit with: its status, or 128 and the number
    /// of the signal that killed it, as shells do.
    ///
    /// With SIGTERM and SIGINT all others are asked to end at once, and the program after `drain_for`, which a second
    /// one cuts short.
    pub(crate) async fn run(mut self, mut signals: Signals, asking: Asking, drain_for: Duration) -> ExitCode {
        // The signal to pass on later, and when.
        let mut later: Option<(Signal, Instant)> = None;
        let mut asked = false;
        loop {
            if let Some(status) = self.reap() {
                let code = exit_code(status);
                tracing::info!(pid = self.pid(), status = code, "program ended");
                return ExitCode::from(code);
            }
            tokio::select! {
                Caught { signal, typed } = signals.next() => {
                    let ends = matches!(signal, Signal::TERM | Signal::INT);
                    if ends {
                        asking.ask();
                    }
                    if typed && self.hears_the_terminal() {
                        // It has heard it already, and a second one often means to hurry.
                    } else if ends && !asked && drain_for > Duration::ZERO {
                        later = Some((signal, Instant::now() + drain_for));
                    } else {
                        self.pass_on(signal);
                        later = later.filter(|_| !ends);
                    }
                    asked |= ends;
                }
                signal = due(later) => {
                    self.pass_on(signal);
                    later = None;
                }
                _ = self.children.recv() => {}
            }
        }
    }

    /// Tells whether what is typed at a terminal reaches the program by itself: it goes to a whole process group, and the
    /// agent is in the one that it went to. A program may have left it, as shells do.
    fn hears_the_terminal(&self) -> bool {
        self.process().is_some_and(|pid| getpgid(Some(pid)) == Ok(getpgrp()))
    }

    /// The program's process id. It is not reaped yet, so the id is still its own.
    fn process(&self) -> Option<Pid> {
        Pid::from_raw(self.child.id().cast_signed())
    }

    fn pass_on(&self, signal: Signal) {
        if let Some(Err(error)) = self.process().map(|pid| kill_process(pid, signal)) {
            tracing::warn!(%error, ?signal, "cannot pass a signal on to the program");
        }
    }

    /// Reaps all children that have ended and returns the program's status if it is among them.
    fn reap(&mut self) -> Option<WaitStatus> {
        // An error is that there are no children at all.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid.as_raw_nonzero().get().cast_unsigned() == self.child.id() {
                self.ended = true;
                return Some(status);
            }
            tracing::debug!(pid = pid.as_raw_nonzero(), "orphan reaped");
        }
        None
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.ended {
            // The agent ends for a reason of its own; nothing is left to tell an error to.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Returns a signal when it is due, never without one. Cancel safe.
async fn due(later: Option<(Signal, Instant)>) -> Signal {
    match later {
        Some((signal, at)) => {
            sleep_until(at).await;
            signal
        }
        None => pending().await,
    }
}

fn exit_code(status: WaitStatus) -> u8 {
    let code = status.exit_status().or_else(|| Some(128 + status.terminating_signal()?));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// A signal that came.
struct Caught {
    signal: Signal,
    /// Whether somebody typed it at the terminal, and no process sent it.
    typed: bool,
}

/// The signals that a program may want to hear.
pub(crate) struct Signals {
    caught: Vec<(Signal, unix::Signal)>,
    /// Where those came from that can be typed.
    origins: SignalsInfo<WithOrigin>,
}

impl Signals {
    /// Catches them from this call on.
    ///
    /// # Errors
    /// When a signal handler cannot be installed.
    pub(crate) fn catch() -> io::Result<Self> {
        // First: handlers run in the order in which they were installed, and whoever is woken by the other one asks this.
        let origins = SignalsInfo::new([Signal::INT, Signal::QUIT].map(Signal::as_raw))?;
        let kinds = [
            (Signal::TERM, SignalKind::terminate()),
            (Signal::INT, SignalKind::interrupt()),
            (Signal::HUP, SignalKind::hangup()),
            (Signal::QUIT, SignalKind::quit()),
            (Signal::USR1, SignalKind::user_defined1()),
            (Signal::USR2, SignalKind::user_defined2()),
        ];
        let caught = kinds.map(|(number, kind)| signal(kind).map(|caught| (number, caught)));
        Ok(Self { caught: caught.into_iter().collect::<io::Result<_>>()?, origins })
    }

    /// Returns the next one. Cancel safe.
    async fn next(&mut self) -> Caught {
        let signal = std::future::poll_fn(|context| {
            for (number, caught) in &mut self.caught {
                if caught.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*number);
                }
            }
            std::task::Poll::Pending
        })
        .await;
        // Several that come at once are told as one: a single one from a process is meant for the program.
        let came = self.origins.pending().filter(|origin| origin.signal == signal.as_raw());
        let typed = came.map(|origin| matches!(origin.cause, Cause::Kernel)).reduce(|all, one| all && one);
        Caught { signal, typed: typed.unwrap_or(false) }
    }
}
