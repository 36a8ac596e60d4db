//! A histogram of durations with fixed buckets, cheap enough for every exchange.
//!
//! Our own instead of the crate's because that one counts in shared atomics and floats: here a duration costs a short
//! search over whole nanoseconds and two single-writer additions.

use std::time::Duration;

use super::cells::{Cell, Counter};

/// The upper bounds of the buckets in nanoseconds, inclusive.
///
/// From 5 ms on these are the defaults of OpenTelemetry's `http.server.request.duration`; below are finer ones, since a
/// balancer's own share of a request is far under 5 ms.
pub const BOUNDS_NS: [u64; 19] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    75_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    750_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    7_500_000_000,
    10_000_000_000,
];

const BUCKETS: usize = BOUNDS_NS.len() + 1;

/// Returns the bucket that a duration falls into.
pub(super) fn bucket_of(duration: Duration) -> usize {
    bucket_of_ns(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

fn bucket_of_ns(ns: u64) -> usize {
    BOUNDS_NS.partition_point(|bound| *bound < ns)
}

/// Durations by bucket, with their sum. `C` says who may write: one thread ([`Counter`]) or all
/// ([`super::SharedCounter`]).
#[derive(Debug, Default)]
pub struct Histogram<C = Counter> {
    buckets: [C; BUCKETS],
    sum_ns: C,
}

impl<C: Cell> Histogram<C> {
    /// Records one duration; longer than 584 years counts as that.
    pub fn record(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket_of_ns(ns)].add(1);
        self.sum_ns.add(ns);
    }

    /// Adds what was recorded here to `total`.
    pub fn add_to(&self, total: &mut HistogramTotal) {
        for (sum, bucket) in total.buckets.iter_mut().zip(&self.buckets) {
            *sum += bucket.get();
        }
        total.sum_ns = total.sum_ns.wrapping_add(self.sum_ns.get());
    }
}

/// What histograms of one series add up to.
///
/// The count is the sum of the buckets and never kept apart, so that a reading between two writes cannot disagree with
/// itself.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct HistogramTotal {
    buckets: [u64; BUCKETS],
    sum_ns: u64,
}

impl HistogramTotal {
    /// Returns how many durations were recorded.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Estimates how many durations were longer than so many seconds, by interpolation inside a bucket.
    pub fn above(&self, seconds: f64) -> f64 {
        let (mut lower, mut below) = (0.0, 0);
        for (upper, up_to) in self.cumulative() {
            if seconds < upper {
                let shorter = (up_to - below) as f64 * (seconds - lower).max(0.0) / (upper - lower);
                return (self.count() - below) as f64 - shorter;
            }
            (lower, below) = (upper, up_to);
        }
        (self.count() - below) as f64
    }

    /// Returns the sum of all durations in seconds.
    pub fn sum_seconds(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }

