//! The series that an agent exports, in two parts: what holds of the target, which is also pushed, and what the agent
//! keeps about its own work.

mod own;
mod registry;
mod target;

pub(crate) use own::PushSeries;
pub(crate) use target::Growth;

use std::time::{SystemTime, UNIX_EPOCH};

use crate::reading::{Reading, Usage};
use own::OwnSeries;
use target::TargetSeries;

/// All series of one agent.
pub(crate) struct Metrics {
    target: TargetSeries,
    own: OwnSeries,
}

impl Metrics {
    /// Makes the series of an agent that measures a target of the kind `source`.
    pub(crate) fn new(source: &str) -> Self {
        Self { target: TargetSeries::new(), own: OwnSeries::new(source) }
    }

    /// Shows a good sample: the reading, what was used since the one before, and how busy that is if it can be told yet.
    pub(crate) fn show(&self, reading: &Reading, growth: &Growth, usage: Option<&Usage>) {
        self.target.show(reading, growth, usage);
        self.own.show_up(now());
    }

    /// Shows that there is nothing to see: drops what only held while the target was there.
    pub(crate) fn clear(&self) {
        self.target.clear();
        self.own.show_down();
    }

    /// Counts a sample that failed though the target may be there.
    pub(crate) fn count_error(&self) {
        self.own.count_error();
    }

    /// Returns the series of the pushes to `gateway`, all of which exist from here on.
    pub(crate) fn pushes_to(&self, gateway: &str) -> PushSeries {
        self.own.pushes_to(gateway)
    }

    /// Renders all series in the Prometheus text format.
    pub(crate) fn render(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(4 * 1024);
        self.target.render(&mut text);
        self.own.render(&mut text);
        text
    }

    /// Renders what holds of the target, for a push.
    pub(crate) fn render_push(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(2 * 1024);
        self.target.render_push(&mut text);
        text
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests;
