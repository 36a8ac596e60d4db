//! The exchange as its trace tells it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use super::{Record, Times};
use crate::data_plane::balance::{Words, header};
use crate::telemetry::{Text, TraceContext, TracedExchange, TracedTry};
use crate::upstream::Backend;

impl Record<'_> {
    /// Returns the span of the try of a backend that is under way; None when there are no traces.
    pub fn span_of_try(&self, backend: &Backend) -> Option<u64> {
        let context = self.trace?;
        Some(context.span_of_try(self.trying.number(backend.series.id)?))
    }

    /// Tells whether the exchange, which has ended, has a trace: if it was chosen, and if it failed, was retried or was
    /// slow.
    pub(super) fn has_trace(&self, context: TraceContext, status: u16, slow: bool) -> bool {
        // What the balancer refuses by itself, as it does scanners by the thousand, is worth none.
        let failed = status >= 500 || (self.upstream.is_some() && self.reason.is_some());
        context.chosen || failed || slow || self.trying.count() > 1
    }

    /// Returns the exchange as it ended, with `status` and the rewritten `head`. Allocates a dozen times, which is for those
    /// alone that have a trace.
    pub(super) fn traced(
        &self,
        context: TraceContext,
        status: u16,
        head: &[u8],
        now: Instant,
    ) -> TracedExchange {
        let Times { started, head: head_came, planned, queued, .. } = self.times;
        let since = |at: Instant| at.saturating_duration_since(started);
        let text = |name| header(head, name).map(Text::new);
        TracedExchange {
            context,
            began: SystemTime::now() - now.duration_since(started),
            took: since(now),
            head: since(head_came),
            planned: since(planned),
            queued: queued.map(|(begun, at)| (since(begun), since(at))),
            client: self.client,
            local: self.listener.address,
            method: Text::new(self.words.method_in(head)),
            path: Text::new(self.words.path_in(head)),
            host: Text::new(header(head, "host").unwrap_or_default()),
            user_agent: text("user-agent"),
            request_id: text("x-request-id"),
            version: if let Words { minor: 0, .. } = self.words { "1.0" } else { "1.1" },
            listener: self.listener.name.clone(),
            route: self.route.map(|route| route.name.clone()),
            upstream: self.upstream.map(|upstream| upstream.name.clone()),
            balance: self.upstream.map(|upstream| upstream.balancer().as_str()),
            backend: self.backend.map(|backend| Arc::clone(&backend.series)),
            status,
            reason: self.reason,
            bytes: (self.received_bytes, self.sent_bytes),
            tries: self.traced_tries(),
        }
    }

    fn traced_tries(&self) -> Vec<TracedTry> {
        let backends = self.upstream.map(|upstream| &*upstream.backends).unwrap_or_default();
        let tries = self.trying.told(&self.times);
        let tries = tries.numbered().map(|(number, what)| {
            let known = backends.iter().find(|known| known.series.id == what.backend);
            let address: Option<SocketAddr> = known.and_then(|known| known.address);
            let backend = known.map(|known| known.name.clone()).unwrap_or_default();
            TracedTry { number, backend, address, what: *what }
        });
        tries.collect()
    }
}
