//! Availability: whether a backend may be picked, as a state machine that nothing but events can move.
//!
//! Apart from the backend because it is pure: it does no I/O, holds no lock and takes time as an argument, so a test
//! can tell it a year of history in a millisecond. [`Upstream::observe`](super::Upstream::observe) is the only caller
//! outside of tests.
//!
//! Suspicion is deliberately not a state. A connect that fails on live traffic says "rather not now", which every
//! worker must see at once and without a lock, while a state is a verdict that is counted, logged and drawn. See
//! [`Backend::suspect`](super::Backend::suspect).

use tokio::time::Instant;

use crate::telemetry::{BackendState, TransitionCause};

/// How many checks in a row change a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Passed checks in a row after which an unhealthy backend is healthy; 0 is taken as 1.
    pub rise: u32,
    /// Failed checks in a row after which a healthy backend is unhealthy; 0 is taken as 1.
    pub fall: u32,
}

/// What was learned about a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A health check passed.
    CheckPassed,
    /// A health check failed.
    CheckFailed,
    /// Nobody checks this backend any more, so an earlier verdict of the checks is void.
    ChecksEnded,
}

/// A change of a backend's state: what one logs, counts and draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: BackendState,
    /// The state from now on.
    pub to: BackendState,
    /// What brought the change about.
    pub cause: TransitionCause,
    /// When.
    pub at: Instant,
}

/// The state of one backend and how near it is to the next.
///
/// A backend starts healthy, because a balancer that starts, or reloads with a new backend, would otherwise refuse
/// requests until a check has answered. The first check then decides at once, whatever the thresholds say: before it
/// nothing was known that one more check would have to outweigh.
///
/// ```
/// use plimsoll::telemetry::{BackendState, TransitionCause};
/// use plimsoll::upstream::{Availability, Event, Thresholds};
/// use std::time::Duration;
/// use tokio::time::Instant;
///
/// let start = Instant::now();
/// let second = |n| start + Duration::from_secs(n);
/// let mut backend = Availability::new(Thresholds { rise: 2, fall: 2 }, start);
///
/// assert!(backend.apply(Event::CheckPassed, second(0)).is_none());
/// assert!(backend.apply(Event::CheckFailed, second(1)).is_none());
/// let down = backend.apply(Event::CheckFailed, second(2)).expect("the second failure in a row");
/// assert_eq!((down.to, down.cause, down.at), (BackendState::Down, TransitionCause::Check, second(2)));
///
/// assert!(backend.apply(Event::CheckPassed, second(3)).is_none());
/// assert!(backend.apply(Event::CheckPassed, second(4)).is_some());
/// assert!(backend.is_available());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Availability {
    state: BackendState,
    since: Instant,
    thresholds: Thresholds,
    /// Checks in a row that contradict the state.
    contradictions: u32,
    checked: bool,
}

impl Availability {
    /// A backend about which nothing is known yet.
    #[must_use]
    pub fn new(thresholds: Thresholds, now: Instant) -> Self {
        Self { state: BackendState::Up, since: now, thresholds, contradictions: 0, checked: false }
    }

    /// Takes note of an event. None when the state stays what it was.
    pub fn apply(&mut self, event: Event, now: Instant) -> Option<Transition> {
        match event {
            Event::CheckPassed => self.check(BackendState::Up, self.thresholds.rise, now),
            Event::CheckFailed => self.check(BackendState::Down, self.thresholds.fall, now),
            Event::ChecksEnded => {
                self.checked = false;
                self.contradictions = 0;
                self.enter(BackendState::Up, TransitionCause::Configuration, now)
            }
        }
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
        self.state == BackendState::Up
    }

    /// Changes the thresholds, as a reload does, without a change of state.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
    }

    fn check(&mut self, says: BackendState, needed: u32, now: Instant) -> Option<Transition> {
        let first = !std::mem::replace(&mut self.checked, true);
        if says == self.state {
            self.contradictions = 0;
            return None;
        }
        self.contradictions += 1;
        if first || self.contradictions >= needed {
            self.enter(says, TransitionCause::Check, now)
        } else {
            None
        }
    }

    fn enter(&mut self, to: BackendState, cause: TransitionCause, at: Instant) -> Option<Transition> {
        let from = std::mem::replace(&mut self.state, to);
        if from == to {
            return None;
        }
        self.since = at;
        self.contradictions = 0;
        Some(Transition { from, to, cause, at })
    }
}

#[cfg(test)]
mod tests;
