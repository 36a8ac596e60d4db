//! Shards: one copy of a set of cells per worker, so that workers never write to the same cache line.
//!
//! Apart from the cells because the layout is the point: 128 bytes, not 64, since the processors that we run on fetch
//! lines in pairs.

use std::ops::Deref;

/// The index of a thread of the data plane, `0..workers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub usize);

/// A value alone on its cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Padded<T>(T);

impl<T> Deref for Padded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// One `T` for each worker.
#[derive(Debug)]
pub struct PerWorker<T>(Box<[Padded<T>]>);

impl<T: Default> PerWorker<T> {
    /// Makes room for `workers` workers; at least one.
    pub fn new(workers: usize) -> Self {
        Self((0..workers.max(1)).map(|_| Padded::default()).collect())
    }
}

impl<T> PerWorker<T> {
    /// Returns the shard that only this worker writes to.
    ///
    /// # Panics
    /// When the worker is not one of those that [`super::Telemetry`] was made for: a mistake of the program that adding
    /// to another worker's cells would hide.
    pub fn of(&self, worker: WorkerId) -> &T {
        &self.0[worker.0]
    }

    /// Visits the shards of all workers, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(Deref::deref)
    }

    /// Adds up one number of every shard.
    ///
    /// ```
    /// # use plimsoll::telemetry::{Counter, PerWorker, WorkerId};
    /// let accepted: PerWorker<Counter> = PerWorker::new(2);
    /// accepted.of(WorkerId(0)).inc();
    /// accepted.of(WorkerId(1)).add(2);
    /// assert_eq!(accepted.sum(Counter::get), 3);
    /// ```
    pub fn sum<N: std::iter::Sum>(&self, number: impl Fn(&T) -> N) -> N {
        self.iter().map(number).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Counter;

    #[test]
    fn two_workers_never_share_a_cache_line() {
        let shards: PerWorker<Counter> = PerWorker::new(2);
        let at = |worker| std::ptr::from_ref(shards.of(WorkerId(worker))) as usize;
        assert!(at(1).abs_diff(at(0)) >= 128, "{} and {}", at(0), at(1));
        assert_eq!(at(0) % 128, 0);
    }

    #[test]
    fn shards_add_up_right_while_all_workers_write() {
        const EACH: u64 = 200_000;
        let shards: &PerWorker<Counter> = &PerWorker::new(4);
        std::thread::scope(|scope| {
            let write = |worker| (0..EACH).for_each(|_| shards.of(WorkerId(worker)).inc());
            let writers: Vec<_> = (0..4).map(|worker| scope.spawn(move || write(worker))).collect();
            let mut last = 0;
            while !writers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                let now = shards.sum(Counter::get);
                assert!(now >= last, "a sum went back from {last} to {now}");
                last = now;
            }
        });
        assert_eq!(shards.sum(Counter::get), 4 * EACH);
    }
}
