//! The exchange as the ring of decisions remembers it.

use std::time::Duration;

use tokio::time::Instant;

use super::{Record, Times};
use crate::telemetry::{PastExchange, RequestLine};

impl Record<'_> {
    /// Returns the exchange as it ended, with `status` and the rewritten `head`.
    pub(super) fn past(&self, status: u16, head: &[u8], now: Instant) -> PastExchange {
        let Times { started, queued, .. } = self.times;
        PastExchange {
            began: started,
            took: now.duration_since(started),
            queued: queued.map_or(Duration::ZERO, |(begun, at)| at.saturating_duration_since(begun)),
            line: RequestLine::new(head, self.words.method, self.words.target),
            upstream: self.upstream.map(|upstream| upstream.series.id),
            balance: self.upstream.map(|upstream| upstream.balancer().as_str()),
            status,
            reason: self.reason,
            tries: self.tries,
        }
    }
}
