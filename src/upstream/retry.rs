//! The retry decision: whether a failed attempt may be followed by another.
//!
//! Apart from the attempt itself because it is the one place where a mistake runs an order twice. It is pure, and
//! small enough to be read in full.

use std::time::Duration;

use crate::telemetry::{RetryReason, RetryRefusal};

/// When a failed attempt is followed by another. What is not safe to repeat is not repeated, whatever is allowed here.
///
/// | what failed | nothing of the request written | written, may be repeated | written, may not | costs of the budget |
/// |---|---|---|---|---|
/// | connect | elsewhere | (cannot be) | (cannot be) | nothing |
/// | stale pooled connection | fresh | fresh | give up | nothing |
/// | reset before the answer | elsewhere | elsewhere | give up | one |
/// | no answer in time | another | another | give up | one |
/// | answer with a status of [`RetryRules::statuses`] | another | another | give up | one |
/// | answer overdue | another, in parallel | another, in parallel | give up | one |
/// | answer that is no HTTP | give up | give up | give up | |
///
/// In every row one gives up as soon as a byte of an answer has gone to the client, or when a part of the body was
/// taken from the client and is not kept. *Another* is a backend that was not tried; *elsewhere* prefers one, and takes
/// the same again when nobody else is left. Both are limited by [`RetryRules::attempts`]; *fresh* is not, and does not
/// count as an attempt: the pool's idea of the connection was wrong, not the backend.
///
/// What has cost a backend nothing costs nothing of the budget: see [`Decision::costs_a_retry`].
///
/// A request may be repeated when its method is idempotent (RFC 9110 section 9.2.2) or its route says so: that this is
/// safe even though the backend may have seen it is what the word means. A backend that sends garbage is not asked
/// again elsewhere, because its request has run.
///
/// ```
/// use plimsoll::telemetry::{RetryReason, RetryRefusal};
/// use plimsoll::upstream::{Attempted, Decision, Failure, RetryRules, is_idempotent};
///
/// let rules = RetryRules::default();
/// let attempted = |failure, method| Attempted {
///     failure,
///     repeatable: is_idempotent(method),
///     request_written: failure != Failure::Connect,
///     body_intact: true,
///     answer_started: false,
///     attempts: 1,
/// };
/// assert_eq!(rules.decide(&attempted(Failure::Connect, b"POST")), Decision::Elsewhere(RetryReason::Connect));
/// assert_eq!(rules.decide(&attempted(Failure::Reset, b"GET")), Decision::Elsewhere(RetryReason::Reset));
/// assert_eq!(
///     rules.decide(&attempted(Failure::Reset, b"POST")),
///     Decision::GiveUp(Some(RetryRefusal::NotIdempotent)),
/// );
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryRules {
    /// Attempts of an exchange in total, the first included: 1 never retries; 0 is taken as 1.
    pub attempts: u32,
    /// Whether a failed connect is tried elsewhere.
    pub on_connect: bool,
    /// Whether a connection that broke before the answer is tried elsewhere.
    pub on_reset: bool,
    /// Whether a missing answer is tried elsewhere.
    pub on_timeout: bool,
    /// The answers that are tried elsewhere.
    pub statuses: StatusSet,
    /// How long one attempt may take until the head of its answer. [`Duration::MAX`] is no limit of its own.
    pub per_try_timeout: Duration,
    /// How many retries there may be.
    pub budget: BudgetSettings,
    /// When another backend is asked in parallel.
    pub hedge: Hedge,
}

/// A set of status codes from 500 to 599: only these can say that another backend might do better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatusSet(u128);

impl StatusSet {
    const FIRST: u16 = 500;

    /// Adds a code; one that is not from 500 to 599 is left out.
    #[must_use]
    pub fn with(self, status: u16) -> Self {
        Self(self.0 | Self::bit(status))
    }

    /// Tells whether a code is in the set.
    #[must_use]
    pub fn contains(self, status: u16) -> bool {
        self.0 & Self::bit(status) != 0
    }

    fn bit(status: u16) -> u128 {
        match status.checked_sub(Self::FIRST) {
            Some(at @ 0..100) => 1 << at,
            _ => 0,
        }
    }
}

/// How many retries there may be, so that a failing upstream does not drown in them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BudgetSettings {
    /// Retries for each request, 0 to 1.
    pub share: f64,
    /// Retries for each second, besides.
    pub per_second: f64,
}

/// When another backend is asked in parallel, for a request that may be repeated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Hedge {
    /// Never.
    Off,
    /// When the backend has been silent for much longer than usual.
    Silence,
    /// Also when an answer takes longer than this quantile of the upstream's answers, 0 to 1.
    Quantile(f64),
}

