//! The one exit of every exchange: metrics, access log and the ring of decisions, exactly once, however it ended.
//!
//! A [`Record`] that is dropped without having been told an end (the process stopped waiting for it) records that.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::balance::{Words, header};
use super::route::Route;
use super::snapshot::Listener;
use super::worker::Worker;
use crate::telemetry::{
    AttemptOutcome, CodeClass, Entry, Label as _, LoggedTry, PastExchange, RefusalReason, RequestLine,
    TRIES_KEPT, Timings, Tries,
};
use crate::upstream::{Backend, Pick, Upstream};

/// The status that is counted when the client left before it was answered; as in nginx, and never sent.
pub const CLIENT_GONE: u16 = 499;

/// The status that is counted when the process did not wait for the end of the exchange: the failure is ours.
const CUT: u16 = 503;

/// What is known of an exchange, gathered while it runs.
#[derive(Debug)]
pub struct Record<'s> {
    worker: &'s Worker,
    listener: &'s Listener,
    client: SocketAddr,
    times: Times,
    route: Option<&'s Route>,
    upstream: Option<&'s Upstream>,
    backend: Option<&'s Backend>,
    words: Words,
    /// Attempts so far, those on stale connections not counted.
    pub attempts: u32,
    tries: Tries,
    reason: Option<&'static str>,
    /// Bytes received from the client.
    pub received_bytes: u64,
    /// Bytes sent to the client.
    pub sent_bytes: u64,
    client_left: bool,
    /// Whether a part of the body came after the head.
    pub body_came_later: bool,
    ended: bool,
}

/// When each stage was over; `None` for one that was not reached or had nothing to wait for.
#[derive(Debug, Clone, Copy)]
struct Times {
    started: Instant,
    head: Instant,
    planned: Instant,
    queued: Option<(Instant, Instant)>,
    connected: Option<(Instant, Instant)>,
    sent: Option<Instant>,
    first_byte: Option<Instant>,
    head_sent: Option<Instant>,
}

impl<'s> Record<'s> {
    /// Begins the record of a request whose first byte came at `started`.
    #[must_use]
    pub fn begin(worker: &'s Worker, listener: &'s Listener, client: SocketAddr, started: Instant) -> Self {
        let times = Times {
            started,
            head: started,
            planned: started,
            queued: None,
            connected: None,
            sent: None,
            first_byte: None,
            head_sent: None,
        };
        Self {
            worker,
            listener,
            client,
            times,
            route: None,
            upstream: None,
            backend: None,
            words: Words::default(),
            attempts: 0,
            tries: Tries::default(),
            reason: None,
            received_bytes: 0,
            sent_bytes: 0,
            client_left: false,
            body_came_later: false,
            ended: false,
        }
    }

    /// Notes when the last byte of the head came, if not with the first.
    pub fn head_came(&mut self, at: Instant) {
        self.times.head = at;
    }

    /// Notes the route, and where the request's words stand.
    pub(crate) fn planned(&mut self, route: Option<&'s Route>, words: Words, at: Instant) {
        self.times.planned = at;
        self.route = route;
        self.words = words;
        self.received_bytes = words.received;
    }

    /// Returns when the request was planned.
    #[must_use]
    pub fn planned_at(&self) -> Instant {
        self.times.planned
    }

    /// Returns when the head of the answer had gone to the client.
    #[must_use]
    pub fn head_sent_at(&self) -> Option<Instant> {
        self.times.head_sent
    }

    /// Notes where the request goes.
    pub fn routed_to(&mut self, upstream: &'s Upstream) {
        self.upstream = Some(upstream);
    }

    /// Notes that a backend is tried, where the exchange is in flight already; `fresh`, once more on a new connection.
    pub fn tried(&mut self, pick: &Pick<'s>, fresh: bool) {
        self.backend = Some(pick.backend);
        self.attempts += u32::from(!fresh);
        let others = pick.backend.in_flight().saturating_sub(1);
        self.tries.began(pick.backend.series.id, pick.reason, others);
    }

    /// Notes how the try of a backend ended.
    pub fn try_ended(&mut self, backend: &Backend, outcome: AttemptOutcome) {
        self.tries.ended(backend.series.id, outcome);
    }

