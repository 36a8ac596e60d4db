//! Availability: whether a backend may be picked, as a state machine that nothing but events can move.
//!
//! Apart from the backend because it is pure: it does no I/O, holds no lock and takes time as an argument, so a test
//! can tell it a year of history in a millisecond. [`Upstream::observe`](super::Upstream::observe) and
//! [`Upstream::tick`](super::Upstream::tick) are the only callers outside of tests.
//!
//! What is known is kept apart by who knows it: the checks, the agent, those who drain, the judge of outliers, the ramp.
//! The one state that is shown follows from these, the strongest first: down, draining, ejected, slow start, up. So
//! nobody's word is lost while another's is shown, and a backend that was drained while it was down is draining when
//! it is healthy again.
//!
//! Suspicion is deliberately not a state. A connect that fails on live traffic says "rather not now", which every
//! worker must see at once and without a lock, while a state is a verdict that is counted, logged and drawn. See
//! [`Sign`](super::Sign).

mod ejection;
mod event;

pub use ejection::{Ejection, EjectionTimes};
pub use event::{DrainSource, Event, Transition};

use tokio::time::Instant;

use super::settings::SlowStart;
use crate::telemetry::{BackendState, TransitionCause};
use ejection::Record;
use event::DrainSources;

/// How many checks in a row change a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Passed checks in a row after which an unhealthy backend is healthy; 0 is taken as 1.
    pub rise: u32,
    /// Failed checks in a row after which a healthy backend is unhealthy; 0 is taken as 1.
    pub fall: u32,
}

/// What a configuration says about the changes of a backend's state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AvailabilityRules {
    /// How many checks in a row change a verdict.
    pub checks: Thresholds,
    /// How the backend comes back into service.
    pub slow_start: SlowStart,
    /// How long it is ejected.
    pub ejections: EjectionTimes,
}

/// The state of one backend and how near it is to the next.
///
/// A backend starts healthy, because a balancer that starts, or reloads with a new backend, would otherwise refuse
/// requests until a check has answered. The first check then decides at once, whatever the thresholds say: before it
/// nothing was known that one more check would have to outweigh.
///
/// ```
/// use plimsoll::telemetry::{BackendState, TransitionCause};
/// use plimsoll::upstream::{Availability, AvailabilityRules, EjectionTimes, Event, SlowStart, Thresholds};
/// use std::time::Duration;
/// use tokio::time::Instant;
///
/// let start = Instant::now();
/// let second = |n| start + Duration::from_secs(n);
/// let rules = AvailabilityRules {
///     checks: Thresholds { rise: 2, fall: 2 },
///     slow_start: SlowStart { duration: Duration::from_secs(10), floor: 0.1 },
///     ejections: EjectionTimes::default(),
/// };
/// let mut backend = Availability::new(rules, start);
///
/// assert!(backend.apply(Event::CheckPassed, second(0)).is_none());
/// assert!(backend.apply(Event::CheckFailed, second(1)).is_none());
/// let down = backend.apply(Event::CheckFailed, second(2)).expect("the second failure in a row");
/// assert_eq!((down.to, down.cause, down.at), (BackendState::Down, TransitionCause::Check, second(2)));
///
/// assert!(backend.apply(Event::CheckPassed, second(3)).is_none());
/// let back = backend.apply(Event::CheckPassed, second(4)).expect("the second pass in a row");
/// assert_eq!((back.to, backend.is_available()), (BackendState::SlowStart, true));
/// assert!((backend.share(second(9)) - 0.55).abs() < 1e-9);
/// let up = backend.apply(Event::Tick, second(14)).expect("the ramp is over");
/// assert_eq!((up.to, up.cause), (BackendState::Up, TransitionCause::Ramp));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Availability {
    state: BackendState,
    since: Instant,
    rules: AvailabilityRules,
    healthy: bool,
    /// Checks in a row that contradict `healthy`.
    contradictions: u32,
    checked: bool,
    /// Its host name has no address.
    unresolved: bool,
    agent_down: bool,
    agent_percent: u8,
    drained: DrainSources,
    ejection: Option<Ejection>,
    record: Record,
    /// Since when it ramps up.
    ramp: Option<Instant>,
}

