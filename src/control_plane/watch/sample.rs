//! What one look sees of a backend: sums over the cells of all workers.

use crate::telemetry::{AttemptOutcome, BackendSeries, BackendShard, HistogramTotal, StatusTotal};
use crate::upstream::{Backend, Sample, Totals};

/// Returns what is looked at each time.
pub(super) fn sample(backend: &Backend) -> Sample {
    let shards = backend.series.shards();
    let waiting: i64 = shards.sum(|shard| shard.waiting.get());
    Sample {
        available: backend.series.is_up(),
        waiting: u64::try_from(waiting).unwrap_or(0),
        answers: shards.sum(|shard| shard.answers.get()),
    }
}

/// Returns what is compared with the other backends.
pub(super) fn totals(backend: &Backend) -> Totals {
    let shards = backend.series.shards();
    let neutral = |shard: &BackendShard| {
        AttemptOutcome::NEUTRAL.iter().map(|outcome| shard.attempts.get(*outcome)).sum::<u64>()
    };
    // The cells are read one after the other while the worker goes on counting: the part may be ahead of the whole.
    let attempts = shards.sum(|shard| shard.attempts.sum().saturating_sub(neutral(shard)));
    let well = shards.sum(|shard| shard.attempts.get(AttemptOutcome::Ok));
    Totals {
        available: backend.series.is_up(),
        attempts,
        // Between two readings another attempt may have ended.
        failed: attempts.saturating_sub(well),
        waits: waits(&backend.series),
    }
}

/// Returns how many attempts there were.
pub(super) fn attempts(series: &BackendSeries) -> u64 {
    series.shards().sum(|shard| shard.attempts.sum())
}

/// Returns how many final answers it gave.
pub(super) fn requests(series: &BackendSeries) -> u64 {
    let mut total = StatusTotal::default();
    series.shards().iter().for_each(|shard| shard.requests.add_to(&mut total));
    total.sum()
}

/// Returns the waits for answers so far.
pub(super) fn waits(series: &BackendSeries) -> HistogramTotal {
    let mut total = HistogramTotal::default();
    series.shards().iter().for_each(|shard| shard.response_wait.add_to(&mut total));
    total
}
