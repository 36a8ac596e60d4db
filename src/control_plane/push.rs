//! Pushed metrics: what agents and scripts send instead of being asked, kept for a while and shown at `/metrics`.
//!
//! A Pushgateway within the balancer, with the same API, and with one thing that the Pushgateway deliberately has not: what
//! nobody renews expires, so that the last word of an agent that died is not taken for the present. It stands apart from the
//! admin server, which speaks HTTP; here nothing waits, and time is an argument.
//!
//! - [`text`]: the text format, read strictly.
//! - `key`: which group a path means.
//! - `series`: a family as it will be shown, with the labels of its group.
//! - `store`: the groups and their expiry; `fit`: whether a push fits to what is there.
//! - [`Pushes`] (here): all of it in the order of one push, shared and counted.

mod key;
mod series;
mod store;
pub mod text;

use std::fmt;
use std::hash::RandomState;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use key::{GroupKey, PathError};
pub use store::{GroupView, LoadReport, Page};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::control_plane::now::Now;
use crate::telemetry::{PageForm, PushResult, Telemetry};
use store::Store;

/// What all groups hold, as text, is at most this many bodies of the largest size.
const BODIES_HELD: usize = 64;

/// What is being read at a time, as text, is at most this many bodies of the largest size.
const BODIES_ARRIVING: usize = 16;

/// What may be pushed, and for how long it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushLimits {
    /// How long a group is kept that nobody pushes to.
    pub expiry: Duration,
    /// The most groups at a time.
    pub groups: usize,
    /// The largest body, in bytes.
    pub body: usize,
}

/// Why a push was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct Refusal {
    /// How it is counted.
    pub result: PushResult,
    /// What is wrong, for whoever pushed.
    pub words: String,
}

impl Refusal {
    /// Makes a refusal.
    #[must_use]
    pub fn new(result: PushResult, words: impl Into<String>) -> Self {
        Self { result, words: words.into() }
    }

    /// A refusal for what can be read and makes no sense together, in the words of the Pushgateway.
    fn inconsistent(what: impl fmt::Display) -> Self {
        let words = format!("pushed metrics are invalid or inconsistent with existing metrics: {what}");
        Self::new(PushResult::Inconsistent, words)
    }
}

/// What a push does to the metrics that its group has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It replaces them all (PUT).
    Replace,
    /// It replaces those of the same names (POST).
    Merge,
}

