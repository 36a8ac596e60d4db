//! What is counted of one backend.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::SystemTime;

use crate::telemetry::by_label::ByLabel;
use crate::telemetry::cells::{Counter, FloatGauge, Gauge, LocalGauge, SharedCounter};
use crate::telemetry::exemplars::Exemplars;
use crate::telemetry::histogram::Histogram;
use crate::telemetry::labels::{
    AttemptOutcome, BackendState, CheckResult, EjectionReason, Label, LookupResult, RetryReason,
    TransitionCause,
};
use crate::telemetry::seconds_since_epoch;
use crate::telemetry::series::SeriesId;
use crate::telemetry::shards::{Padded, PerWorker, WorkerId};
use crate::telemetry::status::StatusCounts;

/// The series of one backend of one upstream.
#[derive(Debug)]
pub struct BackendSeries {
    /// Its number.
    pub id: SeriesId,
    /// The upstream's name.
    pub upstream: Box<str>,
    /// The backend's name.
    pub backend: Box<str>,
    /// Exchanges in flight on all workers. The one cell of a backend that workers share: balancing needs the sum at
    /// every pick, so it stands alone on its cache line.
    pub inflight: Padded<Gauge>,
    /// The share that the configuration, or an operator since, gives the backend, relative to its peers.
    pub weight: FloatGauge,
    /// The weight that the balancer works with now: below `weight` during slow start, 0 when not available.
    pub effective_weight: FloatGauge,
    /// Active health checks; written by the control path.
    pub checks: ByLabel<CheckResult, SharedCounter>,
    /// Seconds that active health checks took; written by the control path.
    pub check_duration: Histogram<SharedCounter>,
    /// Look-ups of its host name; written by the control path.
    pub lookups: ByLabel<LookupResult, SharedCounter>,
    /// The share of new work that the fleet in force intends, 0 to 1.
    pub intended_share: FloatGauge,
    /// The part of its weight that is left to it while its CPU is busy, 0 to 1.
    pub load_factor: FloatGauge,
    /// Exchanges that may be in flight at a time; infinite without a limit.
    pub inflight_limit: FloatGauge,
    /// Ejections by what live traffic showed; written by the control path.
    pub ejections: ByLabel<EjectionReason, SharedCounter>,
    /// From the first sign of trouble to the change of state that took the backend out.
    pub detection: Histogram<SharedCounter>,
    /// From the first sign of trouble to the last attempt that was still sent to it.
    pub redistribution: Histogram<SharedCounter>,
    /// Traces of exchanges that are counted in [`BackendShard::request_duration`].
    pub exemplars: Exemplars,
    up: Gauge,
    state: Gauge,
    last_transition: FloatGauge,
    transitions: [ByLabel<TransitionCause, SharedCounter>; BackendState::ALL.len()],
    /// Whether it is over: shown no more, though somebody may hold it.
    ended: AtomicBool,
    shards: PerWorker<BackendShard>,
}

impl BackendSeries {
    pub(crate) fn new(id: SeriesId, upstream: &str, backend: &str, workers: usize) -> Self {
        Self {
            id,
            upstream: upstream.into(),
            backend: backend.into(),
            inflight: Padded::default(),
            weight: FloatGauge::default(),
            effective_weight: FloatGauge::default(),
            checks: ByLabel::default(),
            check_duration: Histogram::default(),
            lookups: ByLabel::default(),
            intended_share: FloatGauge::default(),
            load_factor: FloatGauge::new(1.0),
            inflight_limit: FloatGauge::new(f64::INFINITY),
            ejections: ByLabel::default(),
            detection: Histogram::default(),
            redistribution: Histogram::default(),
            exemplars: Exemplars::default(),
            up: Gauge::default(),
            state: Gauge::default(),
            last_transition: FloatGauge::default(),
            transitions: Default::default(),
            ended: AtomicBool::new(false),
            shards: PerWorker::new(workers),
        }
    }

    /// Ends the series: it is shown no more, and who asks for its name gets another that begins at 0. For a backend that has
    /// left and finished: exchanges with others may hold on to it for hours.
    pub fn end(&self) {
        self.ended.store(true, Relaxed);
    }

