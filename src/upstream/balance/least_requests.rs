//! Least requests: the less busy of two candidates, one whose turn it is and one drawn by lot.
//!
//! For exchanges that differ much in cost: a backend that is stuck with expensive ones gets fewer. Two choices are
//! nearly as good as looking at all of them (Mitzenmacher, "The power of two choices in randomized load balancing",
//! 2001), and unlike the very least busy one they do not make all workers run to the same backend at once. That one
//! of the two is random suffices for that; the other comes by turns, and a tie goes to it, so that the shares of
//! backends that are equally busy are those of [`RoundRobin`] and not a matter of chance.
//!
//! Busy is what is in flight in proportion to the weight. The usual load of (in flight + 1) / weight would prefer the
//! heavier of two idle candidates every time, and so give the light ones nothing.
//!
//! A candidate on its slow-start ramp comes by turns alone. Beside busy ones it would win every time that it is drawn,
//! and so get twice its share when it is least ready for it.
//!
//! Cost of a pick: a turn, a draw, two reads of a shared counter.

use super::lottery::Lottery;
use super::round_robin::RoundRobin;
use super::{Candidates, Draw, Share};

/// The two ways to choose, and how much one exchange in flight weighs on each candidate.
#[derive(Debug)]
pub struct LeastRequests {
    two: TwoChoices,
    burdens: Box<[f32]>,
}

impl LeastRequests {
    pub(super) fn new(shares: &[Share]) -> Self {
        Self { two: TwoChoices::new(shares), burdens: burdens(shares) }
    }

    pub(super) fn pick(&self, candidates: &impl Candidates, draw: Draw<'_>) -> Option<usize> {
        let load = |n: usize| candidates.in_flight(n) as f32 * self.burdens[n];
        self.two.pick(candidates, draw, |first, second| load(second) < load(first))
    }
}

/// One candidate by turn and another by lot.
#[derive(Debug)]
pub(super) struct TwoChoices {
    turns: RoundRobin,
    lottery: Lottery,
}

impl TwoChoices {
    pub(super) fn new(shares: &[Share]) -> Self {
        let all_ramp = shares.iter().all(|share| share.ramping);
        let drawn = |share: &Share| if share.ramping && !all_ramp { 0.0 } else { share.weight };
        let drawn: Box<[f64]> = shares.iter().map(drawn).collect();
        Self { turns: RoundRobin::new(shares), lottery: Lottery::new(drawn) }
    }

    /// Picks the first unless the second is better. None when nobody is usable.
    pub(super) fn pick(
        &self,
        candidates: &impl Candidates,
        draw: Draw<'_>,
        second_is_better: impl Fn(usize, usize) -> bool,
    ) -> Option<usize> {
        let first = self.turns.pick(candidates, draw.turn)?;
        let second = self.lottery.pick(draw.rng, |n| n != first && candidates.is_usable(n));
        Some(second.filter(|&second| second_is_better(first, second)).unwrap_or(first))
    }
}

/// What one exchange weighs on each candidate: 1 on one of average weight, less on a heavier one.
pub(super) fn burdens(shares: &[Share]) -> Box<[f32]> {
    let weights = || shares.iter().map(|share| share.weight).filter(|&weight| weight > 0.0);
    let average = weights().sum::<f64>() / weights().count().max(1) as f64;
    shares.iter().map(|share| (average / share.weight.max(f64::MIN_POSITIVE)) as f32).collect()
}
