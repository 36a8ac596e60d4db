//! Exemplars: for each bucket of a histogram one trace of an exchange that fell into it, so that a click on a slow bucket
//! leads to what happened.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::histogram::{BOUNDS_NS, bucket_of};

/// The trace of one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exemplar {
    /// The trace.
    pub trace: u128,
    /// What was recorded in the histogram.
    pub value: Duration,
    /// When.
    pub at: SystemTime,
}

/// The latest exemplar of each bucket. Written by the thread that hands traces over, when the collector has them, and
/// read by scrapes; the data path knows nothing of it.
#[derive(Debug, Default)]
pub struct Exemplars([Mutex<Option<Exemplar>>; BOUNDS_NS.len() + 1]);

impl Exemplars {
    /// Replaces the exemplar of the bucket that the value belongs to.
    pub fn record(&self, exemplar: Exemplar) {
        let mut place = self.0[bucket_of(exemplar.value)].lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(exemplar);
    }

    /// Returns the exemplar of a bucket; the last one is the infinite one.
    pub fn get(&self, bucket: usize) -> Option<Exemplar> {
        *self.0.get(bucket)?.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
