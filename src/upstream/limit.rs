//! The adaptive load line: how many exchanges a backend takes without its answers growing slower.
//!
//! A backend that is asked for more than it can do answers no faster, only later: its queue grows, and so does the time
//! that everybody waits. The limit follows the ratio between the time that answers took when there was no queue and the
//! time that they take now, plus some room to try whether more would do. This is the gradient algorithm of Netflix's
//! `concurrency-limits` ("Performance Under Load", 2018), fed with averages over a period instead of single answers, so
//! that the data plane has nothing to do for it.

use std::time::Duration;

/// The least and the most that the limit may become.
const LEAST: f64 = 4.0;
const MOST: f64 = 10_000.0;

/// The limit that is begun with.
const FIRST: f64 = 20.0;

/// How much slower than without a queue answers may be before the limit falls.
const TOLERANCE: f64 = 1.5;

/// How much of a new limit is taken over in one period.
const SMOOTHING: f64 = 0.2;

/// The weight of one period in the average that stands for "without a queue": about half an hour of periods of a second.
const MEMORY: f64 = 0.0005;

/// A period with fewer answers than this says nothing.
const ANSWERS_MIN: u64 = 10;

/// The limit of one backend, learned period by period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaptiveLimit {
    limit: f64,
    /// The average wait without a queue, in seconds; None before the first period.
    unloaded: Option<f64>,
}

/// What was seen of a backend in one period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Period {
    /// Answers.
    pub answers: u64,
    /// Their average wait.
    pub wait: Duration,
    /// Exchanges in flight at the end.
    pub in_flight: u64,
}

impl Default for AdaptiveLimit {
    fn default() -> Self {
        Self { limit: FIRST, unloaded: None }
    }
}

impl AdaptiveLimit {
    /// Returns the limit.
    #[must_use]
    pub fn get(&self) -> u32 {
        self.limit as u32
    }

    /// Takes a period into account.
    pub fn learn(&mut self, period: Period) {
        let wait = period.wait.as_secs_f64();
        if period.answers < ANSWERS_MIN || wait <= 0.0 {
            return;
        }
        let before = self.unloaded.unwrap_or(wait);
        // Faster is believed at once: there was a queue before, which looked like the backend's own speed.
        let unloaded = if wait < before { wait } else { before + (wait - before) * MEMORY };
        self.unloaded = Some(unloaded);
        let gradient = (TOLERANCE * unloaded / wait).clamp(0.5, 1.0);
        // A limit that is not used says nothing about what would happen above it.
        let used = period.in_flight as f64 * 2.0 >= self.limit;
        if gradient >= 1.0 && !used {
            return;
        }
        let wanted = self.limit * gradient + self.limit.sqrt();
        let smoothed = self.limit * (1.0 - SMOOTHING) + wanted * SMOOTHING;
        self.limit = smoothed.clamp(LEAST, MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A backend that answers `at_once` exchanges in 10 ms each and lets the others wait; it is asked for all it takes.
    fn settle(limit: &mut AdaptiveLimit, at_once: f64, periods: usize) -> f64 {
        for _ in 0..periods {
            let in_flight = f64::from(limit.get());
            let wait = Duration::from_millis(10).mul_f64((in_flight / at_once).max(1.0));
            limit.learn(Period { answers: 100, wait, in_flight: in_flight as u64 });
        }
        f64::from(limit.get())
    }

    #[test]
    fn the_limit_finds_what_the_backend_can_do() {
        for at_once in [20.0, 64.0, 200.0] {
            let found = settle(&mut AdaptiveLimit::default(), at_once, 300);
            assert!((at_once..at_once * 2.5).contains(&found), "{found} for {at_once}");
        }
    }

    #[test]
    fn the_limit_falls_when_the_backend_can_do_less() {
        let mut limit = AdaptiveLimit::default();
        let before = settle(&mut limit, 100.0, 300);
        let after = settle(&mut limit, 25.0, 100);
        assert!(after < before / 2.0 && after >= 25.0, "{before} to {after}");
    }

    #[test]
    fn a_quiet_backend_keeps_its_limit() {
        let mut limit = AdaptiveLimit::default();
        for _ in 0..1000 {
            limit.learn(Period { answers: 50, wait: Duration::from_millis(3), in_flight: 1 });
            limit.learn(Period { answers: 1, wait: Duration::from_secs(9), in_flight: 1 });
        }
        assert_eq!(limit, AdaptiveLimit { unloaded: Some(0.003), ..AdaptiveLimit::default() });
    }

    #[test]
    fn the_limit_stays_within_its_bounds() {
        let mut limit = AdaptiveLimit::default();
        for wait in [1, 100_000].into_iter().cycle().take(10_000) {
            limit.learn(Period { answers: 100, wait: Duration::from_millis(wait), in_flight: 20_000 });
            assert!((LEAST as u32..=MOST as u32).contains(&limit.get()));
        }
    }
}
