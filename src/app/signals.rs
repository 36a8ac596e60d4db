//! The signals by which the process is told what to do.

use tokio::signal::unix::{self, SignalKind};

use super::AppError;

/// What a signal asks for.
pub(super) enum Signal {
    /// SIGHUP.
    Reload,
    /// SIGUSR1.
    Reopen,
    /// SIGTERM or SIGINT.
    End,
}

/// The signals that the process listens to.
pub(super) struct Signals {
    hangup: unix::Signal,
    user1: unix::Signal,
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Signals {
    /// Begins to listen: from now on none of them ends the process by itself.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn new() -> Result<Self, AppError> {
        let listen = |kind| {
            unix::signal(kind).map_err(|source| AppError::System { doing: "listen for signals", source })
        };
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            user1: listen(SignalKind::user_defined1())?,
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one. Cancel safe.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.hangup.recv() => Signal::Reload,
            _ = self.user1.recv() => Signal::Reopen,
            _ = self.terminate.recv() => Signal::End,
            _ = self.interrupt.recv() => Signal::End,
        }
    }

    /// Waits for one that asks for the end. Cancel safe.
    pub(super) async fn end(&mut self) {
        // Every other is left for `next`.
        tokio::select! {
            _ = self.terminate.recv() => (),
            _ = self.interrupt.recv() => (),
        }
    }
}
