//! The time that a backend may take to drain: what it has not finished by then is given up.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use tokio::time::Instant;

use super::Upstream;
use super::backend::Backend;

/// Until when a backend may take to drain, and how often that time has passed. Times are milliseconds on the backend's own
/// clock, which never shows 0.
#[derive(Debug, Default)]
pub(super) struct DrainDeadline {
    /// 0 for none.
    at: AtomicU64,
    passed: AtomicU32,
}

impl Backend {
    /// Returns until when it may take to finish what it has. None while nobody drains it and it is configured, and once
    /// the time has passed.
    #[must_use]
    pub fn drain_deadline(&self) -> Option<Instant> {
        match self.drain.at.load(Relaxed) {
            0 => None,
            at => Some(self.instant(at)),
        }
    }

    /// Returns how often a time to drain has passed: an exchange that finds another number than at its begin has had its
    /// time, and is to end. One that begins later, since nobody else is available, is not meant.
    #[must_use]
    pub fn drains_ended(&self) -> u32 {
        self.drain.passed.load(Relaxed)
    }

    pub(super) fn set_drain_deadline(&self, deadline: Option<Instant>) {
        self.drain.at.store(deadline.map_or(0, |deadline| self.milliseconds(deadline)), Relaxed);
    }

    /// Gives up what is in flight if the time to drain has passed; see [`Upstream::end_drains`]. Tells whether it has. For a
    /// backend that has left its upstream.
    pub fn end_drain(&self, now: Instant) -> bool {
        if self.drain_deadline().is_none_or(|deadline| now < deadline) {
            return false;
        }
        self.set_drain_deadline(None);
        self.drain.passed.fetch_add(1, Relaxed);
        self.raise_alarm();
        true
    }
}

impl Upstream {
    /// Gives up what is in flight on backends whose time to drain has passed, each once: raises their alarm, so that what
    /// may be repeated goes elsewhere, and counts up [`Backend::drains_ended`]. To be called a few times a second.
    ///
    /// Returns these backends. Those who wait for them must be woken.
    pub fn end_drains(&self, now: Instant) -> impl Iterator<Item = &Backend> {
        self.backends.iter().map(|backend| &**backend).filter(move |backend| backend.end_drain(now))
    }
}