    /// Notes the backend whose answer the client gets, or that failed last.
    pub fn picked(&mut self, backend: &'s Backend) {
        self.backend = Some(backend);
    }

    /// Notes that the request waited for a backend to have room, and from when to when.
    pub fn queued(&mut self, begun: Instant, at: Instant) {
        self.times.queued = Some((begun, at));
    }

    /// Notes that a connection was made for an attempt, and from when to when.
    pub fn connected(&mut self, begun: Instant, at: Instant) {
        self.times.connected = Some((begun, at));
    }

    /// Notes the times of the attempt whose answer goes to the client.
    pub fn answered(
        &mut self,
        sent: Option<Instant>,
        first_byte: Option<Instant>,
        head_sent: Option<Instant>,
    ) {
        self.times.sent = sent;
        self.times.first_byte = first_byte;
        self.times.head_sent = head_sent;
    }

    /// Notes that the client left, or stopped reading, before it had its whole answer.
    pub fn client_left(&mut self) {
        self.client_left = true;
    }

    /// Notes why the exchange did not go as it should; the first reason counts.
    pub fn because(&mut self, reason: &'static str) {
        self.reason.get_or_insert(reason);
    }

    /// Notes that the balancer answers by itself, and why.
    pub fn refused(&mut self, reason: RefusalReason) {
        self.listener.series.shard(self.worker.id).refused.inc(reason);
        self.because(reason.as_str());
    }

    /// Ends the exchange: `status` was answered (or [`CLIENT_GONE`]), `head` is the head as backends received it.
    pub fn end(&mut self, status: u16, head: &[u8], now: Instant) {
        self.ended = true;
        self.count(status, now);
        let log = self.worker.access_log();
        let failed = status >= 500 || self.reason.is_some();
        if log.wants(failed) {
            log.write(&self.entry(status, head, now));
        }
        self.worker.decisions.borrow_mut().push(self.past(status, head, now));
    }

    fn past(&self, status: u16, head: &[u8], now: Instant) -> PastExchange {
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

    fn count(&self, status: u16, now: Instant) {
        let id = self.worker.id;
        let listener = self.listener.series.shard(id);
        match (self.backend, self.upstream) {
            (Some(backend), _) => {
                let shard = backend.series.shard(id);
                shard.requests.inc(status);
                shard.request_duration.record(now.duration_since(self.times.started));
            }
            (None, Some(upstream)) => upstream.series.shard(id).requests_no_backend.inc(status),
            (None, None) => self.listener.series.unrouted(id).inc(status),
        }
        if let Some(route) = self.route {
            route.series.shard(id).requests.inc(CodeClass::of(status));
        }
        if status == CLIENT_GONE || self.client_left {
            listener.client_aborts.inc();
        }
        listener.received_bytes.add(self.received_bytes);
        listener.sent_bytes.add(self.sent_bytes);
        listener.added_duration.record(self.added());
    }

    /// Returns the time that the balancer itself took: from the whole head to the plan, and from the first byte of the
    /// answer to its head sent on. Not counted is what waits for somebody else: connecting, a body on its way, and every
    /// attempt that failed. Sending counts where it is ours alone: one attempt, on a pooled connection, no body to come.
    fn added(&self) -> Duration {
        let times = &self.times;
        let onward = times.planned.duration_since(times.head);
        let waited = times.queued.is_some() || times.connected.is_some();
        let alone = self.attempts == 1 && !waited && !self.body_came_later;
        let send = match times.sent {
            Some(sent) if alone => sent.saturating_duration_since(times.planned),
            _ => Duration::ZERO,
        };
        let back = match (times.first_byte, times.head_sent) {
            (Some(first), Some(sent)) => sent.saturating_duration_since(first),
            _ => Duration::ZERO,
        };
        onward + send + back
    }

    fn entry<'e>(&'e self, status: u16, head: &'e [u8], now: Instant) -> Entry<'e> {
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
            added: self.added(),
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
            })
        })
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.refused(RefusalReason::ShuttingDown);
            self.end(CUT, b"", Instant::now());
        }
    }
}

/// Returns the trace id of a W3C `traceparent`.
fn trace_id(traceparent: &[u8]) -> Option<&[u8]> {
    traceparent.split(|byte| *byte == b'-').nth(1)
}
