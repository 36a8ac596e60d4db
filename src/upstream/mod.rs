//! The model that both planes share: upstreams, their backends, and every decision about them.
//!
//! No I/O happens here. The data plane asks ([`Upstream::pick`], [`RetryRules::decide`]) and the control plane tells
//! ([`Upstream::observe`]); what passes between them is an immutable [`Fleet`] that is swapped as a whole, and relaxed
//! atomics. In reading order:
//!
//! - `backend`: one server; what outlives a reload.
//! - `signs`: what live traffic tells about it, noted without a lock.
//! - `outlier`: what they say beside those of its peers.
//! - `availability`: its state, moved by events; `observe`: the one place where that happens.
//! - `load_aware`: less work for a backend whose CPU is busy.
//! - `fleet`: who may be picked now.
//! - [`balance`]: how one of them is picked, an algorithm to a file.
//! - `pick`, `keys`, `sticky`: one backend for one attempt, what of the request may decide it.
//! - `retry`, `budget`: whether a failed attempt is followed by another.
//!
//! ```text
//!              data plane (every worker)                    control plane
//!   request ──▶ Upstream::pick ──reads──▶ Fleet ◀──swaps── Upstream::observe ◀── check results
//!                   │                                            │
//!                   ▼                                            ▼ Observed
//!      Backend: in flight, latency, signs                 series, log, annotation
//! ```

mod availability;
mod backend;
pub mod balance;
mod budget;
mod candidates;
mod drain;
mod exchange;
mod fleet;
mod identity;
mod keys;
mod latency;
mod limit;
mod load_aware;
mod observe;
mod outlier;
mod pick;
mod queue;
mod retry;
mod settings;
mod signs;
mod stable_hash;
mod sticky;

pub use availability::{
    Availability, AvailabilityRules, DrainSource, Ejection, EjectionTimes, Event, Thresholds, Transition,
};
pub use backend::Backend;
pub use balance::Balancer;
pub use budget::RetryBudget;
pub use exchange::{ExchangeSettings, HostHeader, ProxyVersion};
pub use fleet::{Fleet, Standing, WhenNoneAvailable};
pub use identity::BackendId;
pub use keys::{HashKey, RequestKeys};
pub use latency::{DECAY, PeakLatency};
pub use limit::{AdaptiveLimit, Period};
pub use load_aware::{LoadAware, LoadChange};
pub use observe::Observed;
pub use outlier::{COMPARE_EVERY, Finding, Judge, LOOK_EVERY, Sample, Totals};
pub use pick::{NoPick, Pick, Tried};
pub use queue::{InFlight, Place, Queue};
pub use retry::{
    Attempted, BudgetSettings, Decision, Failure, Hedge, RetryRules, StatusSet, is_idempotent, is_safe,
};
pub use settings::{BackendSettings, InFlightLimit, LoadLine, OutlierRules, SlowStart, UpstreamSettings};
pub use signs::{DOUBT_LASTS, SUSPICION_LASTS, Sign};
pub use sticky::StickySettings;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use crate::telemetry::{Telemetry, TransitionCause, UpstreamSeries};
use balance::Turn;
use sticky::Sticky;

/// A named group of interchangeable backends.
#[derive(Debug)]
pub struct Upstream {
    /// The name: the `upstream` label.
    pub name: Box<str>,
    /// The backends, in file order.
    pub backends: Box<[Arc<Backend>]>,
    /// When a failed attempt is tried again.
    pub retries: RetryRules,
    /// What is left for retries. The same after a reload.
    pub budget: Arc<RetryBudget>,
    /// How exchanges are conducted.
    pub exchange: ExchangeSettings,
    /// When live traffic takes a backend out. None leaves it to the checks.
    pub outliers: Option<OutlierRules>,
    /// How much work is given out at a time.
    pub load_line: LoadLine,
    /// When a backend gets less because its CPU is busy. None looks at no CPU.
    pub load_aware: Option<LoadAware>,
    /// The requests that wait for a backend to have room. The same after a reload.
    pub queue: Arc<Queue>,
    /// How long a backend that drains may take to finish what it has.
    pub drain_timeout: Duration,
    /// What is counted of it.
    pub series: Arc<UpstreamSeries>,
    balancer: Balancer,
    when_none_available: WhenNoneAvailable,
    sticky: Option<Sticky>,
    turn: Turn,
    /// In nanoseconds; 0 for none.
    overdue_after: AtomicU64,
    fleet: ArcSwap<Fleet>,
    /// Held while a state changes and its fleet is built and swapped: one change after the other.
    publishing: Mutex<()>,
    arrivals: Box<[(usize, Observed)]>,
}

