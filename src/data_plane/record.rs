//! The one exit of every exchange: metrics, access log and the ring of decisions, exactly once, however it ended.
//!
//! A [`Record`] that is dropped without having been told an end (the process stopped waiting for it) records that.

mod entry;
mod past;
mod relayed;
mod times;
mod traced;
mod trying;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

pub(super) use self::entry::log_null;
use self::times::Times;
use self::trying::{End, Trying};
use super::balance::Words;
use super::route::Route;
use super::snapshot::Listener;
use super::worker::Worker;
use crate::telemetry::{
    AttemptOutcome, Candidates, CodeClass, Label as _, RefusalReason, TcpOutcome, TraceContext,
};
use crate::upstream::{Backend, Pick, Tried, Upstream};

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
    trace: Option<TraceContext>,
    /// Attempts so far, those on stale connections not counted.
    pub attempts: u32,
    /// The place in the queue, from 1; 0 for none.
    queue_place: u32,
    trying: Trying,
    /// Whether it is remembered also if all goes well.
    sampled: bool,
    candidates: Vec<Candidates>,
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

impl<'s> Record<'s> {
    /// Begins the record of a request whose first byte came at `started`.
    #[must_use]
    pub fn begin(worker: &'s Worker, listener: &'s Listener, client: SocketAddr, started: Instant) -> Self {
        Self {
            worker,
            listener,
            client,
            times: Times::since(started),
            route: None,
            upstream: None,
            backend: None,
            words: Words::default(),
            trace: None,
            attempts: 0,
            queue_place: 0,
            trying: Trying::default(),
            sampled: false,
            candidates: Vec::new(),
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

    /// Notes the route, where the request's words stand, and its place in a trace.
    pub(crate) fn planned(
        &mut self,
        route: Option<&'s Route>,
        words: Words,
        trace: Option<TraceContext>,
        at: Instant,
    ) {
        self.times.planned = at;
        self.trace = trace;
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
        self.sampled = self.worker.decisions.borrow_mut().samples(self.times.planned);
    }

    /// Notes a pick, or that there was none, while everything stands as it stood for it: at the first one of a sample,
    /// and at any that is not the first.
    pub fn picking(&mut self, picked: Option<usize>, tried: &Tried, now: Instant) {
        if self.sampled || self.attempts > 0 {
            self.keep_candidates(picked, tried, now);
        }
    }

    /// Notes that a backend is tried, where the exchange is in flight already; `fresh`, once more on a new connection.
    pub fn tried(&mut self, pick: &Pick<'s>, fresh: bool) {
        let at = match (self.attempts, self.times.queued) {
            // Nothing has been waited for, so no clock is read for it.
            (0, None) => self.times.planned,
            (0, Some((_, admitted))) => admitted,
            _ => Instant::now(),
        };
        self.backend = Some(pick.backend);
        self.attempts += u32::from(!fresh);
        let others = pick.backend.in_flight().saturating_sub(1);
        self.trying.began((pick.backend.series.id, pick.reason), others, at, &self.times);
    }

    /// Notes that a new connection is asked for, for the try of a backend.
    pub fn dialled(&mut self, backend: &Backend) {
        self.trying.dialled(backend.series.id);
    }

    /// Notes how the try of a backend ended, and when: that its request was sent, its answer begun, and all was over.
    pub fn try_ended(
        &mut self,
        backend: &Backend,
        outcome: AttemptOutcome,
        (sent, first_byte): (Option<Instant>, Option<Instant>),
        ended: Instant,
    ) {
        self.trying.ended(backend.series.id, End { outcome, sent, first_byte, ended }, &self.times);
    }

    /// Notes the backend whose answer the client gets, or that failed last.
    pub fn picked(&mut self, backend: &'s Backend) {
        self.backend = Some(backend);
    }

    /// Notes that the request waited for a backend to have room: as which in the queue, and from when to when.
    pub fn queued(&mut self, place: u32, begun: Instant, at: Instant) {
        self.queue_place = place;
        self.times.queued = Some((begun, at));
    }

    /// Notes that a connection was made for the try of a backend, and from when to when.
    pub fn connected(&mut self, backend: &Backend, begun: Instant, at: Instant) {
        self.times.connected = Some((begun, at));
        self.trying.connected(backend.series.id, at, &self.times);
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
        let added = self.times.added(self.attempts, self.body_came_later);
        self.count(status, added, now);
        let log = self.worker.access_log();
        let failed = status >= 500 || self.reason.is_some();
        if log.wants(failed) {
            let entry = self.entry((status, added), head, now, log.tells_load());
            self.worker.log_batch.borrow_mut().write(&log, &entry);
        }
        let slow = self.times.is_slow(self.listener.slow, now);
        if self.is_remembered(failed, slow) {
            self.remember(status, slow, head, now);
        }
        if let Some(context) = self.trace
            && self.has_trace(context, status, slow)
        {
            self.worker.shared.traces.load().tell(Box::new(self.traced(context, status, head, now)));
        }
    }

    fn count(&self, status: u16, added: Duration, now: Instant) {
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
        listener.added_duration.record(added);
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.refused(RefusalReason::ShuttingDown);
            if self.listener.relay.is_some() {
                return self.end_relayed(TcpOutcome::ShuttingDown, Instant::now());
            }
            self.end(CUT, b"", Instant::now());
        }
    }
}
