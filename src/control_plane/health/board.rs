//! The board: what the last check of each backend said, where its host name was found, and which transitions there were, for people to read.
//!
//! Metrics count results and transitions; the words that explain one ("status 500, expected 200-399") are no label
//! value, so they are kept here.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::telemetry::{BackendState, CheckResult, Label, TransitionCause};
use crate::upstream::{Backend, Event, Observed, Transition, Upstream, WhenNoneAvailable};

/// How many transitions are remembered; older ones are forgotten.
const REMEMBERED: usize = 256;

/// What the last check of a backend said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastResult {
    /// The result as it was counted.
    pub result: CheckResult,
    /// The result for people, such as `connection refused`.
    pub words: Box<str>,
    /// When the check ended.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
}

/// What the last look-up of a backend's host name said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastLookup {
    /// The host name.
    pub host: Box<str>,
    /// The backend's port.
    pub port: u16,
    /// The address that is used. None when there was none yet.
    pub address: Option<IpAddr>,
    /// Every address that was answered.
    pub addresses: Box<[IpAddr]>,
    /// Why none was, if so.
    pub error: Option<Box<str>>,
    /// When the look-up ended.
    pub at: SystemTime,
}

impl LastLookup {
    /// Returns what is known of the name, for people.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { host, address, addresses, error, .. } = self;
        match (error, address) {
            (Some(error), _) => format!("cannot resolve {host}: {error}"),
            (None, Some(address)) if addresses.len() > 1 => {
                format!("{host} is {address}, one of {} addresses", addresses.len())
            }
            (None, Some(address)) => format!("{host} is {address}"),
            (None, None) => format!("{host} has no address"),
        }
    }
}

/// A change of a backend's state that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastTransition {
    /// When.
    pub at: SystemTime,
    /// The upstream's name.
    pub upstream: Box<str>,
    /// The backend's name.
    pub backend: Box<str>,
    /// The state before.
    pub from: BackendState,
    /// The state after.
    pub to: BackendState,
    /// What brought it about.
    pub cause: TransitionCause,
    /// What was known of the backend then, for people.
    pub words: Box<str>,
}

/// The last result of each backend's checks and of each host name's look-up, and the latest transitions. Shared by those who check and those who ask.
#[derive(Debug, Default)]
pub struct Board {
    results: Mutex<HashMap<Key, LastResult>>,
    lookups: Mutex<HashMap<Key, LastLookup>>,
    transitions: Mutex<VecDeque<PastTransition>>,
    /// How many transitions there were, those included that are forgotten.
    count: watch::Sender<u64>,
}

/// The names of an upstream and of a backend in it.
type Key = (Box<str>, Box<str>);

impl Board {
    /// Returns what the last check of a backend said. None before the first, and when nobody checks it.
    #[must_use]
    pub fn last_result(&self, upstream: &str, backend: &str) -> Option<LastResult> {
        lock(&self.results).get(&(upstream.into(), backend.into())).cloned()
    }

    /// Returns what the last look-up of a backend's host name said. None when its address is configured.
    #[must_use]
    pub fn last_lookup(&self, upstream: &str, backend: &str) -> Option<LastLookup> {
        lock(&self.lookups).get(&(upstream.into(), backend.into())).cloned()
    }

    /// Returns the latest transitions, oldest first; at most 256.
    #[must_use]
    pub fn transitions(&self) -> Vec<PastTransition> {
        lock(&self.transitions).iter().cloned().collect()
    }

    /// Returns the transitions that came after so many, oldest first, and how many there were in all. Those that are
    /// forgotten are missing.
    #[must_use]
    pub fn transitions_after(&self, count: u64) -> (Vec<PastTransition>, u64) {
        let transitions = lock(&self.transitions);
        let all = *self.count.borrow();
        let new = usize::try_from(all.saturating_sub(count)).unwrap_or(usize::MAX).min(transitions.len());
        (transitions.iter().skip(transitions.len() - new).cloned().collect(), all)
    }

    /// Tells of each transition that is remembered from now on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }

    /// Remembers a transition, of whatever cause.
    pub(in super::super) fn add_transition(&self, transition: PastTransition) {
        let mut transitions = lock(&self.transitions);
        if transitions.len() == REMEMBERED {
            transitions.pop_front();
        }
        transitions.push_back(transition);
        self.count.send_modify(|count| *count += 1);
    }

    /// Tells an upstream what was learned about one of its backends, and announces what changes by it. `words` say what is
    /// known.
    pub fn observe(&self, upstream: &Upstream, backend: &Backend, event: Event, words: &str) {
        if let Some(observed) = upstream.observe(backend, event, Instant::now()) {
            self.announce(&upstream.name, &backend.name, observed, words);
        }
    }

