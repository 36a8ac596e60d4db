//! Peak EWMA: the cheaper of two candidates, by recent latency and what is in flight.
//!
//! For backends that differ in speed, or change it. The cost is that of Finagle's balancer of this name: the decaying
//! peak of the latency ([`PeakLatency`](crate::upstream::PeakLatency)) times the exchanges in flight with this one
//! added. An exchange weighs less on a heavier backend. The two come by turn and by lot as in
//! [`LeastRequests`](super::LeastRequests), so equally fast backends share in proportion to their weights.
//!
//! A candidate without an answer yet is taken to be as fast as the one that it is compared with: only what it has in
//! flight counts. So it is neither flooded, as with an optimistic guess, nor starved, as with a pessimistic one, and
//! there is no guess to configure.
//!
//! Cost of a pick: a turn, a draw, four reads of shared words, two exponentials at most.

use super::least_requests::{TwoChoices, burdens};
use super::{Candidates, Draw, Share};

/// The two ways to choose, and how much one exchange in flight weighs on each candidate.
#[derive(Debug)]
pub struct PeakEwma {
    two: TwoChoices,
    burdens: Box<[f32]>,
}

impl PeakEwma {
    pub(super) fn new(shares: &[Share]) -> Self {
        Self { two: TwoChoices::new(shares), burdens: burdens(shares) }
    }

    pub(super) fn pick(&self, candidates: &impl Candidates, draw: Draw<'_>) -> Option<usize> {
        let queue = |n: usize| candidates.in_flight(n) as f32 * self.burdens[n] + 1.0;
        self.two.pick(candidates, draw, |first, second| {
            let (slow_first, slow_second) = match (candidates.latency(first), candidates.latency(second)) {
                (Some(first), Some(second)) => (first, second),
                _ => (1.0, 1.0),
            };
            slow_second * queue(second) < slow_first * queue(first)
        })
    }
}
