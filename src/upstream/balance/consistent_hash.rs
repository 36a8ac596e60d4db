//! Consistent hash: the backend that a key belongs to, for caches and other state that a backend keeps by key.
//!
//! Weighted rendezvous hashing (Thaler, Ravishankar, "Using name-based mappings to increase hit rates", 1998; weights
//! as Schindelhauer, Schomaker, "Weighted distributed hash tables", 2005): every candidate draws a number from the key
//! and its own name, and the least −ln(u) / weight wins. A candidate that leaves gives up its own keys and no others,
//! one that comes takes only what it wins, and shares follow the weights without the virtual nodes of a ring.
//!
//! With a load bound (Mirrokni, Thorup, Zadimoghaddam, "Consistent hashing with bounded loads", 2018) a candidate that
//! has more in flight than the bound times its fair share is passed over, so that a popular key cannot drown one. The
//! bound is read, not reserved: workers that pick in the same moment may exceed it by one exchange each.
//!
//! Cost of a pick, n backends: n hashes, and a logarithm for the few that may win; under a bound also n reads of
//! shared counters, unless the winner is idle.

use super::round_robin::RoundRobin;
use super::{Candidates, Share, Turn};
use crate::upstream::stable_hash::mix;

/// 2⁻⁵³.
const TWO_TO_MINUS_53: f64 = f64::EPSILON / 2.0;

/// Who draws for a key.
#[derive(Debug)]
pub struct ConsistentHash {
    draws: Box<[Drawing]>,
    load_bound: Option<f64>,
    /// For requests without a key.
    otherwise: RoundRobin,
}

#[derive(Debug)]
struct Drawing {
    candidate: u32,
    seed: u64,
    /// The reciprocal of the weight.
    handicap: f64,
    /// The part of the whole.
    part: f64,
}

impl ConsistentHash {
    pub(super) fn new(shares: &[Share], load_bound: Option<f64>) -> Self {
        let total: f64 = shares.iter().map(|share| share.weight).sum();
        let drawing = |(candidate, share): (usize, &Share)| {
            (share.weight > 0.0).then(|| Drawing {
                candidate: candidate as u32,
                seed: share.seed,
                handicap: share.weight.recip(),
                part: share.weight / total,
            })
        };
        Self {
            draws: shares.iter().enumerate().filter_map(drawing).collect(),
            load_bound: load_bound.map(|bound| bound.max(1.0)),
            otherwise: RoundRobin::new(shares),
        }
    }

    pub(super) fn pick(&self, candidates: &impl Candidates, key: Option<u64>, turn: &Turn) -> Option<usize> {
        let Some(key) = key else { return self.otherwise.pick(candidates, turn) };
        let owner = self.owner(key, |drawing| candidates.is_usable(drawing.candidate as usize))?;
        let Some(bound) = self.load_bound else { return Some(owner) };
        if candidates.in_flight(owner) == 0 {
            return Some(owner); // a bound of at least 1 leaves room for one exchange on everybody
        }
        let in_flight = |drawing: &Drawing| candidates.in_flight(drawing.candidate as usize);
        let all = self.draws.iter().map(in_flight).sum::<u64>() + 1;
        let has_room = |drawing: &Drawing| {
            (in_flight(drawing) as f64) < (bound * all as f64 * drawing.part).ceil()
                && candidates.is_usable(drawing.candidate as usize)
        };
        // Somebody always has room, but perhaps nobody usable: then the key stays where it belongs.
        self.owner(key, has_room).or(Some(owner))
    }

    /// Returns who wins the key among those that take part.
    fn owner(&self, key: u64, takes_part: impl Fn(&Drawing) -> bool) -> Option<usize> {
        let mut best = f64::INFINITY;
        let mut owner = None;
        for drawing in &self.draws {
            // 53 random bits, put between 0 and 1 so that neither is ever drawn.
            let drawn = ((mix(key ^ drawing.seed) >> 11) as f64 + 0.5) * TWO_TO_MINUS_53;
            // −ln(u) ≥ 1 − u: most need no logarithm to know that they have lost.
            if (1.0 - drawn) * drawing.handicap >= best || !takes_part(drawing) {
                continue;
            }
            let score = -drawn.ln() * drawing.handicap;
            if score < best {
                (best, owner) = (score, Some(drawing.candidate as usize));
            }
        }
        owner
    }
}
