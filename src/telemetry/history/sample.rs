//! A sample: what happened within one second, as rates, and how things stood at its end.

use std::time::Duration;

use super::reading::Reading;
use crate::telemetry::labels::{BackendState, Label as _};
use crate::telemetry::series::BackendSeries;

/// One second of one track. A number that there is none of is not a number (NaN): half the size of an `Option`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Final answers per second: 1xx and 2xx together, then 3xx, 4xx, and 5xx.
    pub answers: [f32; 4],
    /// The median time that requests took, in milliseconds; estimated within the histogram's bucket.
    pub p50_ms: f32,
    /// The time that 99 % of the requests did not exceed, in milliseconds.
    pub p99_ms: f32,
    /// Failed attempts per second.
    pub failed: f32,
    /// Attempts per second that were made again elsewhere.
    pub retries: f32,
    /// Requests per second that were answered after another backend had failed.
    pub rescues: f32,
    /// Exchanges in flight.
    pub in_flight: f32,
    /// The weight that the balancer worked with. None of a sum.
    pub weight: f32,
    /// The share of new work that was intended, 0 to 1. None of a sum.
    pub share: f32,
    /// CPU usage in percent: of the backend as its agent tells it; in the total, of the workers, 100 for each core.
    pub cpu: f32,
    /// The state as a number, see [`BackendState`]. None of a sum.
    pub state: f32,
}

/// One number of a sample.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name, which does not change.
    pub name: &'static str,
    /// Digits behind the point that mean something.
    pub digits: i32,
    /// Reads it.
    pub of: fn(&Sample) -> f32,
}

impl Sample {
    /// A second of which nothing is known.
    pub const NONE: Self = Self {
        answers: [f32::NAN; 4],
        p50_ms: f32::NAN,
        p99_ms: f32::NAN,
        failed: f32::NAN,
        retries: f32::NAN,
        rescues: f32::NAN,
        in_flight: f32::NAN,
        weight: f32::NAN,
        share: f32::NAN,
        cpu: f32::NAN,
        state: f32::NAN,
    };

    /// All numbers, by name.
    #[rustfmt::skip] // one line per column, so that it reads as the table it is
    pub const COLUMNS: [Column; 14] = [
        Column { name: "success", digits: 1, of: |sample| sample.answers[0] },
        Column { name: "redirect", digits: 1, of: |sample| sample.answers[1] },
        Column { name: "client_error", digits: 1, of: |sample| sample.answers[2] },
        Column { name: "server_error", digits: 1, of: |sample| sample.answers[3] },
        Column { name: "p50_ms", digits: 2, of: |sample| sample.p50_ms },
        Column { name: "p99_ms", digits: 2, of: |sample| sample.p99_ms },
        Column { name: "failed", digits: 1, of: |sample| sample.failed },
        Column { name: "retries", digits: 1, of: |sample| sample.retries },
        Column { name: "rescues", digits: 1, of: |sample| sample.rescues },
        Column { name: "in_flight", digits: 0, of: |sample| sample.in_flight },
        Column { name: "weight", digits: 2, of: |sample| sample.weight },
        Column { name: "share", digits: 4, of: |sample| sample.share },
        Column { name: "cpu", digits: 1, of: |sample| sample.cpu },
        Column { name: "state", digits: 0, of: |sample| sample.state },
    ];

    /// Makes the sample of a sum: what was gained within `elapsed`, and what is in flight.
    #[must_use]
    pub fn of_sum(gained: &Reading, elapsed: Duration, in_flight: i64) -> Self {
        let rate = |count: u64| (count as f64 / elapsed.as_secs_f64()) as f32;
        let quantile =
            |q| gained.durations.quantile(q).map_or(f32::NAN, |seconds: f64| (seconds * 1e3) as f32);
        Self {
            answers: gained.answers.map(rate),
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            failed: rate(gained.failed),
            retries: rate(gained.retries),
            rescues: rate(gained.rescues),
            // Each worker counts for itself: for a moment the sum may be below nothing.
            in_flight: in_flight.max(0) as f32,
            ..Self::NONE
        }
    }

    /// Makes the sample of a backend, with what its series shows now.
    #[must_use]
    pub fn of_backend(gained: &Reading, elapsed: Duration, series: &BackendSeries, cpu: Option<f64>) -> Self {
        Self {
            weight: series.effective_weight.get() as f32,
            share: series.intended_share.get() as f32,
            cpu: cpu.map_or(f32::NAN, |percent| percent as f32),
            state: series.state().index() as f32,
            ..Self::of_sum(gained, elapsed, series.inflight.get())
        }
    }

    /// Returns the state. None of a sum, and of a second of which nothing is known.
    #[must_use]
    pub fn state(&self) -> Option<BackendState> {
        let index = (!self.state.is_nan()).then_some(self.state as usize)?;
        BackendState::ALL.get(index).copied()
    }

    /// Returns all answers per second.
    #[must_use]
    pub fn rate(&self) -> f32 {
        self.answers.iter().sum()
    }
}