impl Upstream {
    /// Makes an upstream. A backend that `previous` has, by name and address, is carried over as it is: its state, its
    /// exchanges in flight and its series do not notice the reload. The others of `previous` are retired, with the time
    /// that a drain has to finish what they have, and those
    /// that it did not have begin with a slow start; what that changes where the name stays is told by
    /// [`Upstream::arrivals`]. The retry budget goes on.
    ///
    /// Cannot fail, so that a reload does it last: what is carried over is configured anew at once.
    #[must_use]
    pub fn new(
        settings: UpstreamSettings,
        previous: Option<&Self>,
        telemetry: &Telemetry,
        now: Instant,
    ) -> Self {
        let make = |backend| make(&settings, backend, previous, telemetry, now);
        let backends: Box<[Arc<Backend>]> = settings
            .backends
            .iter()
            .map(|backend| carry_over(previous, backend).unwrap_or_else(|| make(backend)))
            .collect();
        for (backend, from) in backends.iter().zip(&settings.backends) {
            backend.configure(from.weight, settings.exchange.idle_timeout);
            match settings.load_line.in_flight {
                InFlightLimit::Unlimited => backend.set_in_flight_limit(0),
                InFlightLimit::Fixed(limit) => backend.set_in_flight_limit(limit),
                // Goes on from where it was, or begins to learn; see `limit`.
                InFlightLimit::Adaptive => {}
            }
        }
        let replaced = previous.into_iter().flat_map(|previous| &previous.backends);
        for backend in replaced.filter(|known| !backends.iter().any(|kept| Arc::ptr_eq(kept, known))) {
            backend.retire(now + settings.drain_timeout);
        }
        let arrived = |(at, (backend, from))| Some((at, arrival(previous, backend, from)?));
        let arrived: Vec<_> =
            backends.iter().zip(&settings.backends).enumerate().filter_map(arrived).collect();
        let names = backends.iter().map(|backend| &*backend.name);
        let sticky = settings.sticky.as_ref().map(|sticky| Sticky::new(sticky, &settings.name, names));
        let budget = previous.map(|previous| Arc::clone(&previous.budget));
        let standing = |backend: &Backend| observe::standing(backend, now);
        let fleet = Fleet::new(&backends, &settings.balancer, settings.when_none_available, standing);
        let mut upstream = Self {
            name: settings.name.clone(),
            backends,
            retries: settings.retries,
            budget: budget.unwrap_or_else(|| Arc::new(RetryBudget::new(settings.retries.budget))),
            exchange: settings.exchange.clone(),
            outliers: settings.outliers,
            load_line: settings.load_line,
            load_aware: settings.load_aware,
            queue: previous.map(|previous| Arc::clone(&previous.queue)).unwrap_or_default(),
            drain_timeout: settings.drain_timeout,
            series: telemetry.upstream(&settings.name),
            balancer: settings.balancer.clone(),
            when_none_available: settings.when_none_available,
            sticky,
            turn: Turn::default(),
            overdue_after: AtomicU64::new(0),
            fleet: ArcSwap::from_pointee(fleet),
            publishing: Mutex::new(()),
            arrivals: Box::default(),
        };
        upstream.arrivals = upstream.adopt(&settings, &arrived, now);
        upstream
    }

