//! Smooth weighted round robin: by turns, in proportion to the weights.
//!
//! The default, because its shares are exact and its order can be foretold. The turn is one counter for all workers: a
//! turn per worker would let the order depend on which worker a connection happened to reach.
//!
//! Cost of a pick: one relaxed addition and one look into the cycle, whatever the number of backends.

use super::schedule::smooth;
use super::{Candidates, Share, Turn};

/// Turns that are taken one by one to find a usable candidate, so that workers which search at the same time find
/// different ones. After these the cycle is searched from where it stands.
const ONE_BY_ONE: usize = 16;

/// A cycle of turns.
#[derive(Debug)]
pub struct RoundRobin {
    cycle: Box<[u32]>,
}

impl RoundRobin {
    pub(super) fn new(shares: &[Share]) -> Self {
        Self { cycle: smooth(shares) }
    }

    /// Serves whose turn it is.
    ///
    /// The turn of a candidate that is not usable is given up, not passed to its neighbour: what the others see is the
    /// cycle without it, so their shares keep their proportions.
    pub(super) fn pick(&self, candidates: &impl Candidates, turn: &Turn) -> Option<usize> {
        let length = self.cycle.len();
        if length == 0 {
            return None;
        }
        for _ in 0..ONE_BY_ONE.min(length) {
            let candidate = self.cycle[turn.take(length)] as usize;
            if candidates.is_usable(candidate) {
                return Some(candidate);
            }
        }
        let (before, from) = self.cycle.split_at(turn.take(length));
        let mut ahead = from.iter().chain(before).map(|&next| next as usize).enumerate();
        let (passed, candidate) = ahead.find(|&(_, next)| candidates.is_usable(next))?;
        turn.give_up(passed);
        Some(candidate)
    }
}
