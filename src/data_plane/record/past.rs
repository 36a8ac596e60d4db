//! The exchange as the ring of decisions remembers it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Record, Times};
use crate::data_plane::balance::header;
use crate::telemetry::{PastExchange, RequestId, RequestLine, TRIES_KEPT, TraceId, is_notable};
use crate::upstream::{Backend, Tried};

impl Record<'_> {
    /// Keeps how the backends stand at a pick: the first ones, and the last. One that had to be repeated for the same try
    /// replaces the one before.
    #[cold]
    pub(super) fn keep_candidates(&mut self, picked: Option<usize>, tried: &Tried, now: Instant) {
        let Some(upstream) = self.upstream else { return };
        let mut candidates = upstream.candidates(picked, tried, now, self.times.offset(now));
        candidates.before_try = Some(self.trying.count().saturating_add(1));
        let repeated = self.candidates.last().is_some_and(|last| last.before_try == candidates.before_try);
        if repeated || self.candidates.len() == TRIES_KEPT {
            self.candidates.pop();
        }
        self.candidates.push(candidates);
    }

    /// Tells whether the exchange, as it ended, is to be remembered.
    pub(super) fn is_remembered(&self, failed: bool, slow: bool) -> bool {
        match self.upstream {
            Some(_) => self.sampled || is_notable(failed, slow, self.trying.went_well()),
            None => self.worker.decisions.borrow_mut().samples(self.times.planned),
        }
    }

    /// Remembers the exchange as it ended, with `status` and the rewritten `head`. Sampled and notable ones alone, so it
    /// may look for things and allocate.
    #[cold]
    pub(super) fn remember(&mut self, status: u16, slow: bool, head: &[u8], now: Instant) {
        if self.candidates.is_empty()
            && let Some(upstream) = self.upstream
        {
            let is_last =
                |known: &Arc<Backend>| self.backend.is_some_and(|last| std::ptr::eq(&**known, last));
            let picked = upstream.backends.iter().position(is_last);
            self.candidates.push(upstream.candidates(picked, &Tried::new(), now, self.times.offset(now)));
        }
        let Times { started, queued, .. } = self.times;
        let past = PastExchange {
            began: started,
            took: now.duration_since(started),
            queued: queued.map_or(Duration::ZERO, |(begun, at)| at.saturating_duration_since(begun)),
            request_id: RequestId::new(header(head, "x-request-id").unwrap_or_default()),
            trace_id: header(head, "traceparent").and_then(TraceId::of_parent),
            line: RequestLine::new(head, self.words.method, self.words.target),
            listener: Arc::downgrade(&self.listener.series),
            route: self.route.map(|route| Arc::downgrade(&route.series)),
            upstream: self.upstream.map(|upstream| upstream.series.id),
            balance: self.upstream.map(|upstream| upstream.balancer().as_str()),
            status,
            reason: self.reason,
            slow,
            tries: self.trying.told(&self.times),
            candidates: std::mem::take(&mut self.candidates),
        };
        self.worker.decisions.borrow_mut().push(past);
    }
}
