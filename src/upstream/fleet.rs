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
    /// Its share of new work: the configured weight, or less of it while it ramps up. 0 gets none, except from clients
    /// that stick to it.
    pub effective_weight: f64,
    /// Whether it is on its way back, so that its share is not to be exceeded.
    pub ramping: bool,
    /// Whether it may get work when nobody is available and all are tried.
    pub last_resort: bool,
}

/// Which backends may be picked.
#[derive(Debug)]
pub struct Fleet {
    /// The backends that get new work, by position in the upstream.
    pub(super) members: Box<[u32]>,
    /// How one of the members is picked.
    pub(super) plan: Plan,
    /// For each backend of the upstream, whether it accepts work at all.
    accepts: Box<[bool]>,
    shares: Box<[f64]>,
    fail_open: bool,
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
        let mut standings: Vec<Standing> = backends.iter().map(|backend| standing(backend)).collect();
        let none = !standings.iter().any(|standing| standing.available);
        let tries_all = none && when_none_available == WhenNoneAvailable::TryAll;
        let fail_open = tries_all && standings.iter().any(|standing| standing.last_resort);
        if fail_open {
            for (standing, backend) in standings.iter_mut().zip(backends) {
                standing.available = standing.last_resort;
                standing.effective_weight = f64::from(backend.weight());
            }
        }
        let weight = |n: usize| if standings[n].available { standings[n].effective_weight } else { 0.0 };
        let members: Box<[u32]> =
            (0..backends.len()).filter(|&n| weight(n) > 0.0).map(|n| n as u32).collect();
        let share = |n: usize| Share::new(&backends[n].name, weight(n)).ramping(standings[n].ramping);
        let shares: Vec<Share> = members.iter().map(|&n| share(n as usize)).collect();
        let total: f64 = members.iter().map(|&n| weight(n as usize)).sum();
        Self {
            plan: balancer.plan(&shares),
            members,
            accepts: standings.iter().map(|standing| standing.available).collect(),
            shares: (0..backends.len()).map(|n| if total > 0.0 { weight(n) / total } else { 0.0 }).collect(),
            fail_open,
        }
    }

    /// Tells whether nobody is available and all are tried nevertheless.
    #[must_use]
    pub fn is_fail_open(&self) -> bool {
        self.fail_open
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

    /// Returns the intended share of new work of the backend at this position, 0 to 1.
    #[must_use]
    pub fn share(&self, backend: usize) -> f64 {
        self.shares[backend]
    }
}
