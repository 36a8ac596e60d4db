//! One cell for each value of a label: what is counted "by reason", "by outcome", without a look-up by text.

use super::cells::{Cell, Counter};
use super::labels::Label;

/// Counts by the values of a label, in an array as long as there are values. `C` says who may write.
///
/// ```
/// # use plimsoll::telemetry::{AttemptOutcome, ByLabel};
/// let attempts: ByLabel<AttemptOutcome> = ByLabel::default();
/// attempts.inc(AttemptOutcome::ConnectRefused);
/// assert_eq!(attempts.get(AttemptOutcome::ConnectRefused), 1);
/// assert_eq!(attempts.get(AttemptOutcome::Ok), 0);
/// ```
pub struct ByLabel<L: Label, C: Cell = Counter>(L::Cells<C>);

impl<L: Label, C: Cell> Default for ByLabel<L, C> {
    fn default() -> Self {
        Self(L::Cells::default())
    }
}

impl<L: Label, C: Cell> ByLabel<L, C> {
    /// Adds one to the cell of `value`.
    pub fn inc(&self, value: L) {
        self.add(value, 1);
    }

    /// Adds `n` to the cell of `value`.
    pub fn add(&self, value: L, n: u64) {
        self.0.as_ref()[value.index()].add(n);
    }

    /// Reads the cell of `value`.
    pub fn get(&self, value: L) -> u64 {
        self.0.as_ref()[value.index()].get()
    }

    /// Adds up all cells.
    pub fn sum(&self) -> u64 {
        self.0.as_ref().iter().map(Cell::get).sum()
    }
}

impl<L: Label, C: Cell> std::fmt::Debug for ByLabel<L, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(L::ALL.iter().map(|value| (value.as_str(), self.get(*value)))).finish()
    }
}
