//! Balancers: which of the available backends takes the next exchange.
//!
//! One file for each algorithm. All are pure: what they know is the weights that they were planned for, and what they
//! must ask about the moment comes as an argument ([`Candidates`], [`Draw`]). So a test can let a thousand backends
//! come and go and compare the shares with those intended at each step.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::telemetry::{BalanceRule, Label as _, Padded};
use consistent_hash::ConsistentHash;
use least_requests::LeastRequests;
use lottery::Lottery;
use peak_ewma::PeakEwma;
use round_robin::RoundRobin;

use super::keys::HashKey;

mod consistent_hash;
mod least_requests;
mod lottery;
mod peak_ewma;
mod round_robin;
mod schedule;

/// How a backend is picked.
///
/// | balancer | shares follow the weights | looks at load | cost of a pick, n backends |
/// |---|---|---|---|
/// | round robin | exactly, and evenly in time | no | one shared counter |
/// | least requests | while nobody is busy | in flight, of two | a turn and a draw |
/// | peak EWMA | while all are equally fast | latency and in flight, of two | a turn and a draw |
/// | random | on average | no | one draw |
/// | consistent hash | on average, over keys | bound only | n hashes |
///
/// ```
/// use plimsoll::upstream::balance::{Balancer, Candidates, Draw, Share, Turn};
///
/// struct Idle;
/// impl Candidates for Idle {
///     fn is_usable(&self, _: usize) -> bool { true }
///     fn in_flight(&self, _: usize) -> u64 { 0 }
///     fn latency(&self, _: usize) -> Option<f32> { None }
/// }
///
/// let shares = [("a", 5.0), ("b", 1.0), ("c", 1.0)].map(|(name, weight)| Share::new(name, weight));
/// let plan = Balancer::RoundRobin.plan(&shares);
/// let (turn, mut rng) = (Turn::default(), fastrand::Rng::with_seed(1));
/// let picked: Vec<_> =
///     (0..7).filter_map(|_| plan.pick(&Idle, Draw { turn: &turn, rng: &mut rng, key: None })).collect();
/// assert_eq!(picked, [0, 0, 1, 0, 2, 0, 0]);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Balancer {
    /// By turns, in proportion to the weights; see [`RoundRobin`].
    #[default]
    RoundRobin,
    /// The less busy of two; see [`LeastRequests`].
    LeastRequests,
    /// The faster of two; see [`PeakEwma`].
    PeakEwma,
    /// By lot, in proportion to the weights; see [`Lottery`].
    Random,
    /// The backend that a key of the request belongs to; see [`ConsistentHash`].
    ConsistentHash {
        /// What is hashed. A request without it is given out by turns.
        key: HashKey,
        /// The most load of a backend, as a multiple of its fair share; at least 1. None is no bound.
        load_bound: Option<f64>,
    },
}

impl Balancer {
    /// Returns the word that the configuration and metrics have for it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        self.rule().as_str()
    }

    /// Returns which one it is, without its settings.
    #[must_use]
    pub fn rule(&self) -> BalanceRule {
        match self {
            Self::RoundRobin => BalanceRule::RoundRobin,
            Self::LeastRequests => BalanceRule::LeastRequests,
            Self::PeakEwma => BalanceRule::PeakEwma,
            Self::Random => BalanceRule::Random,
            Self::ConsistentHash { .. } => BalanceRule::ConsistentHash,
        }
    }

    /// Prepares picks among candidates with these shares; those without a positive weight are never picked.
    #[must_use]
    pub fn plan(&self, shares: &[Share]) -> Plan {
        match self {
            Self::RoundRobin => Plan::RoundRobin(RoundRobin::new(shares)),
            Self::LeastRequests => Plan::LeastRequests(LeastRequests::new(shares)),
            Self::PeakEwma => Plan::PeakEwma(PeakEwma::new(shares)),
            Self::Random => Plan::Random(Lottery::new(shares.iter().map(|share| share.weight).collect())),
            Self::ConsistentHash { load_bound, .. } => {
                Plan::ConsistentHash(ConsistentHash::new(shares, *load_bound))
            }
        }
    }
}

/// A candidate's part of the work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    weight: f64,
    /// What stands for the candidate in a hash.
    seed: u64,
    ramping: bool,
}

impl Share {
    /// The share of the backend with this name. A weight that is no number, or not above 0, is 0.
    #[must_use]
    pub fn new(name: &str, weight: f64) -> Self {
        Self {
            weight: if weight.is_finite() { weight.max(0.0) } else { 0.0 },
            seed: super::stable_hash::hash(name.as_bytes()),
            ramping: false,
        }
    }

    /// The share of a backend that has just come back. It looks idle to whoever compares loads, so it is given its share
    /// and not asked whether it would take more.
    #[must_use]
    pub fn ramping(self, ramping: bool) -> Self {
        Self { ramping, ..self }
    }
}

/// What a balancer may ask about the candidates at the moment of a pick. Candidates are numbered as their shares were.
pub trait Candidates {
    /// Tells whether the candidate may be picked now.
    fn is_usable(&self, candidate: usize) -> bool;
    /// Returns the exchanges that the candidate has in flight.
    fn in_flight(&self, candidate: usize) -> u64;
    /// Estimates the candidate's latency in seconds. None while nothing is known.
    fn latency(&self, candidate: usize) -> Option<f32>;
}

/// What makes one pick differ from the next.
#[derive(Debug)]
pub struct Draw<'a> {
    /// Whose turn it is.
    pub turn: &'a Turn,
    /// The worker's source of random numbers.
    pub rng: &'a mut fastrand::Rng,
    /// The hash of the request's key. None when the request has none, or none is asked for.
    pub key: Option<u64>,
}

/// The turn of a round robin, shared by all workers: sequential requests alternate, whoever serves them.
#[derive(Debug, Default)]
pub struct Turn(Padded<AtomicU64>);

impl Turn {
    fn take(&self, of: usize) -> usize {
        (self.0.fetch_add(1, Relaxed) % of as u64) as usize
    }

    fn give_up(&self, turns: usize) {
        self.0.fetch_add(turns as u64, Relaxed);
    }
}

/// A balancer prepared for given shares. Immutable: other shares are another plan.
#[derive(Debug)]
pub enum Plan {
    /// By turns.
    RoundRobin(RoundRobin),
    /// The less busy of two.
    LeastRequests(LeastRequests),
    /// The faster of two.
    PeakEwma(PeakEwma),
    /// By lot.
    Random(Lottery),
    /// By a key.
    ConsistentHash(ConsistentHash),
}

impl Plan {
    /// Picks a candidate. None when no candidate with a share is usable.
    #[must_use]
    pub fn pick(&self, candidates: &impl Candidates, draw: Draw<'_>) -> Option<usize> {
        match self {
            Self::RoundRobin(plan) => plan.pick(candidates, draw.turn),
            Self::LeastRequests(plan) => plan.pick(candidates, draw),
            Self::PeakEwma(plan) => plan.pick(candidates, draw),
            Self::Random(plan) => plan.pick(draw.rng, |candidate| candidates.is_usable(candidate)),
            Self::ConsistentHash(plan) => plan.pick(candidates, draw.key, draw.turn),
        }
    }
}

#[cfg(test)]
mod tests;