    /// Remembers a transition that has just happened, and writes it to the program's log. `words` say what is known.
    ///
    /// An upstream that has nobody left, or somebody again, is worth a line of its own.
    pub fn announce(&self, upstream: &str, backend: &str, observed: Observed, words: &str) {
        let Transition { from, to, cause, .. } = observed.transition;
        let (was, is, because) = (from.as_str(), to.as_str(), cause.as_str());
        if matches!(to, BackendState::Up | BackendState::SlowStart) {
            tracing::info!(
                upstream,
                backend,
                from = was,
                to = is,
                cause = because,
                words,
                "backend changed state"
            );
        } else {
            tracing::warn!(
                upstream,
                backend,
                from = was,
                to = is,
                cause = because,
                words,
                "backend changed state"
            );
        }
        if let Some(instead) = observed.none_available {
            let instead = match instead {
                WhenNoneAvailable::TryAll => "all are tried",
                WhenNoneAvailable::Refuse => "requests are refused",
            };
            tracing::warn!(upstream, instead, "no backend is available");
        } else if observed.regained {
            tracing::info!(upstream, available = observed.available, "a backend is available again");
        }
        self.add_transition(PastTransition {
            at: SystemTime::now(),
            upstream: upstream.into(),
            backend: backend.into(),
            from,
            to,
            cause,
            words: words.into(),
        });
    }

    /// Replaces what the last check of a backend said.
    pub(in super::super) fn set_result(&self, upstream: &str, backend: &str, result: LastResult) {
        lock(&self.results).insert((upstream.into(), backend.into()), result);
    }

    /// Replaces what the last look-up of a backend's host name said.
    pub(in super::super) fn set_lookup(&self, upstream: &str, backend: &str, lookup: LastLookup) {
        lock(&self.lookups).insert((upstream.into(), backend.into()), lookup);
    }

    /// Forgets the look-ups of all backends but these, by upstream and name.
    pub(in super::super) fn keep_lookups(&self, of: impl Fn(&str, &str) -> bool) {
        lock(&self.lookups).retain(|(upstream, backend), _| of(upstream, backend));
    }

    /// Forgets what the checks of a backend said, since nobody checks it any more.
    pub(super) fn forget(&self, upstream: &str, backend: &str) {
        lock(&self.results).remove(&(upstream.into(), backend.into()));
    }
}

/// A panic elsewhere cannot leave half a result: each change is one call of the collection.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transition(second: u64) -> PastTransition {
        PastTransition {
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
            upstream: "web".into(),
            backend: "backend-1".into(),
            from: BackendState::Up,
            to: BackendState::Down,
            cause: TransitionCause::Check,
            words: "connection refused".into(),
        }
    }

    #[test]
    fn the_board_remembers_a_bounded_number_of_transitions_and_forgets_the_oldest() {
        let board = Board::default();
        (0..1000).for_each(|second| board.add_transition(transition(second)));
        let kept = board.transitions();
        assert_eq!(kept.len(), REMEMBERED);
        assert_eq!((kept[0].clone(), kept[255].clone()), (transition(744), transition(999)));
    }

    #[tokio::test]
    async fn who_waits_for_transitions_is_told_of_each_once() {
        let board = Board::default();
        board.add_transition(transition(0));
        let mut changes = board.changes();
        let (before, seen) = board.transitions_after(0);
        assert_eq!((before, seen), (vec![transition(0)], 1));
        (1..=2).for_each(|second| board.add_transition(transition(second)));
        changes.changed().await.expect("the board lives");
        let (new, seen) = board.transitions_after(seen);
        assert_eq!(new, [transition(1), transition(2)]);
        assert_eq!(board.transitions_after(seen), (vec![], 3));
        (0..1000).for_each(|second| board.add_transition(transition(second)));
        assert_eq!(board.transitions_after(seen).0.len(), REMEMBERED, "the others are forgotten");
    }

    #[test]
    fn a_result_is_of_one_backend_of_one_upstream() {
        let board = Board::default();
        let result = LastResult {
            result: CheckResult::Pass,
            words: "status 200".into(),
            at: SystemTime::UNIX_EPOCH,
            took: Duration::from_millis(1),
        };
        board.set_result("web", "backend-1", result.clone());
        assert_eq!(board.last_result("web", "backend-1"), Some(result));
        assert_eq!(board.last_result("api", "backend-1"), None);
        assert_eq!(board.last_result("web", "backend-2"), None);
        board.forget("web", "backend-1");
        assert_eq!(board.last_result("web", "backend-1"), None);
    }
}
