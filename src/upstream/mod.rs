//! The model that both planes share: upstreams, their backends, and every decision about them.
//!
//! No I/O happens here. The data plane asks ([`Upstream::pick`], [`RetryRules::decide`]) and the control plane tells
//! ([`Upstream::observe`]); what passes between them is an immutable [`Fleet`] that is swapped as a whole, and relaxed
//! atomics. In reading order:
//!
//! - `backend`: one server; what outlives a reload.
//! - `availability`: its state, moved by events.
//! - `fleet`: who may be picked now.
//! - [`balance`]: how one of them is picked, an algorithm to a file.
//! - `pick`, `keys`, `sticky`: one backend for one attempt, what of the request may decide it.
//! - `retry`, `budget`: whether a failed attempt is followed by another.
//!
//! ```text
//!              data plane (every worker)                    control plane
//!   request ──▶ Upstream::pick ──reads──▶ Fleet ◀──swaps── Upstream::observe ◀── check results
//!                   │                                            │
//!                   ▼                                            ▼ Transition
//!      Backend: in flight, latency, suspect               series, log, annotation
//! ```

mod availability;
mod backend;
pub mod balance;
mod budget;
mod exchange;
mod fleet;
mod identity;
mod keys;
mod latency;
mod limit;
mod pick;
mod queue;
mod retry;
mod settings;
mod stable_hash;
mod sticky;

pub use availability::{Availability, Event, Thresholds, Transition};
pub use backend::{Backend, SUSPICION_LASTS};
pub use balance::Balancer;
pub use budget::RetryBudget;
pub use exchange::{ExchangeSettings, HostHeader};
pub use fleet::{Fleet, Standing, WhenNoneAvailable};
pub use identity::BackendId;
pub use keys::{HashKey, RequestKeys};
pub use latency::{DECAY, PeakLatency};
pub use limit::{AdaptiveLimit, Period};
pub use pick::{NoPick, Pick, PickReason, Tried};
pub use queue::{InFlight, Place, Queue};
pub use retry::{Attempted, BudgetSettings, Decision, Failure, Hedge, RetryRules, StatusSet, is_idempotent};
pub use settings::{
    BackendSettings, InFlightLimit, LoadLine, OutlierRules, Sign, SlowStart, UpstreamSettings,
};
pub use sticky::StickySettings;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::time::Instant;

use crate::telemetry::{Telemetry, UpstreamSeries};
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
    /// How exchanges are conducted.
    pub exchange: ExchangeSettings,
    /// What is counted of it.
    pub series: Arc<UpstreamSeries>,
    /// What is left for retries. The same after a reload.
    pub budget: Arc<RetryBudget>,
    /// How much work is given out at a time.
    pub load_line: LoadLine,
    /// The requests that wait for a backend to have room. The same after a reload.
    pub queue: Arc<Queue>,
    balancer: Balancer,
    when_none_available: WhenNoneAvailable,
    sticky: Option<Sticky>,
    turn: Turn,
    /// In nanoseconds; 0 for none.
    overdue_after: AtomicU64,
    fleet: ArcSwap<Fleet>,
    /// Held while a fleet is built and swapped, so that the last one built has seen every transition.
    publishing: Mutex<()>,
}

