//! The peak-sensitive moving average of a backend's latency.
//!
//! Apart from the balancer that reads it because it is written by every worker at the end of every attempt: one word,
//! relaxed, no lock. An update that loses a race is dropped; the next answer is a moment away.
//!
//! The average is that of Finagle's "peak EWMA": a slower answer than the average replaces it at once, a faster one
//! pulls it down in proportion to the time since the last answer, so that a backend which stalls is seen after one
//! answer and forgiven over [`DECAY`]. What is ours is that the idle are forgiven sooner: a backend that was found slow gets no answers to
//! give any more, so that it would take minutes to be believed.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// The time in which the weight of an old answer falls to 1/e.
pub const DECAY: Duration = Duration::from_secs(10);

/// The time without answers in which what is known of a backend falls to 1/e: one that was a hundred times slower is
/// tried again after two seconds, at the price of one slow answer.
const FORGIVEN: Duration = Duration::from_millis(500);

/// A stamp counts spans of 2¹⁴ ns, which is fine enough to tell answers apart, and begins anew after 19 hours.
const STAMP_SHIFT: u32 = 14;

/// The latency of one backend, shared by all workers.
#[derive(Debug)]
pub struct PeakLatency {
    /// Seconds as the bits of an `f32` above, a stamp below; 0 while no answer was seen.
    cell: AtomicU64,
    epoch: Instant,
}

impl PeakLatency {
    /// Nothing is known yet. `now` is the origin of the stamps.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { cell: AtomicU64::new(0), epoch: now }
    }

    /// Takes an answer's latency into account.
    pub fn record(&self, took: Duration, now: Instant) {
        let old = self.cell.load(Relaxed);
        let took = took.as_secs_f32().max(f32::MIN_POSITIVE);
        let stamp = self.stamp(now);
        let new = match unpack(old) {
            Some((peak, at)) => {
                let spans = stamp.wrapping_sub(at);
                let (peak, kept) = (peak * decayed(spans, FORGIVEN), decayed(spans, DECAY));
                if took < peak { peak * kept + took * (1.0 - kept) } else { took }
            }
            None => took,
        };
        // A lost race drops this answer in favour of another worker's: cheaper than a loop, and as good an estimate.
        let _ = self.cell.compare_exchange(old, pack(new, stamp), Relaxed, Relaxed);
    }

    /// Forgets every answer, because the backend is not what it was.
    pub(super) fn forget(&self) {
        self.cell.store(0, Relaxed);
    }

    /// Estimates the latency of the next answer, in seconds. None while no answer was seen.
    ///
    /// An `idle` backend is forgiven as time passes, or a single slow answer could keep it from ever getting another
    /// chance. One with exchanges in flight is not: it is its answers that must tell.
    #[must_use]
    pub fn estimate(&self, now: Instant, idle: bool) -> Option<f32> {
        let (peak, at) = unpack(self.cell.load(Relaxed))?;
        Some(if idle { peak * decayed(self.stamp(now).wrapping_sub(at), FORGIVEN) } else { peak })
    }

    fn stamp(&self, now: Instant) -> u32 {
        (now.saturating_duration_since(self.epoch).as_nanos() >> STAMP_SHIFT) as u32
    }
}

fn decayed(spans: u32, within: Duration) -> f32 {
    const SPAN: f32 = (1_u32 << STAMP_SHIFT) as f32 * 1e-9;
    (-(spans as f32) * SPAN / within.as_secs_f32()).exp()
}

fn pack(seconds: f32, stamp: u32) -> u64 {
    u64::from(seconds.to_bits()) << 32 | u64::from(stamp)
}

fn unpack(cell: u64) -> Option<(f32, u32)> {
    let seconds = f32::from_bits((cell >> 32) as u32);
    (seconds > 0.0).then_some((seconds, cell as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn close(estimate: Option<f32>, expected: f32) {
        let estimate = estimate.expect("an answer was recorded");
        assert!((estimate - expected).abs() < expected * 0.01, "{estimate} is not about {expected}");
    }

    #[test]
    fn nothing_is_known_before_the_first_answer() {
        let start = Instant::now();
        assert_eq!(PeakLatency::new(start).estimate(start, true), None);
    }

    #[test]
    fn a_slow_answer_counts_at_once() {
        let start = Instant::now();
        let latency = PeakLatency::new(start);
        latency.record(MS, start);
        latency.record(300 * MS, start + MS);
        close(latency.estimate(start + MS, false), 0.3);
    }

    #[test]
    fn fast_answers_are_believed_slowly() {
        let start = Instant::now();
        let latency = PeakLatency::new(start);
        latency.record(100 * MS, start);
        latency.record(MS, start + 5 * MS);
        let estimate = latency.estimate(start + 5 * MS, false).expect("an answer was recorded");
        assert!((0.09..0.1).contains(&estimate), "{estimate}");
    }

    #[test]
    fn a_backend_that_was_left_alone_is_believed_at_once() {
        let start = Instant::now();
        let latency = PeakLatency::new(start);
        latency.record(500 * MS, start);
        latency.record(5 * MS, start + 6 * FORGIVEN);
        close(latency.estimate(start + 6 * FORGIVEN, false), 0.005);
    }

    #[test]
    fn time_forgives_only_the_idle() {
        let start = Instant::now();
        let latency = PeakLatency::new(start);
        latency.record(100 * MS, start);
        close(latency.estimate(start + FORGIVEN, true), 0.1 / std::f32::consts::E);
        close(latency.estimate(start + FORGIVEN, false), 0.1);
    }
}
