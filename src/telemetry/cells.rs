//! Cells: the numbers that the program counts in, and who may write them.
//!
//! Apart from everything else because the rule of this file carries the cost of all metrics: a cell on the hot path
//! has **one writer**, so an increment is a relaxed load and a relaxed store, without a locked instruction. Readers
//! (a scrape) may come at any time and see a value that was true a moment ago.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// A number that only grows, as histograms and labelled families need it.
pub trait Cell: Default {
    /// Adds `n`.
    fn add(&self, n: u64);
    /// Reads the current value.
    fn get(&self) -> u64;
}

/// Counts up; written by one thread only.
///
/// With two writers increments would be lost (never torn), so each thread of the data plane has its own in its shard.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Reads the current value; any thread may.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Cell for Counter {
    fn add(&self, n: u64) {
        Self::add(self, n);
    }

    fn get(&self) -> u64 {
        Self::get(self)
    }
}

/// Counts up; any thread may write. For the control path and for rare events.
#[derive(Debug, Default)]
pub struct SharedCounter(AtomicU64);

impl SharedCounter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Reads the current value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Cell for SharedCounter {
    fn add(&self, n: u64) {
        Self::add(self, n);
    }

    fn get(&self) -> u64 {
        Self::get(self)
    }
}

/// Goes up and down; written by one thread only, summed over the threads at scrape time.
#[derive(Debug, Default)]
pub struct LocalGauge(AtomicI64);

impl LocalGauge {
    /// Adds one.
    pub fn inc(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Takes one away.
    pub fn dec(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(1), Relaxed);
    }

    /// Replaces the value.
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    /// Reads the current value; any thread may.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// Goes up and down in whole numbers; any thread may write.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Adds one and returns the value before.
    pub fn inc(&self) -> i64 {
        self.0.fetch_add(1, Relaxed)
    }

    /// Takes one away and returns the value before.
    pub fn dec(&self) -> i64 {
        self.0.fetch_sub(1, Relaxed)
    }

    /// Replaces the value.
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    /// Reads the current value.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// A value that is set, not counted, and may have a fraction (a weight on its slow-start ramp, a point in time).
#[derive(Debug, Default)]
pub struct FloatGauge(AtomicU64);

impl FloatGauge {
    /// Makes a gauge that shows `value`.
    pub fn new(value: f64) -> Self {
        Self(AtomicU64::new(value.to_bits()))
    }

    /// Replaces the value.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }

    /// Reads the current value.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }
}