impl Default for RetryRules {
    /// Three attempts, on every failure that is safe to repeat.
    fn default() -> Self {
        let statuses = [500, 502, 503, 504].into_iter().fold(StatusSet::default(), StatusSet::with);
        Self {
            attempts: 3,
            on_connect: true,
            on_reset: true,
            on_timeout: true,
            statuses,
            per_try_timeout: Duration::MAX,
            budget: BudgetSettings { share: 0.2, per_second: 10.0 },
            hedge: Hedge::Silence,
        }
    }
}

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection came about; the backend has seen nothing.
    Connect,
    /// A connection from the pool was found closed before the first byte of an answer.
    Stale,
    /// A new connection broke before the head of the answer was complete.
    Reset,
    /// The head of the answer did not come in time.
    Timeout,
    /// The backend's answer is no valid HTTP.
    BadResponse,
    /// The backend answered with this status, of which nothing has gone to the client.
    Status(u16),
    /// The head of the answer takes far longer than usual; the attempt goes on while another backend is asked.
    Overdue,
}

/// A failed attempt, as far as the decision depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempted {
    /// How it failed.
    pub failure: Failure,
    /// Whether the request may be repeated although a backend may have acted: its method is idempotent (see
    /// [`is_idempotent`]), or its route says so whatever the method.
    pub repeatable: bool,
    /// Whether a byte of the request was written to this backend, so that it may have acted.
    pub request_written: bool,
    /// Whether everything that was taken from the client's body so far can be sent again.
    pub body_intact: bool,
    /// Whether a byte of an answer has gone to the client.
    pub answer_started: bool,
    /// Attempts so far, this one included; those on stale connections do not count.
    pub attempts: u32,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Once more, on a new connection and not one from the pool, so that it cannot be stale again. The same backend
    /// will do, and it does not count as an attempt.
    Fresh,
    /// Another attempt, on a backend that was not tried if there is one, for this reason.
    Elsewhere(RetryReason),
    /// The failure is final. None when failures of this kind are never, or by configuration not, tried again.
    GiveUp(Option<RetryRefusal>),
}

impl Decision {
    /// Tells whether it is to be paid for from the [`RetryBudget`](super::RetryBudget). A connect that failed and a
    /// connection that was closed have cost the backend nothing, so repeating them multiplies nobody's load.
    #[must_use]
    pub fn costs_a_retry(self) -> bool {
        matches!(self, Self::Elsewhere(reason) if reason != RetryReason::Connect)
    }

    /// Tells whether only a backend will do that was not tried. One that takes too long may be at its limit: asking it
    /// again would add to that, and keep the client waiting. One that answers with an error would do so again.
    #[must_use]
    pub fn needs_another_backend(self) -> bool {
        matches!(self, Self::Elsewhere(RetryReason::Timeout | RetryReason::Status | RetryReason::Overdue))
    }
}

impl RetryRules {
    /// Decides what follows a failed attempt.
    #[must_use]
    pub fn decide(&self, attempted: &Attempted) -> Decision {
        let allowed = match attempted.failure {
            Failure::Connect => self.on_connect.then_some(Decision::Elsewhere(RetryReason::Connect)),
            Failure::Stale => Some(Decision::Fresh),
            Failure::Reset => self.on_reset.then_some(Decision::Elsewhere(RetryReason::Reset)),
            Failure::Timeout => self.on_timeout.then_some(Decision::Elsewhere(RetryReason::Timeout)),
            Failure::Status(status) => {
                self.statuses.contains(status).then_some(Decision::Elsewhere(RetryReason::Status))
            }
            Failure::Overdue => {
                (self.hedge != Hedge::Off).then_some(Decision::Elsewhere(RetryReason::Overdue))
            }
            Failure::BadResponse => None,
        };
        match (allowed, self.refusal(attempted)) {
            (Some(next), None) => next,
            (Some(_), refusal) => Decision::GiveUp(refusal),
            (None, _) => Decision::GiveUp(None),
        }
    }

    /// Returns the first thing that forbids another attempt: what is unsafe before what is merely too much.
    fn refusal(&self, attempted: &Attempted) -> Option<RetryRefusal> {
        if attempted.answer_started {
            Some(RetryRefusal::ResponseStarted)
        } else if attempted.request_written && !attempted.repeatable {
            Some(RetryRefusal::NotIdempotent)
        } else if !attempted.body_intact {
            Some(RetryRefusal::BodyConsumed)
        } else if attempted.failure != Failure::Stale && attempted.attempts >= self.attempts {
            Some(RetryRefusal::Attempts)
        } else {
            None
        }
    }
}

/// Tells whether a method asks for no change (RFC 9110 section 9.2.1).
#[must_use]
pub fn is_safe(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE")
}

/// Tells whether repeating a method has the effect of using it once (RFC 9110 section 9.2.2).
///
/// Methods are case-sensitive, and one that is not known is not idempotent.
#[must_use]
pub fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE")
}

#[cfg(test)]
mod tests;
