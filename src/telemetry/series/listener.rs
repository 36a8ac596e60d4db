//! What is counted of one listener: connections of clients, and what never reached a backend.

use std::sync::Arc;

use crate::telemetry::by_label::ByLabel;
use crate::telemetry::cells::{Counter, LocalGauge};
use crate::telemetry::histogram::Histogram;
use crate::telemetry::labels::{AcceptError, RefusalReason};
use crate::telemetry::shards::{PerWorker, WorkerId};
use crate::telemetry::status::StatusCounts;

/// The series of one listener.
#[derive(Debug)]
pub struct ListenerSeries {
    /// The listener's name.
    pub listener: Box<str>,
    shards: PerWorker<ListenerShard>,
    unrouted: Arc<PerWorker<StatusCounts>>,
}

impl ListenerSeries {
    pub(crate) fn new(listener: &str, workers: usize, unrouted: Arc<PerWorker<StatusCounts>>) -> Self {
        Self { listener: listener.into(), shards: PerWorker::new(workers), unrouted }
    }

    /// Returns the cells that only this worker writes to.
    pub fn shard(&self, worker: WorkerId) -> &ListenerShard {
        self.shards.of(worker)
    }

    /// Returns the cells of all workers.
    pub fn shards(&self) -> &PerWorker<ListenerShard> {
        &self.shards
    }

    /// Returns this worker's final answers of exchanges without an upstream: refused, answered by a route itself, or
    /// without a route. Exported as `plimsoll_requests_total{upstream="none",backend="none"}`.
    ///
    /// All listeners of a process share it: the series has no `listener` label, so a listener that leaves the
    /// configuration must not take its part of the sum with it.
    pub fn unrouted(&self, worker: WorkerId) -> &StatusCounts {
        self.unrouted.of(worker)
    }
}

/// What one worker counts of one listener.
#[derive(Debug, Default)]
pub struct ListenerShard {
    /// Connections accepted.
    pub connections: Counter,
    /// Connections that are open now.
    pub connections_active: LocalGauge,
    /// Connections closed at once because a limit was reached.
    pub connections_refused: Counter,
    /// Connections that could not be accepted.
    pub accept_errors: ByLabel<AcceptError>,
    /// Requests answered by the balancer itself, by the reason.
    pub refused: ByLabel<RefusalReason>,
    /// Exchanges that ended because the client left.
    pub client_aborts: Counter,
    /// Bytes received from clients, heads included.
    pub received_bytes: Counter,
    /// Bytes sent to clients, heads included.
    pub sent_bytes: Counter,
    /// The time that the balancer itself added to each exchange: all of it except waiting for backend and client.
    pub added_duration: Histogram,
}
