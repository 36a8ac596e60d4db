//! Events: what is learned about a backend, by whom, and the changes of state that follow.

use tokio::time::Instant;

use crate::telemetry::{BackendState, EjectionReason, TransitionCause};

/// What was learned about a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A health check passed. Also ends what an earlier check said about draining.
    CheckPassed,
    /// A health check failed.
    CheckFailed,
    /// It has another address than the backend whose [successor](super::Availability::successor) it is, because of this: it
    /// joins the others like a new one.
    Moved(TransitionCause),
    /// Its host name has no address. Ends with this backend: one that has an address takes its place.
    Unresolved,
    /// Nobody checks this backend any more, so an earlier verdict of the checks is void.
    ChecksEnded,
    /// The agent beside the backend says that it is well.
    AgentUp,
    /// The agent says that it is not.
    AgentDown,
    /// Nobody asks the agent any more, so what it said is void.
    AgentEnded,
    /// Live traffic shows that it does far worse than it should. Nothing happens to one that is out already.
    Eject(EjectionReason),
    /// A probe passed. Ends an ejection whose time is over, and no other.
    Readmit,
    /// Nobody looks for outliers any more, so an ejection is void.
    EjectionsEnded,
    /// It finishes what it has and gets nothing new.
    Drain(DrainSource),
    /// The same source says that it takes work again.
    Ready(DrainSource),
    /// Time has passed: ends a slow start that took its time.
    Tick,
}

impl Event {
    /// Returns what a change is put down to that follows from the event.
    pub(super) fn cause(self) -> TransitionCause {
        match self {
            Self::CheckPassed | Self::CheckFailed => TransitionCause::Check,
            Self::Moved(cause) => cause,
            Self::Unresolved => TransitionCause::Lookup,
            Self::AgentUp | Self::AgentDown => TransitionCause::Agent,
            Self::ChecksEnded | Self::AgentEnded | Self::EjectionsEnded => TransitionCause::Configuration,
            Self::Eject(EjectionReason::SuccessRate | EjectionReason::Latency) => TransitionCause::Outlier,
            Self::Eject(_) => TransitionCause::Traffic,
            Self::Readmit => TransitionCause::Readmission,
            Self::Drain(source) | Self::Ready(source) => source.cause(),
            Self::Tick => TransitionCause::Ramp,
        }
    }
}

/// Who wants a backend to drain. Each says so, and takes it back, for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainSource {
    /// A person or a program, through the admin interface. The only one that holds also when nobody is available.
    Operator,
    /// The agent beside the backend.
    Agent,
    /// The answer to a health check: 503 with `Retry-After`.
    Check,
}

impl DrainSource {
    /// Every source.
    pub const ALL: [Self; 3] = [Self::Operator, Self::Agent, Self::Check];

    fn cause(self) -> TransitionCause {
        match self {
            Self::Operator => TransitionCause::Operator,
            Self::Agent => TransitionCause::Agent,
            Self::Check => TransitionCause::Check,
        }
    }
}

/// The sources that drain a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct DrainSources(u8);

impl DrainSources {
    pub(super) fn add(&mut self, source: DrainSource) {
        self.0 |= 1 << source as u8;
    }

    pub(super) fn remove(&mut self, source: DrainSource) {
        self.0 &= !(1 << source as u8);
    }

    pub(super) fn contains(self, source: DrainSource) -> bool {
        self.0 & 1 << source as u8 != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
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
