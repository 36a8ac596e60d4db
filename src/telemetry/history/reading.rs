//! A reading: what the cells of one series add up to at one moment.

use crate::telemetry::histogram::HistogramTotal;
use crate::telemetry::labels::AttemptOutcome;
use crate::telemetry::series::{BackendSeries, BackendShard, UpstreamSeries};
use crate::telemetry::status::StatusTotal;

/// Totals that only grow. Their difference over a second is what happened in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Final answers: 1xx and 2xx together, then 3xx, 4xx, and 5xx together with what is no status.
    pub answers: [u64; 4],
    /// How long the requests took that were tried on a backend.
    pub durations: HistogramTotal,
    /// Attempts that failed.
    pub failed: u64,
    /// Attempts that were made again elsewhere, charged to the backend that failed.
    pub retries: u64,
    /// Requests that this backend answered after another had failed.
    pub rescues: u64,
}

impl Reading {
    /// Reads the cells of a backend.
    #[must_use]
    pub fn of_backend(series: &BackendSeries) -> Self {
        let shards = series.shards();
        let mut answers = StatusTotal::default();
        let mut durations = HistogramTotal::default();
        for shard in shards.iter() {
            shard.requests.add_to(&mut answers);
            shard.request_duration.add_to(&mut durations);
        }
        Self {
            durations,
            failed: shards.sum(failed),
            retries: shards.sum(|shard| shard.retries.sum()),
            rescues: shards.sum(|shard| shard.rescues.get()),
            ..Self::of_answers(&answers)
        }
    }

    /// Reads what an upstream answered without any of its backends.
    #[must_use]
    pub fn of_refused(series: &UpstreamSeries) -> Self {
        let mut answers = StatusTotal::default();
        series.shards().iter().for_each(|shard| shard.requests_no_backend.add_to(&mut answers));
        Self::of_answers(&answers)
    }

    /// Takes over answers of which nothing else is known.
    #[must_use]
    pub fn of_answers(answers: &StatusTotal) -> Self {
        let [success, redirect, client] =
            [answers.class(1) + answers.class(2), answers.class(3), answers.class(4)];
        let server = answers.sum() - success - redirect - client;
        Self { answers: [success, redirect, client, server], ..Self::default() }
    }

    /// Returns what was counted after `earlier`, a reading of the same series.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            answers: std::array::from_fn(|class| self.answers[class].saturating_sub(earlier.answers[class])),
            durations: self.durations.since(&earlier.durations),
            failed: self.failed.saturating_sub(earlier.failed),
            retries: self.retries.saturating_sub(earlier.retries),
            rescues: self.rescues.saturating_sub(earlier.rescues),
        }
    }

    /// Adds what was counted of another series.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.answers.iter_mut().zip(other.answers) {
            *sum += more;
        }
        self.durations.add(&other.durations);
        self.failed += other.failed;
        self.retries += other.retries;
        self.rescues += other.rescues;
    }
}

/// Counts the attempts that failed. The cells are read one after the other while their worker goes on counting: a part may
/// be ahead of the whole.
fn failed(shard: &BackendShard) -> u64 {
    let others = AttemptOutcome::NEUTRAL.iter().chain([&AttemptOutcome::Ok]);
    let others: u64 = others.map(|outcome| shard.attempts.get(*outcome)).sum();
    shard.attempts.sum().saturating_sub(others)
}
