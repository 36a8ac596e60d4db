//! What the control plane tells an upstream, and the only place where the state of a backend changes.
//!
//! Apart from the picks because it may wait: a lock is held from the question whether a change is allowed to the fleet
//! that shows it, so that two changes at once can neither eject the last two backends nor publish each other's past.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::availability::{DrainSource, Event, Transition};
use super::backend::Backend;
use super::fleet::{Fleet, Standing, WhenNoneAvailable};
use super::{Upstream, UpstreamSettings};
use crate::telemetry::{BackendState, Stickiness};

/// A change of a backend's state, and what it means to its upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    /// The change.
    pub transition: Transition,
    /// How many backends of the upstream are available now.
    pub available: usize,
    /// What happens to requests from now on. None unless this change has left nobody.
    pub none_available: Option<WhenNoneAvailable>,
    /// Whether somebody is available again, where nobody was before this change.
    pub regained: bool,
}

impl Upstream {
    /// Takes note of what was learned about one of its backends. None when the backend's state stays what it was.
    ///
    /// On a [`Transition`] the series are updated and another fleet is swapped in. The caller logs it.
    ///
    /// An ejection is refused, and counted as refused, when more backends than the configured share would be ejected, or
    /// when nobody else could take new work.
    pub fn observe(&self, backend: &Backend, event: Event, now: Instant) -> Option<Observed> {
        let _one_at_a_time = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = backend.availability();
        match event {
            Event::CheckPassed | Event::ChecksEnded => {
                backend.signs.check_passed(before.is_available(), backend.milliseconds(now));
            }
            Event::CheckFailed => backend.signs.begin_trouble(backend.milliseconds(now)),
            Event::Eject(reason) if before.is_available() && !self.may_eject(backend, now) => {
                self.series.ejections_refused.inc(reason);
                return None;
            }
            _ => {}
        }
        let stood = standing(backend, now);
        let transition = backend.lock_availability().apply(event, now);
        if let Some(transition) = transition {
            record(backend, transition);
        }
        let is_drained = backend.availability().is_drained();
        if is_drained != before.is_drained() {
            backend.set_drain_deadline(is_drained.then(|| now + self.drain_timeout));
        }
        // Also without a transition of our own: around a reload, another upstream may have seen it.
        if stood != standing(backend, now) || self.is_out_of_date(backend, now) {
            self.publish_now(now);
        }
        // Counted on a transition alone: most of what is learned of a thousand backends changes nothing.
        transition.map(|transition| {
            let available = self.available();
            let others = available.saturating_sub(usize::from(backend.availability().is_available()));
            self.observed(transition, others + usize::from(before.is_available()), available)
        })
    }

    /// Lets time pass: ends the slow starts that took their time, and brings the shares of the others up to date. To be
    /// called a few times a second; costs a lock for each backend while none ramps up.
    ///
    /// Returns what changed, with the position of the backend.
    pub fn tick(&self, now: Instant) -> Vec<(usize, Observed)> {
        let _one_at_a_time = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut available = 0;
        let mut ramping = false;
        let mut ended = Vec::new();
        for (at, backend) in self.backends.iter().enumerate() {
            let mut availability = backend.lock_availability();
            available += usize::from(availability.is_available());
            ramping |= availability.is_ramping();
            if let Some(transition) = availability.apply(Event::Tick, now) {
                drop(availability);
                record(backend, transition);
                ended.push((at, transition));
            }
        }
        if ramping {
            self.publish_now(now);
        }
        if ended.is_empty() {
            return Vec::new();
        }
        let now_available = self.available();
        let observed = |(at, transition)| (at, self.observed(transition, available, now_available));
        ended.into_iter().map(observed).collect()
    }

    /// Gives a backend another weight. A reload keeps it as long as the file says of this backend what it said before.
    pub fn set_weight(&self, backend: &Backend, weight: u32, now: Instant) {
        backend.set_weight(weight);
        self.publish(now);
    }

    /// Sets the part of its weight that the agent beside a backend asks for, in percent; above 100 counts as 100. No change
    /// of state: a backend at 0 gets no new work while another one has a share, and is not drained.
    pub fn set_agent_percent(&self, backend: &Backend, percent: u8, now: Instant) {
        backend.lock_availability().set_agent_percent(percent);
        self.publish(now);
    }

    /// Refills the retry budget with what these requests and the time since the last refill have earned.
    pub fn refill_budget(&self, requests: u64, elapsed: Duration) {
        self.budget.refill(self.retries.budget, requests, elapsed);
        self.series.budget_left.set(self.budget.left() as f64);
    }

    /// Counts the backends that are available.
    #[must_use]
    pub fn available(&self) -> usize {
        self.backends.iter().filter(|backend| backend.availability().is_available()).count()
    }

