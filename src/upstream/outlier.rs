//! The judge: what live traffic says about a backend in the light of what it says about the others.
//!
//! Apart from the signs because a sign is about one attempt, which every worker notes for itself, while this compares
//! what all of them have counted. It reads no cell and no clock: whoever looks tells it the counts, so a test can tell
//! it an hour of traffic in a second. A finding is a proposal; [`Upstream::observe`](super::Upstream::observe) decides.
//!
//! - `silence`: a backend answers nobody, looked at every [`LOOK_EVERY`].
//! - `comparison`: its failures and waits beside those of its peers, every [`COMPARE_EVERY`].

mod comparison;
mod silence;

pub use comparison::Totals;
pub use silence::Sample;

use std::time::Duration;

use tokio::time::Instant;

use super::Upstream;
use super::balance::Balancer;
use super::settings::OutlierRules;
use crate::telemetry::EjectionReason;
use comparison::Comparison;
use silence::Silences;

/// How often [`Judge::look`] is meant to be called.
pub const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How often [`Judge::compare`] is meant to be called.
pub const COMPARE_EVERY: Duration = Duration::from_millis(500);

/// What the judge finds about a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// It has answered nobody for much longer than usual: others should be preferred, those who wait for it should ask
    /// elsewhere, and a probe may tell whether it lives. Found again only for exchanges that began to wait later.
    Silent {
        /// How many wait.
        stuck: u64,
        /// Since when it has answered nobody.
        since: Instant,
    },
    /// It does so much worse than it should that it is to be ejected. Found again while that holds.
    Eject(EjectionReason),
}

/// Judges the backends of one upstream, by what is told of them at each look.
///
/// Backends are numbered as in the upstream. None is ever found to be worse than its peers because these are few or have
/// no traffic: what is compared needs numbers on both sides.
#[derive(Debug)]
pub struct Judge {
    rules: Option<OutlierRules>,
    silences: Silences,
    comparison: Comparison,
}

impl Judge {
    /// A judge of this upstream's backends, by its rules, who has seen nothing yet.
    #[must_use]
    pub fn new(upstream: &Upstream) -> Self {
        let mut judge =
            Self { rules: None, silences: Silences::default(), comparison: Comparison::default() };
        judge.follow(upstream, &[]);
        judge
    }

    /// Judges another configuration's upstream from now on. `kept` says for each of its backends which number it had
    /// before, if it was there.
    pub fn follow(&mut self, upstream: &Upstream, kept: &[Option<usize>]) {
        self.rules = upstream.outliers;
        let kept = |backend: usize| kept.get(backend).copied().flatten();
        let kept: Vec<Option<usize>> = (0..upstream.backends.len()).map(kept).collect();
        self.silences.follow(&kept);
        self.comparison.follow(&kept, are_comparable(upstream));
    }

    /// Looks for silence, in one sample of each backend.
    #[must_use]
    pub fn look(&mut self, now: Instant, samples: &[Sample]) -> Vec<(usize, Finding)> {
        let usual = self.comparison.usual_wait(0.99);
        let ejects = self.rules.is_some_and(|rules| rules.stalls);
        self.silences.look(now, samples, usual, ejects)
    }

    /// Compares the backends, by the totals of each.
    #[must_use]
    pub fn compare(&mut self, totals: &[Totals]) -> Vec<(usize, Finding)> {
        self.comparison.advance(totals);
        let Some(rules) = self.rules else { return Vec::new() };
        let found = self.comparison.verdicts(&rules);
        found.into_iter().map(|(backend, reason)| (backend, Finding::Eject(reason))).collect()
    }

    /// Takes note that a backend answered a probe, which excuses one silence.
    pub fn probe_answered(&mut self, backend: usize) {
        self.silences.excuse(backend);
    }

    /// Returns this quantile, 0 to 1, of the waits that were usual lately. None before there were enough answers.
    #[must_use]
    pub fn usual_wait(&self, quantile: f64) -> Option<Duration> {
        self.comparison.usual_wait(quantile)
    }
}

/// Tells whether the backends get like work, so that one that does worse is worse. What of a request decides where it
/// goes may also decide how long it takes and whether it fails: a slow client stays with its backend.
fn are_comparable(upstream: &Upstream) -> bool {
    upstream.sticky.is_none() && !matches!(upstream.balancer(), Balancer::ConsistentHash { .. })
}

#[cfg(test)]
mod tests;
