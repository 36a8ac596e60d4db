//! A pick: one backend for one attempt, and why this one.
//!
//! Apart from the balancers because it is what they must not care about: backends that this exchange tried already,
//! that are under suspicion, or that the client sticks to.

use std::sync::Arc;

use tokio::time::Instant;

use super::backend::Backend;
use super::balance::{Candidates, Draw};
use super::fleet::Fleet;
use super::keys::RequestKeys;
use super::{Balancer, Upstream};
use crate::telemetry::{NoneAvailable, PickReason};

/// The backend for an attempt.
///
/// Borrowed from the upstream: no reference count is touched, which workers would otherwise have to share. An exchange
/// holds its upstream as long as it lives, and with it the backend.
#[derive(Debug, Clone, Copy)]
pub struct Pick<'a> {
    /// The backend.
    pub backend: &'a Arc<Backend>,
    /// Its position in [`Upstream::backends`](super::Upstream::backends), as [`Tried`] wants it.
    pub index: usize,
    /// Why this one.
    pub reason: PickReason,
    /// The `Set-Cookie` value that makes the client stay with this backend. None when it need not be told.
    pub set_cookie: Option<&'a str>,
}

/// Why no backend was picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPick {
    /// None is available, and the configuration refuses; or an operator drains all, or none has an address.
    NoneAvailable,
    /// Every one that is available has as many exchanges in flight as it takes.
    Full,
}

/// The backends that an exchange has tried, by their position in the upstream. Allocates only once something failed.
#[derive(Debug, Clone, Default)]
pub struct Tried(Vec<usize>);

impl Tried {
    /// Nothing was tried yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Notes that a backend was tried.
    pub fn add(&mut self, backend: usize) {
        if !self.contains(backend) {
            self.0.push(backend);
        }
    }

    /// Tells whether a backend was tried.
    #[must_use]
    pub fn contains(&self, backend: usize) -> bool {
        self.0.contains(&backend)
    }

    /// Tells whether a backend other than this one was tried.
    #[must_use]
    pub fn others_than(&self, backend: usize) -> bool {
        self.0.iter().any(|tried| *tried != backend)
    }

    /// Visits them, in the order in which they were tried.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().copied()
    }

    /// Tells whether nothing was tried yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets everything, for the next exchange.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl Upstream {
    /// Picks a backend for an attempt.
    ///
    /// A backend that was tried is picked again only when every available one was, and a suspect one only when all
    /// that are left are suspect; one that is full is never picked. Does not count the exchange as in flight: see
    /// [`Upstream::begin_exchange`].
    ///
    /// Never waits: no lock, no allocation.
    ///
    /// # Errors
    /// See [`NoPick`].
    pub fn pick<'a>(
        &'a self,
        request: &impl RequestKeys,
        tried: &Tried,
        rng: &mut fastrand::Rng,
        now: Instant,
    ) -> Result<Pick<'a>, NoPick> {
        let fleet = self.fleet.load();
        if let Some(stuck) = self.pick_stuck(&fleet, request, tried, now) {
            return Ok(stuck);
        }
        let key = match &self.balancer {
            Balancer::ConsistentHash { key, .. } => key.of(request),
            _ => None,
        };
        let all = [
            (PickReason::Balanced, Excluded { tried: true, suspect: true }),
            (PickReason::OnlySuspects, Excluded { tried: true, suspect: false }),
            (PickReason::OnlyTried, Excluded { tried: false, suspect: false }),
        ];
        let picked = all.into_iter().find_map(|(reason, excluded)| {
            let members = Members { upstream: self, fleet: &fleet, tried, now, excluded };
            let member = fleet.plan.pick(&members, Draw { turn: &self.turn, rng, key })?;
            Some((fleet.members[member] as usize, reason))
        });
        let picked = picked.ok_or(if fleet.is_empty() { NoPick::NoneAvailable } else { NoPick::Full });
        self.count_none_available(&fleet, picked == Err(NoPick::NoneAvailable), tried);
        let (index, reason) = picked?;
        let reason = match reason {
            _ if fleet.is_fail_open() => PickReason::FailOpen,
            _ if fleet.is_without_share() => PickReason::NoShare,
            reason => reason,
        };
        Ok(Pick {
            backend: &self.backends[index],
            index,
            reason,
            set_cookie: self.moves_to(index, &fleet, request),
        })
    }

    /// Tells whether a pick could find a backend that was not tried, other than the one at `index`.
    #[must_use]
    pub fn has_other(&self, index: usize, tried: &Tried) -> bool {
        let other = |member: &u32| {
            let member = *member as usize;
            member != index && !tried.contains(member) && !self.backends[member].is_full()
        };
        self.fleet.load().members.iter().any(other)
    }

    fn pick_stuck<'a>(
        &'a self,
        fleet: &Fleet,
        request: &impl RequestKeys,
        tried: &Tried,
        now: Instant,
    ) -> Option<Pick<'a>> {
        let index = self.sticky.as_ref()?.wanted(request)?;
        let backend = &self.backends[index];
        let fits =
            fleet.accepts(index) && !tried.contains(index) && !backend.is_suspect(now) && !backend.is_full();
        fits.then_some(Pick { backend, index, reason: PickReason::Sticky, set_cookie: None })
    }

    /// Returns the cookie for a client that is to stay with the backend at `index`. One whose own backend is only in doubt
    /// now, or full, comes back to it with the next request.
    fn moves_to(&self, index: usize, fleet: &Fleet, request: &impl RequestKeys) -> Option<&str> {
        let sticky = self.sticky.as_ref()?;
        let comes_back = sticky.wanted(request).is_some_and(|wanted| fleet.accepts(wanted));
        (!comes_back).then(|| sticky.set_cookie(index))
    }

    fn count_none_available(&self, fleet: &Fleet, refused: bool, tried: &Tried) {
        if !tried.is_empty() {
            return; // the exchange was counted at its first attempt
        }
        if fleet.is_fail_open() {
            self.series.none_available.inc(NoneAvailable::FailOpen);
        } else if refused {
            self.series.none_available.inc(NoneAvailable::Refuse);
        }
    }
}

/// What a pick leaves out.
#[derive(Debug, Clone, Copy)]
struct Excluded {
    tried: bool,
    suspect: bool,
}

/// A fleet's members, as a balancer sees them at the moment of a pick.
struct Members<'a> {
    upstream: &'a Upstream,
    fleet: &'a Fleet,
    tried: &'a Tried,
    now: Instant,
    excluded: Excluded,
}

impl Members<'_> {
    fn backend(&self, member: usize) -> &Backend {
        &self.upstream.backends[self.fleet.members[member] as usize]
    }
}

impl Candidates for Members<'_> {
    fn is_usable(&self, member: usize) -> bool {
        let tried = self.excluded.tried && self.tried.contains(self.fleet.members[member] as usize);
        let suspect = self.excluded.suspect && self.backend(member).is_suspect(self.now);
        !tried && !suspect && !self.backend(member).is_full()
    }

    fn in_flight(&self, member: usize) -> u64 {
        self.backend(member).in_flight()
    }

    fn latency(&self, member: usize) -> Option<f32> {
        let backend = self.backend(member);
        backend.latency.estimate(self.now, backend.in_flight() == 0)
    }
}
