//! The roster: which series are alive, found by name while the configuration is applied and listed at scrape time.
//!
//! Apart from the series because of its one rule: it holds them weakly, so that their holders alone decide how long a
//! series is shown, and asking for the same name again while it is held gives the same cells, unless whoever asks says that
//! these are over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Series of one kind by name, sorted. Never used on the hot path.
#[derive(Debug)]
pub(crate) struct Roster<K, S>(Mutex<BTreeMap<K, Weak<S>>>);

impl<K, S> Default for Roster<K, S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord, S> Roster<K, S> {
    /// Returns the series of this name, and makes it if nobody holds one.
    pub(crate) fn get_or_make(&self, name: K, make: impl FnOnce(&K) -> S) -> Arc<S> {
        self.get_or_replace(name, |_| false, make)
    }

    /// Returns the series of this name, and makes it if nobody holds one that is not over.
    pub(crate) fn get_or_replace(
        &self,
        name: K,
        is_over: impl FnOnce(&S) -> bool,
        make: impl FnOnce(&K) -> S,
    ) -> Arc<S> {
        let mut series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = series.get(&name).and_then(Weak::upgrade).filter(|held| !is_over(held)) {
            return held;
        }
        let made = Arc::new(make(&name));
        series.insert(name, Arc::downgrade(&made));
        made
    }

    /// Lists the series that somebody holds, by name, and forgets the others.
    pub(crate) fn live(&self) -> Vec<Arc<S>> {
        let mut series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut live = Vec::with_capacity(series.len());
        series.retain(|_, weak| weak.upgrade().map(|held| live.push(held)).is_some());
        live
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_lives_as_long_as_anyone_holds_it() {
        let roster: Roster<&str, String> = Roster::default();
        let first = roster.get_or_make("backend-1", |_| "first".into());
        let again = roster.get_or_make("backend-1", |_| "second".into());
        assert!(Arc::ptr_eq(&first, &again));
        drop(first);
        assert_eq!(roster.live().len(), 1);
        drop(again);
        assert_eq!(roster.live().len(), 0);
        assert_eq!(*roster.get_or_make("backend-1", |_| "third".into()), "third");
    }

    #[test]
    fn one_that_is_over_is_not_given_again_though_somebody_holds_it() {
        let roster: Roster<&str, String> = Roster::default();
        let first = roster.get_or_make("backend-1", |_| "first".into());
        let second = roster.get_or_replace("backend-1", |held| held == "first", |_| "second".into());
        assert_eq!((&**first, &**second), ("first", "second"));
        assert!(Arc::ptr_eq(&second, &roster.get_or_make("backend-1", |_| "third".into())));
    }
}