    /// Returns each bound in seconds with the number of durations up to it; without the last, infinite one.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut below = 0;
        BOUNDS_NS.iter().zip(&self.buckets).map(move |(bound, bucket)| {
            below += bucket;
            (*bound as f64 / 1e9, below)
        })
    }

    /// Returns what was recorded after `earlier`, a reading of the same series.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = *self;
        for (bucket, before) in since.buckets.iter_mut().zip(&earlier.buckets) {
            *bucket = bucket.saturating_sub(*before);
        }
        since.sum_ns = since.sum_ns.wrapping_sub(earlier.sum_ns);
        since
    }

    /// Adds the readings of another series.
    pub fn add(&mut self, other: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *bucket += more;
        }
        self.sum_ns = self.sum_ns.wrapping_add(other.sum_ns);
    }

    /// Returns the average; zero while nothing was recorded.
    #[must_use]
    pub fn mean(&self) -> Duration {
        self.sum_ns.checked_div(self.count()).map_or(Duration::ZERO, Duration::from_nanos)
    }

    /// Estimates the quantile `q` (0 to 1) in seconds by interpolating inside its bucket, as Prometheus does; `None`
    /// while nothing was recorded.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = q.clamp(0.0, 1.0) * count as f64;
        let (mut lower, mut below) = (0.0, 0_u64);
        for (upper, up_to) in self.cumulative() {
            if up_to as f64 >= rank && up_to > below {
                return Some(
                    lower + (upper - lower) * (rank - below as f64).max(0.0) / (up_to - below) as f64,
                );
            }
            (lower, below) = (upper, up_to);
        }
        Some(lower)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn total_of(durations: &[Duration]) -> HistogramTotal {
        let histogram: Histogram = Histogram::default();
        durations.iter().for_each(|duration| histogram.record(*duration));
        let mut total = HistogramTotal::default();
        histogram.add_to(&mut total);
        total
    }

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        let total = total_of(&[Duration::from_millis(5), Duration::from_nanos(5_000_001)]);
        let up_to = |seconds| total.cumulative().find(|(bound, _)| *bound == seconds).map(|(_, n)| n);
        assert_eq!(up_to(0.005), Some(1));
        assert_eq!(up_to(0.01), Some(2));
    }

    #[test]
    fn a_duration_above_all_bounds_is_still_counted() {
        let total = total_of(&[Duration::from_secs(11), Duration::MAX]);
        assert_eq!(total.count(), 2);
        assert_eq!(total.cumulative().last(), Some((10.0, 0)));
        assert_eq!(total.quantile(0.5), Some(10.0));
    }

    #[test]
    fn an_empty_histogram_has_no_quantile() {
        assert_eq!(HistogramTotal::default().quantile(0.99), None);
    }

    #[test]
    fn a_part_of_a_bucket_is_above_what_lies_inside_it() {
        let total = total_of(&[15, 20, 30, 30_000].map(Duration::from_millis));
        for (seconds, above) in
            [(0.0, 4.0), (0.01, 4.0), (0.0175, 3.0), (0.025, 2.0), (0.05, 1.0), (60.0, 1.0)]
        {
            assert_eq!(total.above(seconds), above, "{seconds} s");
        }
    }

    proptest! {
        #[test]
        fn two_readings_add_up_to_the_whole(
            before in prop::collection::vec(1_u64..20_000_000, 0..50),
            after in prop::collection::vec(1_u64..20_000_000, 0..50),
        ) {
            let histogram: Histogram = Histogram::default();
            let read = |histogram: &Histogram| {
                let mut total = HistogramTotal::default();
                histogram.add_to(&mut total);
                total
            };
            before.iter().for_each(|micros| histogram.record(Duration::from_micros(*micros)));
            let mut earlier = read(&histogram);
            after.iter().for_each(|micros| histogram.record(Duration::from_micros(*micros)));
            let whole = read(&histogram);
            let since = whole.since(&earlier);
            prop_assert_eq!(since.count(), after.len() as u64);
            earlier.add(&since);
            prop_assert_eq!(earlier, whole);
        }

        #[test]
        fn the_estimate_lies_in_the_bucket_of_the_true_quantile(
            micros in prop::collection::vec(1_u64..9_000_000, 1..200), q in 0.01_f64..1.0
        ) {
            let mut sorted = micros.clone();
            sorted.sort_unstable();
            let rank = (q * sorted.len() as f64).ceil() as usize;
            let exact = sorted[rank.clamp(1, sorted.len()) - 1] * 1000;
            let durations: Vec<_> = micros.iter().map(|us| Duration::from_micros(*us)).collect();
            let estimate = total_of(&durations).quantile(q).expect("something was recorded") * 1e9;
            let bucket = BOUNDS_NS.partition_point(|bound| *bound < exact);
            let lower = if bucket == 0 { 0 } else { BOUNDS_NS[bucket - 1] };
            prop_assert!(estimate >= lower as f64 * 0.999_999 && estimate <= BOUNDS_NS[bucket] as f64 * 1.000_001);
        }

        #[test]
        fn buckets_and_sum_agree_with_what_was_recorded(micros in prop::collection::vec(0_u64..20_000_000, 0..100)) {
            let durations: Vec<_> = micros.iter().map(|us| Duration::from_micros(*us)).collect();
            let total = total_of(&durations);
            prop_assert_eq!(total.count(), micros.len() as u64);
            let sum = micros.iter().sum::<u64>() as f64 / 1e6;
            prop_assert!((total.sum_seconds() - sum).abs() < 1e-6);
            for (bound, count) in total.cumulative() {
                let exact = micros.iter().filter(|us| **us as f64 <= bound * 1e6 + 1e-9).count() as u64;
                prop_assert_eq!(count, exact);
            }
        }
    }
}