impl Upstream {
    /// Makes an upstream. A backend that `previous` has, by name and address, is carried over as it is: its health, its
    /// exchanges in flight and its series do not notice the reload. The others of `previous` are retired.
    ///
    /// Cannot fail, so that a reload does it last: what is carried over is configured anew at once.
    #[must_use]
    pub fn new(
        settings: UpstreamSettings,
        previous: Option<&Self>,
        telemetry: &Telemetry,
        now: Instant,
    ) -> Self {
        let backends: Box<[Arc<Backend>]> = settings
            .backends
            .iter()
            .map(|backend| {
                carry_over(previous, backend).unwrap_or_else(|| make(&settings, backend, telemetry, now))
            })
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
            backend.retire();
        }
        let names = backends.iter().map(|backend| &*backend.name);
        let sticky = settings.sticky.as_ref().map(|sticky| Sticky::new(sticky, &settings.name, names));
        let upstream = Self {
            fleet: ArcSwap::from_pointee(Fleet::new(
                &backends,
                &settings.balancer,
                settings.when_none_available,
                standing,
            )),
            series: telemetry.upstream(&settings.name),
            name: settings.name,
            backends,
            retries: settings.retries,
            exchange: settings.exchange,
            budget: previous.map_or_else(
                || Arc::new(RetryBudget::new(settings.retries.budget)),
                |previous| Arc::clone(&previous.budget),
            ),
            load_line: settings.load_line,
            queue: previous.map(|previous| Arc::clone(&previous.queue)).unwrap_or_default(),
            balancer: settings.balancer,
            when_none_available: settings.when_none_available,
            sticky,
            turn: Turn::default(),
            overdue_after: AtomicU64::new(0),
            publishing: Mutex::new(()),
        };
        upstream.adopt(settings.checks, now);
        upstream
    }

    /// Takes note of what was learned about one of its backends. None when the backend's state stays what it was.
    ///
    /// The only place where a state changes: on a [`Transition`] the series are updated and another fleet is swapped
    /// in. The caller logs it.
    pub fn observe(&self, backend: &Backend, event: Event, now: Instant) -> Option<Transition> {
        if matches!(event, Event::CheckPassed | Event::ChecksEnded) {
            backend.end_suspicion();
        }
        let transition = backend.lock_availability().apply(event, now);
        if let Some(transition) = transition {
            backend.series.record_transition(transition.to, transition.cause, SystemTime::now());
        }
        // Also without a transition of our own: around a reload, another upstream may have seen it.
        if transition.is_some() || self.is_out_of_date(backend) {
            self.publish();
        }
        transition
    }

    /// Takes note of what live traffic tells about one of its backends: a hint for the next picks on all workers, never a
    /// change of state. Takes no lock.
    pub fn note(&self, backend: &Backend, sign: Sign, now: Instant) {
        match sign {
            Sign::ConnectFailed => backend.suspect(now),
            Sign::Answered => backend.end_suspicion(),
            Sign::Broke | Sign::Overtaken | Sign::ServerError => {}
        }
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
    pub fn retire(&self) {
        self.backends.iter().for_each(|backend| backend.retire());
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

    /// Brings the backends in line with the settings, shows them, and publishes the first fleet.
    fn adopt(&self, checks: Option<Thresholds>, now: Instant) {
        for backend in &self.backends {
            match checks {
                Some(thresholds) => backend.lock_availability().set_thresholds(thresholds),
                None => drop(self.observe(backend, Event::ChecksEnded, now)),
            }
            backend.series.show_state(backend.availability().state());
        }
        self.series.configured.set(self.backends.len() as i64);
        self.publish();
    }

    fn is_out_of_date(&self, backend: &Backend) -> bool {
        let fleet = self.fleet.load();
        let position = self.backends.iter().position(|known| std::ptr::eq(&**known, backend));
        position.is_some_and(|at| !fleet.is_fail_open() && fleet.accepts(at) != standing(backend).available)
    }

    /// Builds a fleet from the backends as they are, and swaps it in.
    fn publish(&self) {
        let _one_at_a_time = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let fleet = Fleet::new(&self.backends, &self.balancer, self.when_none_available, standing);
        for (at, backend) in self.backends.iter().enumerate() {
            let weight = if fleet.accepts(at) { standing(backend).effective_weight } else { 0.0 };
            backend.series.effective_weight.set(weight);
            backend.series.intended_share.set(fleet.share(at));
        }
        let available = if fleet.is_fail_open() { 0 } else { fleet.len() };
        self.series.available.set(available as i64);
        self.fleet.store(Arc::new(fleet));
        self.queue.call_all();
    }
}

/// What a backend counts for: its whole weight or nothing.
fn standing(backend: &Backend) -> Standing {
    Standing {
        available: backend.availability().is_available(),
        effective_weight: f64::from(backend.weight()),
    }
}

fn carry_over(previous: Option<&Upstream>, wanted: &BackendSettings) -> Option<Arc<Backend>> {
    let known = previous?.backends.iter();
    known.into_iter().find(|known| known.name == wanted.name && known.address == wanted.address).cloned()
}

fn make(
    upstream: &UpstreamSettings,
    backend: &BackendSettings,
    telemetry: &Telemetry,
    now: Instant,
) -> Arc<Backend> {
    let thresholds = upstream.checks.unwrap_or(Thresholds { rise: 1, fall: 1 });
    let series = telemetry.backend(&upstream.name, &backend.name);
    let availability = Availability::new(thresholds, now);
    Arc::new(Backend::new(&backend.name, backend.address, series, availability, now))
}

#[cfg(test)]
mod tests;
