//! What one look sees of a backend: sums over the cells of all workers.

use crate::telemetry::{AttemptOutcome, BackendSeries, HistogramTotal};

/// The attempts on a backend so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attempts {
    /// Those that were answered, with whatever status.
    pub(super) answered: u64,
    /// Those that failed, answers with a 5xx included.
    pub(super) failed: u64,
    /// All.
    pub(super) all: u64,
}

impl Attempts {
    pub(super) fn of(series: &BackendSeries) -> Self {
        let mut sum = Self::default();
        for shard in series.shards().iter() {
            let count = |outcome| shard.attempts.get(outcome);
            let errors = count(AttemptOutcome::ServerError);
            sum.answered += count(AttemptOutcome::Ok) + errors;
            sum.failed += errors
                + count(AttemptOutcome::ConnectRefused)
                + count(AttemptOutcome::ConnectTimeout)
                + count(AttemptOutcome::ConnectError)
                + count(AttemptOutcome::Reset)
                + count(AttemptOutcome::Timeout)
                + count(AttemptOutcome::BadResponse);
            sum.all += shard.attempts.sum();
        }
        sum
    }
}

/// Returns the waits for answers so far.
pub(super) fn waits(series: &BackendSeries) -> HistogramTotal {
    let mut total = HistogramTotal::default();
    series.shards().iter().for_each(|shard| shard.response_wait.add_to(&mut total));
    total
}
