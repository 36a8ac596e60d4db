//! Ejections: how long one lasts, and for how long it is remembered.
//!
//! Each ejection lasts twice as long as the one before, up to a limit, so that a backend which passes every probe and
//! fails its work costs less and less. Good behaviour makes up for it: one ejection is forgotten for every span in
//! service, without leaving it, that is as long as that ejection lasted, and at least [`REMEMBERED`].

use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry::EjectionReason;

/// The shortest good behaviour for which an ejection is forgotten.
const REMEMBERED: Duration = Duration::from_secs(10);

/// How long ejections last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EjectionTimes {
    /// The first.
    pub first: Duration,
    /// The longest.
    pub max: Duration,
}

impl Default for EjectionTimes {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), max: Duration::from_secs(300) }
    }
}

impl EjectionTimes {
    /// Returns how long an ejection lasts after so many others.
    #[must_use]
    pub fn after(self, others: u32) -> Duration {
        self.first.saturating_mul(1_u32.checked_shl(others).unwrap_or(u32::MAX)).min(self.max)
    }
}

/// A backend is out because of how it behaved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// How it behaved.
    pub reason: EjectionReason,
    /// Since when.
    pub since: Instant,
    /// Until when at least: then a probe decides.
    pub until: Instant,
}

/// What is remembered of a backend's ejections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    lately: u32,
    /// Since when it has behaved well, as far as that was not set off against an ejection yet.
    good_since: Instant,
}

impl Record {
    pub(super) fn new(now: Instant) -> Self {
        Self { lately: 0, good_since: now }
    }

    pub(super) fn lately(&self) -> u32 {
        self.lately
    }

    /// Begins an ejection.
    pub(super) fn eject(&mut self, reason: EjectionReason, times: EjectionTimes, now: Instant) -> Ejection {
        self.forget(times, now);
        let until = now + times.after(self.lately);
        (self.lately, self.good_since) = (self.lately.saturating_add(1), now);
        Ejection { reason, since: now, until }
    }

    /// Good behaviour begins to count: the backend is back in service.
    pub(super) fn behaves_since(&mut self, now: Instant) {
        self.good_since = now;
    }

    /// Forgets what good behaviour until now makes up for.
    pub(super) fn forget(&mut self, times: EjectionTimes, now: Instant) {
        while let Some(others) = self.lately.checked_sub(1) {
            let price = times.after(others).max(REMEMBERED);
            if now.saturating_duration_since(self.good_since) < price {
                return;
            }
            self.lately = others;
            self.good_since += price;
        }
    }
}