impl Availability {
    /// A backend about which nothing is known yet, at the start of the process or of its upstream.
    #[must_use]
    pub fn new(rules: AvailabilityRules, now: Instant) -> Self {
        Self {
            state: BackendState::Up,
            since: now,
            rules,
            healthy: true,
            contradictions: 0,
            checked: false,
            unresolved: false,
            agent_down: false,
            agent_percent: 100,
            drained: DrainSources::default(),
            ejection: None,
            record: Record::new(now),
            ramp: None,
        }
    }

    /// A backend that joins others which are in service: it begins with a slow start, or it would be the only cold one.
    #[must_use]
    pub fn joining(rules: AvailabilityRules, now: Instant) -> Self {
        let mut joining = Self::new(rules, now);
        joining.begin_ramp(now);
        joining.state = joining.derived();
        joining
    }

    /// A backend that takes the place of this one, under the same name and at another address. Of what was known only the
    /// word of an operator holds for it as well. It shows the state of its predecessor until [`Event::Moved`] or
    /// [`Event::Unresolved`] makes it its own, so that the change is a transition like any other.
    #[must_use]
    pub fn successor(&self, rules: AvailabilityRules, now: Instant) -> Self {
        let mut successor = Self::new(rules, now);
        (successor.state, successor.since) = (self.state, self.since);
        if self.is_drained_by(DrainSource::Operator) {
            successor.drained.add(DrainSource::Operator);
        }
        successor
    }

    /// Takes note of an event. None when the state stays what it was.
    pub fn apply(&mut self, event: Event, now: Instant) -> Option<Transition> {
        match event {
            Event::CheckPassed => {
                self.drained.remove(DrainSource::Check);
                self.check(true, self.rules.checks.rise);
            }
            Event::CheckFailed => self.check(false, self.rules.checks.fall),
            Event::ChecksEnded => {
                self.drained.remove(DrainSource::Check);
                (self.healthy, self.contradictions, self.checked) = (true, 0, false);
            }
            Event::Moved(_) if self.may_work() => self.begin_ramp(now),
            Event::Moved(_) => {}
            Event::Unresolved => self.unresolved = true,
            Event::AgentUp => self.agent_down = false,
            Event::AgentDown => self.agent_down = true,
            Event::AgentEnded => {
                self.drained.remove(DrainSource::Agent);
                (self.agent_down, self.agent_percent) = (false, 100);
            }
            Event::Drain(source) => self.drained.add(source),
            Event::Ready(source) => self.drained.remove(source),
            Event::Eject(reason) if self.is_available() => {
                self.ejection = Some(self.record.eject(reason, self.rules.ejections, now));
            }
            Event::Readmit if self.ejection.is_some_and(|ejection| ejection.until <= now) => {
                self.ejection = None;
            }
            Event::EjectionsEnded => (self.ejection, self.record) = (None, Record::new(now)),
            Event::Tick if self.ramp_progress(now) >= Some(1.0) => self.ramp = None,
            Event::Eject(_) | Event::Readmit | Event::Tick => return None,
        }
        self.settle(event.cause(), now)
    }

    /// Returns the current state.
    #[must_use]
    pub fn state(&self) -> BackendState {
        self.state
    }

    /// Returns when the current state began.
    #[must_use]
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Tells whether a check has said anything yet.
    #[must_use]
    pub fn is_checked(&self) -> bool {
        self.checked
    }

    /// Tells whether new work may go to the backend.
    #[must_use]
    pub fn is_available(&self) -> bool {
        matches!(self.state, BackendState::Up | BackendState::SlowStart)
    }

    /// Tells whether its host name has no address, so that it cannot even be tried.
    #[must_use]
    pub fn is_unresolved(&self) -> bool {
        self.unresolved
    }

    /// Returns the ejection that holds, also while a stronger state is shown.
    #[must_use]
    pub fn ejection(&self) -> Option<Ejection> {
        self.ejection
    }

    /// Returns how many ejections are not forgotten yet; the next one lasts twice as long for each.
    #[must_use]
    pub fn ejections_lately(&self, now: Instant) -> u32 {
        let mut record = self.record;
        if self.is_available() {
            record.forget(self.rules.ejections, now);
        }
        record.lately()
    }

