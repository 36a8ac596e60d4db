//! One moment on both clocks: that which only counts, and that which people read.

use std::time::SystemTime;

use tokio::time::Instant;

use crate::telemetry::rfc3339;

/// The present, read once so that all of one answer speaks of the same moment.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// On the clock of the model, which never goes back.
    pub instant: Instant,
    /// On the clock of people.
    pub time: SystemTime,
}

impl Now {
    /// Reads both clocks.
    #[must_use]
    pub fn read() -> Self {
        Self { instant: Instant::now(), time: SystemTime::now() }
    }

    /// Returns when `then` was or will be, to the millisecond.
    #[must_use]
    pub fn time_of(self, then: Instant) -> SystemTime {
        let ago = self.instant.saturating_duration_since(then);
        let ahead = then.saturating_duration_since(self.instant);
        let time = self.time.checked_sub(ago).and_then(|time| time.checked_add(ahead));
        time.unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Returns the same as text.
    #[must_use]
    pub fn rfc3339(self, then: Instant) -> String {
        rfc3339(self.time_of(then)).to_string()
    }
}
