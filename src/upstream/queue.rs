//! The load line: how much a backend takes at a time, and the requests that wait while every one has as much as it takes.
//!
//! The waiting itself is done in the data plane; here is what it waits with. Nothing of this is touched where no limit is
//! configured, except for one load at the end of an exchange.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::backend::Backend;

/// The requests of an upstream that wait for a backend to have room. It outlives a reload.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: AtomicUsize,
    room: Notify,
}

/// A place in the queue, until it is dropped.
#[derive(Debug)]
pub struct Place<'a> {
    queue: &'a Queue,
    number: u32,
}

impl Queue {
    /// Takes a place; None when `most` are taken.
    #[must_use]
    pub fn enter(&self, most: usize) -> Option<Place<'_>> {
        let entered =
            self.waiting.fetch_update(Relaxed, Relaxed, |waiting| (waiting < most).then_some(waiting + 1));
        let number = |before: usize| u32::try_from(before + 1).unwrap_or(u32::MAX);
        entered.ok().map(|before| Place { queue: self, number: number(before) })
    }

    /// Tells whether nobody waits, so that nobody is passed over by whom does not.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.load(Relaxed) == 0
    }

    /// Lets the one who has waited longest look whether there is room.
    pub(super) fn call_next(&self) {
        if !self.is_empty() {
            self.room.notify_one();
        }
    }

    /// Lets all who wait look again: who may be picked has changed.
    pub(super) fn call_all(&self) {
        self.room.notify_waiters();
    }
}

impl Place<'_> {
    /// Returns which in the queue it was when it was taken, from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Tells whether nobody else waits.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.queue.waiting.load(Relaxed) == 1
    }

    /// Is ready once there may be room, in the order of the calls. A call that comes after this one's return, and before
    /// it is polled, is not missed if it has been enabled.
    ///
    /// Cancel safe: a call that is not taken is passed on.
    pub fn room(&self) -> Notified<'_> {
        self.queue.room.notified()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.queue.waiting.fetch_sub(1, Relaxed);
    }
}

/// An exchange in flight on a backend; dropping it ends the count.
#[derive(Debug)]
pub struct InFlight<'a> {
    backend: &'a Backend,
    queue: &'a Queue,
}

impl<'a> InFlight<'a> {
    /// Counts one more exchange on the backend; None when it is at its limit.
    pub(super) fn begin(backend: &'a Backend, queue: &'a Queue) -> Option<Self> {
        let before = backend.series.inflight.inc();
        let begun = Self { backend, queue };
        let limit = backend.in_flight_limit();
        // Two that begin at once see different counts, so no limit is exceeded; dropping it takes the count back.
        (limit == 0 || before < i64::from(limit)).then_some(begun)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.backend.series.inflight.dec();
        if self.backend.in_flight_limit() != 0 {
            self.queue.call_next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_takes_no_more_than_it_may() {
        let queue = Queue::default();
        let places: Vec<_> = (0..3).map_while(|_| queue.enter(2)).collect();
        assert_eq!(places.iter().map(Place::number).collect::<Vec<_>>(), [1, 2]);
        assert!(!queue.is_empty());
        drop(places);
        assert!(queue.is_empty() && queue.enter(2).is_some());
    }

    #[tokio::test]
    async fn who_waits_longest_is_called_first() {
        let queue = Queue::default();
        let (one, two) = (queue.enter(9), queue.enter(9));
        let mut first = Box::pin(one.as_ref().expect("there is room").room());
        let mut second = Box::pin(two.as_ref().expect("there is room").room());
        assert!(!first.as_mut().enable() && !second.as_mut().enable());
        queue.room.notify_one();
        assert!(first.as_mut().enable(), "it was called");
        assert!(!second.as_mut().enable(), "it was not");
    }
}
