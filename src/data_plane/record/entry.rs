//! The exchange as a line of the access log.

use std::time::SystemTime;

use tokio::time::Instant;

use super::Record;
use crate::data_plane::balance::{Words, header};
use crate::telemetry::{AttemptOutcome, Entry, Label as _, LoggedTry, TRIES_KEPT, Timings};

impl<'s> Record<'s> {
    /// Returns the exchange as it ended, with `status` and the rewritten `head`.
    pub(super) fn entry<'e>(&'e self, status: u16, head: &'e [u8], now: Instant) -> Entry<'e> {
        let times = &self.times;
        let since =
            |end: Option<Instant>, start: Instant| end.map(|end| end.saturating_duration_since(start));
        let acquired = times.connected.or(times.queued).map_or(times.planned, |(_, at)| at);
        Entry {
            time: SystemTime::now() - now.duration_since(times.started),
            request_id: header(head, "x-request-id").unwrap_or_default(),
            trace_id: header(head, "traceparent").and_then(trace_id),
            client: self.client,
            listener: &self.listener.name,
            route: self.route.map(|route| &*route.name),
            upstream: self.upstream.map(|upstream| &*upstream.name),
            backend: self.backend.map(|backend| &*backend.name),
            method: self.words.method_in(head),
            host: header(head, "host").unwrap_or_default(),
            path: self.words.path_in(head),
            version: match self.words {
                // Refused before anything could be read out of it.
                Words { method: 0, .. } => "",
                Words { minor: 0, .. } => "HTTP/1.0",
                _ => "HTTP/1.1",
            },
            status,
            reason: self.reason,
            attempts: self.attempts,
            tries: self.logged_tries(),
            request_bytes: self.received_bytes,
            response_bytes: self.sent_bytes,
            timings: Timings {
                head: Some(times.head.duration_since(times.started)),
                route: Some(times.planned.duration_since(times.head)),
                admission: times.queued.map(|(begun, at)| at.saturating_duration_since(begun)),
                connect: times.connected.map(|(begun, at)| at.saturating_duration_since(begun)),
                send: since(times.sent, acquired),
                wait: times.first_byte.and_then(|first| since(Some(first), times.sent?)),
                relay: times.first_byte.map(|first| now.saturating_duration_since(first)),
                total: Some(now.duration_since(times.started)),
                ..Timings::default()
            },
            added: times.added(self.attempts, self.body_came_later),
            user_agent: header(head, "user-agent"),
        }
    }

    /// Returns the tries with the names of their backends: looked up here, since few exchanges are logged.
    fn logged_tries(&self) -> [Option<LoggedTry<'s>>; TRIES_KEPT] {
        let backends = self.upstream.map(|upstream| &*upstream.backends).unwrap_or_default();
        let name = |id| backends.iter().find(|known| known.series.id == id).map(|known| &*known.name);
        let mut tries = self.tries.iter();
        std::array::from_fn(|_| {
            let one = tries.next()?;
            Some(LoggedTry {
                backend: name(one.backend)?,
                pick: one.reason.as_str(),
                outcome: one.outcome.map(AttemptOutcome::as_str),
                start: one.began.as_duration(),
                stages: one.stages(),
            })
        })
    }
}

/// Returns the trace id of a W3C `traceparent`.
fn trace_id(traceparent: &[u8]) -> Option<&[u8]> {
    traceparent.split(|byte| *byte == b'-').nth(1)
}
