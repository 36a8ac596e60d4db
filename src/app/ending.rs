//! How the process ends: it is announced, everything drains, and what is left then is cut.

use std::time::Duration;

use tokio::time::sleep;

use super::App;
use super::signals::{Signal, Signals};
use super::sockets::Sockets;
use crate::data_plane::worker::Shared;

/// How long the last lines of the access log may take to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

impl App {
    /// Stops accepting, lets exchanges finish until the deadline (or a second signal), then cuts what is left.
    #[tracing::instrument(skip_all)]
    pub(super) async fn drain(mut self, signals: &mut Signals) {
        let patient = self.announce_end(signals).await;
        let timeout = if patient { self.config.drain.timeout } else { Duration::ZERO };
        tracing::info!(timeout_s = timeout.as_secs_f64(), "draining: no new connections");
        // The workers' handles are the last ones then, and the sockets close with them.
        self.sockets = Sockets::default();
        self.fleet.drain();
        let shared = self.shared.clone();
        let all_ended = tokio::select! {
            () = self.fleet.ended() => true,
            () = sleep(timeout) => false,
            () = asked_again(&shared, signals) => false,
        };
        if !all_ended {
            tracing::warn!("drain deadline passed: cutting the exchanges that are left");
            self.fleet.stop();
            self.fleet.ended().await;
        }
        self.admin.stop().await;
        if !self.shared.access_log.load().flush(LAST_LINES) {
            tracing::warn!("some lines of the access log could not be written in time");
        }
    }

    /// Is not ready any more, but accepts for the configured delay; returns whether nobody asked for the end once more.
    async fn announce_end(&self, signals: &mut Signals) -> bool {
        self.shared.telemetry.process().ready.set(0);
        let delay = self.config.drain.delay;
        if delay.is_zero() {
            return true;
        }
        tracing::info!(delay_s = delay.as_secs_f64(), "not ready any more: draining begins after a delay");
        self.fleet.last_exchanges();
        tokio::select! {
            () = sleep(delay) => true,
            () = asked_again(&self.shared, signals) => false,
        }
    }
}

/// Waits until somebody asks for the end once more. What is rotated meanwhile is opened anew: a drain may take long.
async fn asked_again(shared: &Shared, signals: &mut Signals) {
    loop {
        match signals.next().await {
            Signal::End => return,
            Signal::Reopen => shared.access_log.load().reopen(),
            Signal::Reload => tracing::warn!("not reloading: the process is about to end"),
        }
    }
}