    /// Tells whether the time of an ejection is over, so that a probe may end it.
    #[must_use]
    pub fn is_readmission_due(&self, now: Instant) -> bool {
        self.state == BackendState::Ejected && self.ejection.is_some_and(|ejection| ejection.until <= now)
    }

    /// Tells whether this source drains the backend.
    #[must_use]
    pub fn is_drained_by(&self, source: DrainSource) -> bool {
        self.drained.contains(source)
    }

    /// Tells whether anybody drains the backend, also while a stronger state is shown.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        !self.drained.is_empty()
    }

    /// Tells whether the backend is on its slow-start ramp.
    #[must_use]
    pub fn is_ramping(&self) -> bool {
        self.ramp.is_some()
    }

    /// Returns the part of its weight that the backend counts for, 0 to 1: less than the whole on its slow-start ramp,
    /// and when its agent asks for less. Says nothing about whether it is available.
    #[must_use]
    pub fn share(&self, now: Instant) -> f64 {
        let floor = self.rules.slow_start.floor.clamp(0.0, 1.0);
        let ramp = self.ramp_progress(now).map_or(1.0, |progress| floor + (1.0 - floor) * progress);
        ramp * f64::from(self.agent_percent) / 100.0
    }

    /// Returns the part of its weight that the agent beside the backend asks for, in percent.
    #[must_use]
    pub fn agent_percent(&self) -> u8 {
        self.agent_percent
    }

    /// Changes the rules, as a reload does, without a change of state.
    pub fn set_rules(&mut self, rules: AvailabilityRules) {
        self.rules = rules;
    }

    /// Sets the part of its weight that the agent beside the backend asks for, in percent; above 100 counts as 100.
    pub(super) fn set_agent_percent(&mut self, percent: u8) {
        self.agent_percent = percent.min(100);
    }

    fn check(&mut self, passed: bool, needed: u32) {
        let first = !std::mem::replace(&mut self.checked, true);
        if passed == self.healthy {
            self.contradictions = 0;
            return;
        }
        self.contradictions += 1;
        if first || self.contradictions >= needed {
            (self.healthy, self.contradictions) = (passed, 0);
        }
    }

    /// Brings the state in line with what is known.
    fn settle(&mut self, cause: TransitionCause, now: Instant) -> Option<Transition> {
        let was_available = self.is_available();
        let is_available = self.may_work();
        if was_available && !is_available {
            self.ramp = None;
            self.record.forget(self.rules.ejections, now);
        } else if is_available && !was_available {
            self.begin_ramp(now);
            self.record.behaves_since(now);
        }
        let (from, to) = (self.state, self.derived());
        if from == to {
            return None;
        }
        (self.state, self.since) = (to, now);
        Some(Transition { from, to, cause, at: now })
    }

    fn derived(&self) -> BackendState {
        if self.is_down() {
            BackendState::Down
        } else if !self.drained.is_empty() {
            BackendState::Draining
        } else if self.ejection.is_some() {
            BackendState::Ejected
        } else if self.ramp.is_some() {
            BackendState::SlowStart
        } else {
            BackendState::Up
        }
    }

    /// Whether nobody says anything against it.
    fn may_work(&self) -> bool {
        !self.is_down() && self.drained.is_empty() && self.ejection.is_none()
    }

    fn is_down(&self) -> bool {
        !self.healthy || self.agent_down || self.unresolved
    }

    fn begin_ramp(&mut self, now: Instant) {
        self.ramp = (!self.rules.slow_start.duration.is_zero()).then_some(now);
    }

    /// Returns how far the slow start has got, 0 to 1. None when there is none.
    #[must_use]
    pub fn ramp_progress(&self, now: Instant) -> Option<f64> {
        let elapsed = now.saturating_duration_since(self.ramp?);
        let duration = self.rules.slow_start.duration;
        Some(if elapsed >= duration { 1.0 } else { elapsed.as_secs_f64() / duration.as_secs_f64() })
    }
}

#[cfg(test)]
mod tests;