    /// Tells whether it was ended.
    pub(crate) fn is_over(&self) -> bool {
        self.ended.load(Relaxed)
    }

    /// Returns the cells that only this worker writes to.
    pub fn shard(&self, worker: WorkerId) -> &BackendShard {
        self.shards.of(worker)
    }

    /// Returns the cells of all workers.
    pub fn shards(&self) -> &PerWorker<BackendShard> {
        &self.shards
    }

    /// Shows the backend in `state`, without counting a transition: for the state that it starts with.
    pub fn show_state(&self, state: BackendState) {
        self.state.set(state.index() as i64);
        self.up.set(i64::from(matches!(state, BackendState::Up | BackendState::SlowStart)));
    }

    /// Shows the backend in `state` and counts the transition that led there at `at`.
    pub fn record_transition(&self, state: BackendState, cause: TransitionCause, at: SystemTime) {
        self.show_state(state);
        self.transitions[state.index()].inc(cause);
        self.last_transition.set(seconds_since_epoch(at));
    }

    /// Reads the state that is shown.
    pub fn state(&self) -> BackendState {
        let shown = usize::try_from(self.state.get()).ok();
        shown.and_then(|index| BackendState::ALL.get(index)).copied().unwrap_or(BackendState::Down)
    }

    /// Says whether `plimsoll_backend_up` shows 1: the backend is up, perhaps on its slow-start ramp.
    pub fn is_up(&self) -> bool {
        self.up.get() == 1
    }

    /// Reads how often the backend got into `state` because of `cause`.
    pub fn transitions(&self, state: BackendState, cause: TransitionCause) -> u64 {
        self.transitions[state.index()].get(cause)
    }

    /// Reads when the state last changed, in seconds since 1970; 0 before the first transition.
    pub fn last_transition_seconds(&self) -> f64 {
        self.last_transition.get()
    }
}

/// What one worker counts of one backend.
#[derive(Debug, Default)]
pub struct BackendShard {
    /// Final answers by code: of the backend that answered, or, when no attempt gave an answer, of the last one tried.
    pub requests: StatusCounts,
    /// Attempts by outcome.
    pub attempts: ByLabel<AttemptOutcome>,
    /// Retries, charged to the backend that failed.
    pub retries: ByLabel<RetryReason>,
    /// Retries credited to the backend that answered after another had failed.
    pub rescues: Counter,
    /// From the first byte of a request's head to the last byte of its answer; charged as `requests`.
    pub request_duration: Histogram,
    /// From a request sent to the first byte of the answer, of each attempt that got one.
    pub response_wait: Histogram,
    /// The time that each established connection took.
    pub connect_duration: Histogram,
    /// Connections established.
    pub connections_opened: Counter,
    /// Attempts that took a connection from the pool.
    pub connections_reused: Counter,
    /// Pooled connections found closed when they were used.
    pub connections_stale: Counter,
    /// Exchanges that wait for it now: for a connection, or for the head of an answer to a request that is whole. Those
    /// whose request or answer is under way do not wait.
    pub waiting: LocalGauge,
    /// Answers that have begun.
    pub answers: Counter,
    /// Connections that wait in the pool now.
    pub connections_idle: LocalGauge,
    /// Bytes sent to the backend, heads included.
    pub sent_bytes: Counter,
    /// Bytes received from the backend, heads included.
    pub received_bytes: Counter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_costs_a_worker_at_most_two_kibibytes() {
        let size = size_of::<Padded<BackendShard>>();
        assert!(size <= 2048, "{size} bytes");
    }

    #[test]
    fn a_transition_is_shown_counted_and_timed_at_once() {
        let series = BackendSeries::new(SeriesId::new(0), "web", "backend-1", 1);
        series.show_state(BackendState::Up);
        assert!(series.is_up());
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_500);
        series.record_transition(BackendState::Down, TransitionCause::Check, at);
        assert!(!series.is_up());
        assert_eq!(series.state(), BackendState::Down);
        assert_eq!(series.transitions(BackendState::Down, TransitionCause::Check), 1);
        assert_eq!(series.last_transition_seconds(), 1.5);
    }
}