    /// Brings the backends in line with the settings and with what their arrival means, shows them, and publishes the first
    /// fleet. Returns what those that arrived have changed.
    pub(super) fn adopt(
        &self,
        settings: &UpstreamSettings,
        arrived: &[(usize, Event)],
        now: Instant,
    ) -> Box<[(usize, Observed)]> {
        // First: until then a backend shows the state of the one whose place it takes.
        let arrive =
            |&(at, event): &(usize, Event)| Some((at, self.observe(&self.backends[at], event, now)?));
        let changed = arrived.iter().filter_map(arrive).collect();
        for backend in &self.backends {
            backend.lock_availability().set_rules(settings.availability());
            if settings.checks.is_none() {
                self.observe(backend, Event::ChecksEnded, now);
            }
            if settings.outliers.is_none() {
                self.observe(backend, Event::EjectionsEnded, now);
            }
            backend.follow_load(|factor| settings.load_aware.map_or(1.0, |rules| rules.bounded(factor)));
            backend.series.show_state(backend.availability().state());
        }
        self.series.configured.set(self.backends.len() as i64);
        let sticky = if self.sticky.is_some() { Stickiness::Sticky } else { Stickiness::Free };
        self.series.show_rule(self.balancer.rule(), sticky);
        self.series.budget_left.set(self.budget.left() as f64);
        self.publish(now);
        changed
    }

    /// What a transition means where so many were available `before` it, and so many are now.
    fn observed(&self, transition: Transition, before: usize, available: usize) -> Observed {
        let lost = before > 0 && available == 0;
        let instead = if self.fleet.load().is_fail_open() {
            WhenNoneAvailable::TryAll
        } else {
            WhenNoneAvailable::Refuse
        };
        Observed {
            transition,
            available,
            none_available: lost.then_some(instead),
            regained: before == 0 && available > 0,
        }
    }

    /// Tells whether the rules let this backend be ejected besides those that are.
    fn may_eject(&self, backend: &Backend, now: Instant) -> bool {
        let Some(rules) = &self.outliers else { return false };
        let others = || self.backends.iter().filter(|other| !std::ptr::eq(&***other, backend));
        let ejected = others().filter(|other| other.availability().ejection().is_some()).count();
        let takes_work = |other: &&Arc<Backend>| {
            let standing = standing(other, now);
            standing.available && standing.effective_weight > 0.0
        };
        ejected < rules.most_ejected(self.backends.len()) && others().any(|other| takes_work(&other))
    }

    fn is_out_of_date(&self, backend: &Backend, now: Instant) -> bool {
        let fleet = self.fleet.load();
        let position = self.backends.iter().position(|known| std::ptr::eq(&**known, backend));
        position
            .is_some_and(|at| !fleet.is_fail_open() && fleet.accepts(at) != standing(backend, now).available)
    }

    /// Builds a fleet from the backends as they are, and swaps it in.
    pub(super) fn publish(&self, now: Instant) {
        let _one_at_a_time = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        self.publish_now(now);
    }

    /// Builds a fleet from the backends as they are, and swaps it in. Whoever calls holds `publishing`.
    fn publish_now(&self, now: Instant) {
        let standing = |backend: &Backend| standing(backend, now);
        let fleet = Fleet::new(&self.backends, &self.balancer, self.when_none_available, standing);
        for (at, backend) in self.backends.iter().enumerate() {
            backend.series.effective_weight.set(fleet.weight(at));
            backend.series.intended_share.set(fleet.share(at));
            backend.series.load_factor.set(backend.load_factor());
        }
        let available = if fleet.is_fail_open() { 0 } else { fleet.len() };
        self.series.available.set(available as i64);
        self.fleet.store(Arc::new(fleet));
        self.queue.call_all();
    }
}

/// Returns what a backend counts for at this moment.
pub(super) fn standing(backend: &Backend, now: Instant) -> Standing {
    let availability = backend.availability();
    Standing {
        available: availability.is_available(),
        effective_weight: f64::from(backend.weight()) * availability.share(now) * backend.load_factor(),
        ramping: availability.is_ramping(),
        last_resort: !availability.is_drained_by(DrainSource::Operator) && !availability.is_unresolved(),
    }
}

/// Counts a transition and shows it. A backend that comes back is not judged by what it was.
fn record(backend: &Backend, transition: Transition) {
    let Transition { from, to, cause, at } = transition;
    backend.series.record_transition(to, cause, SystemTime::now());
    let ejection = backend.availability().ejection().filter(|ejection| ejection.since == at);
    if let Some(ejection) = ejection {
        backend.series.ejections.inc(ejection.reason);
    }
    match (is_in_service(from), is_in_service(to)) {
        (true, false) if to != BackendState::Draining => {
            // Who waits for it may do better elsewhere.
            backend.raise_alarm();
            if let Some(since) = backend.trouble_since() {
                backend.series.detection.record(at.saturating_duration_since(since));
            }
        }
        (false, true) => {
            backend.signs.clear();
            backend.latency.forget();
        }
        _ => {}
    }
}

fn is_in_service(state: BackendState) -> bool {
    matches!(state, BackendState::Up | BackendState::SlowStart)
}
