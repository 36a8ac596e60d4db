//! The retry budget: how many retries an upstream may have, so that a failing one does not drown in them.
//!
//! A bucket of tokens that every retry takes one from. It fills with the requests, of which it is a share, and with time,
//! so that an upstream with little traffic can retry at all. The data plane touches it only when it retries: what
//! requests earn is added by the control plane, which counts them anyway.
//!
//! The idea is that of Finagle's `RetryBudget`, whose window of ten seconds it keeps as the most that may be saved.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::retry::BudgetSettings;

/// How many seconds of earnings may be saved.
const SAVED_SECONDS: f64 = 10.0;

/// Thousandths of a retry: one request earns a fifth of one.
const UNIT: f64 = 1000.0;

/// The retries that an upstream may have now.
#[derive(Debug)]
pub struct RetryBudget {
    /// In thousandths.
    tokens: AtomicI64,
    /// The rate of requests lately, per second, as the bits of an `f64`; it says how much may be saved.
    rate: AtomicU64,
}

impl RetryBudget {
    /// A budget with what ten seconds without a request earn.
    #[must_use]
    pub fn new(settings: BudgetSettings) -> Self {
        Self {
            tokens: AtomicI64::new((settings.per_second * SAVED_SECONDS * UNIT) as i64),
            rate: AtomicU64::new(0),
        }
    }

    /// Pays for one retry; false when nothing is left.
    #[must_use]
    pub fn take(&self) -> bool {
        const ONE: i64 = UNIT as i64;
        let paid = self.tokens.fetch_update(Relaxed, Relaxed, |left| (left >= ONE).then(|| left - ONE));
        paid.is_ok()
    }

    /// Returns how many retries are left.
    #[must_use]
    pub fn left(&self) -> u64 {
        (self.tokens.load(Relaxed).max(0) as f64 / UNIT) as u64
    }

    /// Adds what `requests` in the time `elapsed` have earned. Called by one thread, at least every few seconds.
    pub fn refill(&self, settings: BudgetSettings, requests: u64, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        let earned = requests as f64 * settings.share + seconds * settings.per_second;
        let rate = self.smoothed_rate(requests as f64 / seconds, seconds);
        let most = (rate * settings.share + settings.per_second) * SAVED_SECONDS;
        let add = |left: i64| Some((left + (earned * UNIT) as i64).min((most * UNIT) as i64));
        // Never fails: `add` always has an answer.
        let _ = self.tokens.fetch_update(Relaxed, Relaxed, add);
    }

    /// Returns the rate of requests, averaged over about as long as may be saved.
    fn smoothed_rate(&self, rate: f64, seconds: f64) -> f64 {
        let before = f64::from_bits(self.rate.load(Relaxed));
        let kept = (-seconds / SAVED_SECONDS).exp();
        // A peak counts at once: what it earned is not taken away again in the same moment.
        let smoothed = (before * kept + rate * (1.0 - kept)).max(if rate > before { rate } else { 0.0 });
        self.rate.store(smoothed.to_bits(), Relaxed);
        smoothed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: BudgetSettings = BudgetSettings { share: 0.2, per_second: 10.0 };
    const SECOND: Duration = Duration::from_secs(1);

    fn spend(budget: &RetryBudget) -> u64 {
        (0..).take_while(|_| budget.take()).count() as u64
    }

    #[test]
    fn an_upstream_with_little_traffic_can_retry() {
        let budget = RetryBudget::new(SETTINGS);
        assert_eq!(spend(&budget), 100);
        budget.refill(SETTINGS, 0, SECOND);
        assert_eq!(spend(&budget), 10);
    }

    #[test]
    fn requests_earn_their_share_of_retries() {
        let budget = RetryBudget::new(SETTINGS);
        spend(&budget);
        budget.refill(SETTINGS, 1000, SECOND);
        assert_eq!(spend(&budget), 210);
    }

    #[test]
    fn no_more_is_saved_than_ten_seconds_earn() {
        let budget = RetryBudget::new(SETTINGS);
        (0..1000).for_each(|_| budget.refill(SETTINGS, 100, SECOND));
        assert_eq!(budget.left(), 300);
        (0..1000).for_each(|_| budget.refill(SETTINGS, 0, SECOND));
        assert_eq!(budget.left(), 100, "the traffic that earned it is long gone");
    }

    #[test]
    fn without_a_share_and_a_rate_there_are_no_retries() {
        let none = BudgetSettings { share: 0.0, per_second: 0.0 };
        let budget = RetryBudget::new(none);
        budget.refill(none, 1_000_000, SECOND);
        assert!(!budget.take());
    }
}
