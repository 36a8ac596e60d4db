//! What is counted of one upstream as a whole.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::telemetry::by_label::ByLabel;
use crate::telemetry::cells::{FloatGauge, Gauge, SharedCounter};
use crate::telemetry::histogram::Histogram;
use crate::telemetry::labels::{
    BalanceRule, EjectionReason, Label as _, NoneAvailable, QueueEnd, RetryRefusal, Stickiness,
};
use crate::telemetry::series::SeriesId;
use crate::telemetry::shards::{PerWorker, WorkerId};
use crate::telemetry::status::StatusCounts;

/// The series of one upstream.
#[derive(Debug)]
pub struct UpstreamSeries {
    /// Its number.
    pub id: SeriesId,
    /// The upstream's name.
    pub upstream: Box<str>,
    /// Backends that may be picked now.
    pub available: Gauge,
    /// Backends that are configured.
    pub configured: Gauge,
    /// Picks that found no available backend, by what was done instead.
    pub none_available: ByLabel<NoneAvailable, SharedCounter>,
    /// Ejections that were due and not carried out, because too few backends would have been left.
    pub ejections_refused: ByLabel<EjectionReason, SharedCounter>,
    /// Retries that the budget allows now.
    pub budget_left: FloatGauge,
    /// Requests that wait now because every backend is at its limit, on all workers.
    pub queued: Gauge,
    /// Requests that found every backend at its limit, by how that ended.
    pub queue_ended: ByLabel<QueueEnd, SharedCounter>,
    /// Both labels in one number, so that no scrape sees one of before a reload and one of after.
    rule: AtomicUsize,
    shards: PerWorker<UpstreamShard>,
}

impl UpstreamSeries {
    pub(crate) fn new(id: SeriesId, upstream: &str, workers: usize) -> Self {
        Self {
            id,
            upstream: upstream.into(),
            available: Gauge::default(),
            configured: Gauge::default(),
            none_available: ByLabel::default(),
            ejections_refused: ByLabel::default(),
            budget_left: FloatGauge::default(),
            queued: Gauge::default(),
            queue_ended: ByLabel::default(),
            rule: AtomicUsize::default(),
            shards: PerWorker::new(workers),
        }
    }

    /// Takes in how backends are picked from now on.
    pub fn show_rule(&self, rule: BalanceRule, sticky: Stickiness) {
        self.rule.store(rule.index() * Stickiness::ALL.len() + sticky.index(), Relaxed);
    }

    /// Returns how backends are picked.
    pub fn rule(&self) -> (BalanceRule, Stickiness) {
        let both = self.rule.load(Relaxed);
        let sticky = Stickiness::ALL.len();
        (BalanceRule::ALL[both / sticky], Stickiness::ALL[both % sticky])
    }

    /// Returns the cells that only this worker writes to.
    pub fn shard(&self, worker: WorkerId) -> &UpstreamShard {
        self.shards.of(worker)
    }

    /// Returns the cells of all workers.
    pub fn shards(&self) -> &PerWorker<UpstreamShard> {
        &self.shards
    }
}

/// What one worker counts of one upstream.
#[derive(Debug, Default)]
pub struct UpstreamShard {
    /// Final answers of exchanges that were routed to this upstream and tried on no backend at all; exported as
    /// `plimsoll_requests_total{upstream="…",backend="none"}`.
    pub requests_no_backend: StatusCounts,
    /// Failed attempts that were the last, by what forbade another.
    pub retries_refused: ByLabel<RetryRefusal>,
    /// The time that each request waited which found every backend at its limit, however its wait ended.
    pub queue_wait: Histogram,
}
