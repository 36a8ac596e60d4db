//! When the stages of an exchange were over.

use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry::Offset;

/// When each stage was over; `None` for one that was not reached or had nothing to wait for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) started: Instant,
    pub(super) head: Instant,
    pub(super) planned: Instant,
    pub(super) queued: Option<(Instant, Instant)>,
    pub(super) connected: Option<(Instant, Instant)>,
    pub(super) sent: Option<Instant>,
    pub(super) first_byte: Option<Instant>,
    pub(super) head_sent: Option<Instant>,
}

impl Times {
    /// Nothing is over yet of an exchange that began at `started`.
    pub(super) fn since(started: Instant) -> Self {
        Self {
            started,
            head: started,
            planned: started,
            queued: None,
            connected: None,
            sent: None,
            first_byte: None,
            head_sent: None,
        }
    }

    /// Tells whether an exchange that ends `now` was slow: whether its answer had not begun to reach the client after so long.
    pub(super) fn is_slow(&self, slow: Duration, now: Instant) -> bool {
        // Hardly one takes so long as a whole.
        now.duration_since(self.started) >= slow
            && self.head_sent.unwrap_or(now).saturating_duration_since(self.started) >= slow
    }

    /// Returns where a moment lies in the exchange.
    pub(super) fn offset(&self, at: Instant) -> Offset {
        Offset::between(self.started, at)
    }

    /// Returns the time that the balancer itself took: from the whole head to the plan, and from the first byte of the
    /// answer to its head sent on. Not counted is what waits for somebody else: connecting, a body on its way, and every
    /// attempt that failed. Sending counts where it is ours alone: one attempt, on a pooled connection, no body to come.
    pub(super) fn added(&self, attempts: u32, body_came_later: bool) -> Duration {
        let onward = self.planned.duration_since(self.head);
        let waited = self.queued.is_some() || self.connected.is_some();
        let alone = attempts == 1 && !waited && !body_came_later;
        let send = match self.sent {
            Some(sent) if alone => sent.saturating_duration_since(self.planned),
            _ => Duration::ZERO,
        };
        let back = match (self.first_byte, self.head_sent) {
            (Some(first), Some(sent)) => sent.saturating_duration_since(first),
            _ => Duration::ZERO,
        };
        onward + send + back
    }
}