/// Room for a body that arrives, until it is dropped.
#[derive(Debug)]
pub struct Room(#[expect(dead_code, reason = "is held, not read")] OwnedSemaphorePermit);

/// Returns what was pushed about the load of a backend, given the names of an upstream and of its backend.
pub type LoadOfBackend = Arc<dyn Fn(&str, &str, Now) -> Option<LoadReport> + Send + Sync>;

/// All that is pushed to this process.
#[derive(Debug)]
pub struct Pushes {
    limits: PushLimits,
    telemetry: Arc<Telemetry>,
    store: Mutex<Store>,
    /// Bytes of bodies that may arrive besides those that do.
    arriving: Arc<Semaphore>,
    /// Held while a body is read: that takes a dozen times its size, so that there is one at a time.
    reading: Mutex<()>,
    /// Secret, so that nobody can make two series out to be one.
    hashes: RandomState,
}

impl Pushes {
    /// Makes a receiver that holds nothing yet.
    #[must_use]
    pub fn new(limits: PushLimits, telemetry: Arc<Telemetry>) -> Self {
        let store =
            Mutex::new(Store::new(limits.expiry, limits.groups, limits.body.saturating_mul(BODIES_HELD)));
        let arriving = Arc::new(Semaphore::new(limits.body.saturating_mul(BODIES_ARRIVING)));
        Self { limits, telemetry, store, arriving, reading: Mutex::default(), hashes: RandomState::new() }
    }

    /// Returns what may be pushed.
    #[must_use]
    pub fn limits(&self) -> PushLimits {
        self.limits
    }

    /// Takes room for a body of this length, or of the largest if that is not known. None when too many others arrive.
    #[must_use]
    pub fn room_for(&self, length: Option<u64>) -> Option<Room> {
        let most = self.limits.body;
        let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(most).min(most);
        let room = Arc::clone(&self.arriving).try_acquire_many_owned(u32::try_from(length).ok()?);
        room.ok().map(Room)
    }

    /// Takes what was pushed to a group. A refusal leaves what the group has as it was.
    ///
    /// Takes milliseconds for a large body, and may wait for another: not for a thread that others wait for.
    ///
    /// # Errors
    /// When it is malformed, does not fit to itself or to what is there, or has no room. What the Pushgateway notes as a
    /// failure of the group is noted here too.
    pub fn push(&self, key: GroupKey, body: &[u8], mode: Mode, now: Now) -> Result<(), Refusal> {
        let read = {
            let _one_at_a_time = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
            text::parse(body)
                .map_err(|error| Refusal::new(PushResult::Malformed, error.to_string()))
                .and_then(|parsed| self.rendered(&parsed, &key))
        };
        let mut store = self.up_to_date(now);
        let key = Arc::new(key);
        let taken = read.and_then(|families| store.push(&key, families, mode, now));
        if let Err(refusal) = &taken
            && refusal.result == PushResult::Inconsistent
        {
            store.note_failure(&key, &refusal.words, now);
        }
        self.show(&store);
        drop(store);
        self.count(taken.as_ref().map_or_else(|refusal| refusal.result, |()| PushResult::Ok));
        taken
    }

    /// Forgets a group. That there is none is no mistake: it may have expired.
    pub fn delete(&self, key: &GroupKey, now: Now) {
        let mut store = self.up_to_date(now);
        store.delete(key);
        self.show(&store);
    }

    /// Counts a push that ended before it could be read.
    pub fn count(&self, result: PushResult) {
        self.telemetry.process().pushes.inc(result);
    }

    /// Returns all that is held, to be written in this form. Forgets first what has expired.
    #[must_use]
    pub fn page(&self, form: PageForm, now: Now) -> Page {
        self.up_to_date(now).page(form)
    }

    /// Appends all that is held to a page in this form.
    pub fn expose(&self, page: &mut String, form: PageForm, now: Now) {
        self.page(form, now).write(&mut |piece| {
            page.push_str(&piece);
            true
        });
    }

    /// Lists the groups.
    #[must_use]
    pub fn groups(&self, now: Now) -> Vec<GroupView> {
        self.up_to_date(now).groups(now)
    }

    /// Returns what was pushed about the load of a backend: the latest `cpu_usage` of a group whose label `instance` is the
    /// name of the backend. A group with a label `upstream` speaks of that upstream only. None when nothing is held.
    #[must_use]
    pub fn load(&self, upstream: &str, backend: &str, now: Now) -> Option<LoadReport> {
        self.up_to_date(now).load(upstream, backend)
    }

    /// Returns a way to ask for loads, also where nothing is received.
    #[must_use]
    pub fn loads(pushes: Option<Arc<Self>>) -> LoadOfBackend {
        Arc::new(move |upstream, backend, now| pushes.as_ref()?.load(upstream, backend, now))
    }

    fn rendered(&self, parsed: &text::Parsed<'_>, key: &GroupKey) -> Result<Vec<series::Pushed>, Refusal> {
        if parsed.has_timestamps {
            return Err(Refusal::inconsistent("pushed metrics must not have timestamps"));
        }
        let mut left = self.limits.body.saturating_mul(BODIES_HELD);
        let families = parsed.families.iter().filter(|family| !store::is_of_the_receiver(family.name));
        families
            .map(|family| {
                let pushed = series::Pushed::of(family, key, &self.hashes, left)?;
                left = left.saturating_sub(pushed.size());
                Ok(pushed)
            })
            .collect()
    }

    /// Takes the store, without what has expired.
    fn up_to_date(&self, now: Now) -> MutexGuard<'_, Store> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let expired = store.expire(now.instant);
        if !expired.is_empty() {
            self.telemetry.process().push_groups_expired.add(expired.len() as u64);
            self.show(&store);
        }
        for group in expired {
            tracing::info!(%group, "pushed metrics have expired: nobody renewed them");
        }
        store
    }

    fn show(&self, store: &Store) {
        self.telemetry.process().push_groups.set(store.len() as i64);
    }
}

#[cfg(test)]
mod tests;