    /// Returns what changed when this upstream was made, where a backend took the place of another of the same name or has
    /// no address, with its position. To be told once, by whoever puts the upstream in force.
    #[must_use]
    pub fn arrivals(&self) -> &[(usize, Observed)] {
        &self.arrivals
    }

    /// Counts an exchange as in flight on one of its backends until the returned value is dropped. None when the backend
    /// has as many as it takes.
    #[must_use = "the exchange is in flight as long as this lives"]
    pub fn begin_exchange<'a>(&'a self, backend: &'a Backend) -> Option<InFlight<'a>> {
        InFlight::begin(backend, &self.queue)
    }

    /// Calls the next request in the queue if a backend has room: to be called after one has left it, since several
    /// backends may have got room at the same time.
    pub fn call_next_if_room(&self) {
        let fleet = self.fleet.load();
        let has_room = |member: &u32| !self.backends[*member as usize].is_full();
        if !self.queue.is_empty() && fleet.members.iter().any(has_room) {
            self.queue.call_next();
        }
    }

    /// Retires all backends: the upstream has left the configuration.
    pub fn retire(&self, now: Instant) {
        self.backends.iter().for_each(|backend| backend.retire(now + self.drain_timeout));
    }

    /// Returns the fleet of this moment.
    #[must_use]
    pub fn fleet(&self) -> Arc<Fleet> {
        self.fleet.load_full()
    }

    /// Returns after how long an attempt is overdue by itself. None when only silence tells, and while nobody knows.
    #[must_use]
    pub fn overdue_after(&self) -> Option<Duration> {
        match self.overdue_after.load(Relaxed) {
            0 => None,
            nanoseconds => Some(Duration::from_nanos(nanoseconds)),
        }
    }

    /// Sets after how long an attempt is overdue by itself.
    pub fn set_overdue_after(&self, patience: Option<Duration>) {
        let nanoseconds =
            patience.map_or(0, |patience| u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX));
        self.overdue_after.store(nanoseconds, Relaxed);
    }

    /// Returns how a backend is picked.
    #[must_use]
    pub fn balancer(&self) -> &Balancer {
        &self.balancer
    }
}

fn carry_over(previous: Option<&Upstream>, wanted: &BackendSettings) -> Option<Arc<Backend>> {
    of_this_name(previous, &wanted.name).filter(|known| known.address == wanted.address).cloned()
}

fn make(
    upstream: &UpstreamSettings,
    backend: &BackendSettings,
    previous: Option<&Upstream>,
    telemetry: &Telemetry,
    now: Instant,
) -> Arc<Backend> {
    let rules = upstream.availability();
    let availability = match (previous, of_this_name(previous, &backend.name)) {
        (_, Some(predecessor)) => predecessor.availability().successor(rules, now),
        (Some(_), None) => Availability::joining(rules, now),
        (None, None) => Availability::new(rules, now),
    };
    let series = telemetry.backend(&upstream.name, &backend.name);
    Arc::new(Backend::new(&backend.name, backend.address, series, availability, now))
}

/// Returns what is learned about a backend by its arrival. None when it was there before, or is new without a predecessor.
fn arrival(previous: Option<&Upstream>, backend: &Arc<Backend>, from: &BackendSettings) -> Option<Event> {
    let predecessor = of_this_name(previous, &backend.name);
    let cause = if from.looked_up { TransitionCause::Lookup } else { TransitionCause::Configuration };
    match predecessor {
        Some(same) if Arc::ptr_eq(same, backend) => None,
        _ if backend.address.is_none() => Some(Event::Unresolved),
        predecessor => predecessor.map(|_| Event::Moved(cause)),
    }
}

fn of_this_name<'p>(previous: Option<&'p Upstream>, name: &str) -> Option<&'p Arc<Backend>> {
    previous?.backends.iter().find(|known| *known.name == *name)
}

#[cfg(test)]
mod tests;
