//! The fleet: which backends may be picked now, and what the balancer prepared for them.
//!
//! Immutable, so that the data path reads it without a lock; a transition builds another and swaps it in. Backends are
//! numbered by their position in the upstream, so that a fleet holds no reference counts that a pick would have to
//! touch.

use super::backend::Backend;
use super::balance::{Balancer, Plan, Share};
use std::sync::Arc;

/// What happens to a request while no backend is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenNoneAvailable {
    /// Every backend is tried as if it were available (fail open): the checks may be wrong, and nothing is lost. Except
    /// those that an operator drained: that is no mistake.
    #[default]
    TryAll,
    /// Nothing is picked.
    Refuse,
}

/// What a backend counts for in a fleet that is being built.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Whether it may get work.
    pub available: bool,
    /// Its share of new work: the configured weight, or less of it while it ramps up or its CPU is busy. 0 gets none while
    /// another one has more, except from clients that stick to it.
    pub effective_weight: f64,
    /// Whether it is on its way back, so that its share is not to be exceeded.
    pub ramping: bool,
    /// Whether it may get work when nobody is available and all are tried.
    pub last_resort: bool,
}

/// Which backends may be picked.
///
/// Those that are available and have a share of the work. Where nobody available has one (a weight of 0, an agent that says
/// 0 %, the first instant of a slow start from 0 %), they get the work all the same, by their configured weights, or evenly
/// where those are 0: no share is a wish to be spared while others can do it. Who is to get nothing at all is drained.
#[derive(Debug)]
pub struct Fleet {
    /// The backends that get new work, by position in the upstream.
    pub(super) members: Box<[u32]>,
    /// How one of the members is picked.
    pub(super) plan: Plan,
    /// For each backend of the upstream, whether it accepts work at all.
    accepts: Box<[bool]>,
    /// What each counts for; above 0 for members.
    weights: Box<[f64]>,
    /// The sum of the weights.
    total: f64,
    fail_open: bool,
    without_share: bool,
}

impl Fleet {
    /// Builds the fleet of these backends, each as it stands.
    #[must_use]
    pub fn new(
        backends: &[Arc<Backend>],
        balancer: &Balancer,
        when_none_available: WhenNoneAvailable,
        standing: impl Fn(&Backend) -> Standing,
    ) -> Self {
        let standings: Vec<Standing> = backends.iter().map(|backend| standing(backend)).collect();
        let none = !standings.iter().any(|standing| standing.available);
        let tries_all = none && when_none_available == WhenNoneAvailable::TryAll;
        let accepts = |standing: &Standing| if tries_all { standing.last_resort } else { standing.available };
        let accepts: Box<[bool]> = standings.iter().map(accepts).collect();
        let accepting = |weight: &dyn Fn(usize) -> f64| -> Box<[f64]> {
            accepts.iter().enumerate().map(|(n, accepts)| if *accepts { weight(n) } else { 0.0 }).collect()
        };
        let configured = accepting(&|n| f64::from(backends[n].weight()));
        let intended =
            if tries_all { configured.clone() } else { accepting(&|n| standings[n].effective_weight) };
        let is_share = |weight: &f64| *weight > 0.0;
        let without_share = !intended.iter().any(is_share) && accepts.contains(&true);
        let weights = match without_share {
            false => intended,
            true if configured.iter().any(is_share) => configured,
            true => accepting(&|_| 1.0),
        };
        let members: Box<[u32]> =
            (0..backends.len()).filter(|&n| weights[n] > 0.0).map(|n| n as u32).collect();
        let share = |n: usize| Share::new(&backends[n].name, weights[n]).ramping(standings[n].ramping);
        let shares: Vec<Share> = members.iter().map(|&n| share(n as usize)).collect();
        Self {
            plan: balancer.plan(&shares),
            members,
            fail_open: tries_all && accepts.contains(&true),
            accepts,
            total: weights.iter().sum(),
            weights,
            without_share,
        }
    }

    /// Tells whether nobody is available and all are tried nevertheless.
    #[must_use]
    pub fn is_fail_open(&self) -> bool {
        self.fail_open
    }

    /// Tells whether those that accept work have no share of it, and get it because nobody else would.
    #[must_use]
    pub fn is_without_share(&self) -> bool {
        self.without_share
    }

    /// Returns how many backends get new work.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Tells whether no backend gets new work.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Tells whether the backend at this position accepts work, new or of clients that stick to it.
    #[must_use]
    pub fn accepts(&self, backend: usize) -> bool {
        self.accepts[backend]
    }

    /// Returns what the backend at this position counts for in relation to the others, 0 when it gets no new work.
    #[must_use]
    pub fn weight(&self, backend: usize) -> f64 {
        self.weights[backend]
    }

    /// Returns the intended share of new work of the backend at this position, 0 to 1.
    #[must_use]
    pub fn share(&self, backend: usize) -> f64 {
        if self.total > 0.0 { self.weights[backend] / self.total } else { 0.0 }
    }
}
