//! A backend: one server of an upstream, as both planes know it.
//!
//! It outlives the configuration that named it: a reload that leaves its name and address alone keeps the same
//! [`Backend`], with its health, its exchanges in flight, its latency and its series. Another address is another server,
//! of which only the name and the series are the same. What belongs to a configuration alone (the balancer, the cookie)
//! is kept in [`Upstream`](super::Upstream).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::availability::Availability;
use super::drain::DrainDeadline;
use super::identity::BackendId;
use super::latency::PeakLatency;
use super::load_aware::in_steps;
use super::signs::{Signs, Suspicion};
use crate::telemetry::{BackendSeries, FloatGauge, Padded};

/// Stands for no weight: above those that a configuration may say.
const NO_WEIGHT: u32 = u32::MAX;

/// One server of an upstream.
#[derive(Debug)]
pub struct Backend {
    /// The number under which workers keep their connections to it.
    pub id: BackendId,
    /// The name, unique in its upstream: the `backend` label.
    pub name: Box<str>,
    /// Where it answers. None while its host name has no address; nothing is sent to it then.
    pub address: Option<SocketAddr>,
    /// What is counted of it. Exchanges in flight are counted here and nowhere else.
    pub series: Arc<BackendSeries>,
    /// How long its answers take, for the balancer that asks for it.
    pub latency: PeakLatency,
    /// How long connecting to it takes.
    pub connects: PeakLatency,
    weight: AtomicU32,
    configured_weight: AtomicU32,
    in_flight_limit: AtomicU32,
    /// In milliseconds.
    idle_timeout: AtomicU64,
    retired: AtomicBool,
    /// Alone on its cache lines: read at every pick and every answer, and hardly ever written.
    pub(super) signs: Padded<Signs>,
    suspected: Notify,
    alarm: AtomicU32,
    pub(super) drain: DrainDeadline,
    /// As it was worked out; what is used of it moves in steps.
    load_factor: FloatGauge,
    epoch: Instant,
    availability: Mutex<Availability>,
}

impl Backend {
    pub(super) fn new(
        name: &str,
        address: Option<SocketAddr>,
        series: Arc<BackendSeries>,
        availability: Availability,
        now: Instant,
    ) -> Self {
        Self {
            id: BackendId::take(),
            name: name.into(),
            address,
            series,
            latency: PeakLatency::new(now),
            connects: PeakLatency::new(now),
            weight: AtomicU32::new(0),
            configured_weight: AtomicU32::new(NO_WEIGHT),
            in_flight_limit: AtomicU32::new(0),
            idle_timeout: AtomicU64::new(0),
            retired: AtomicBool::new(false),
            signs: Padded::default(),
            suspected: Notify::new(),
            alarm: AtomicU32::new(0),
            drain: DrainDeadline::default(),
            load_factor: FloatGauge::new(1.0),
            epoch: now,
            availability: Mutex::new(availability),
        }
    }

    /// Returns its share of the work, relative to the other backends: what the configuration says, or an operator who has
    /// spoken since. 0 gets none while another one can take it.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight.load(Relaxed)
    }

    /// Returns the weight that the configuration gives it.
    #[must_use]
    pub fn configured_weight(&self) -> u32 {
        self.configured_weight.load(Relaxed)
    }

    /// Returns how long an unused connection to it is kept.
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout.load(Relaxed))
    }

    /// Tells whether it has left the configuration: it finishes what it has, and its connections are not kept.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.retired.load(Relaxed)
    }

    /// Returns the number of exchanges that it has to answer now, over all workers.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        u64::try_from(self.series.inflight.get()).unwrap_or(0)
    }

    /// Returns how many exchanges it takes at a time; 0 for any number.
    #[must_use]
    pub fn in_flight_limit(&self) -> u32 {
        self.in_flight_limit.load(Relaxed)
    }

    /// Tells whether it takes no more exchanges now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let limit = self.in_flight_limit();
        limit != 0 && self.in_flight() >= u64::from(limit)
    }

    /// Sets how many exchanges it takes at a time; 0 for any number.
    pub fn set_in_flight_limit(&self, limit: u32) {
        self.in_flight_limit.store(limit, Relaxed);
        let shown = if limit == 0 { f64::INFINITY } else { f64::from(limit) };
        self.series.inflight_limit.set(shown);
    }

    /// Returns the part of its weight, 0 to 1, that is left to it while its CPU is busy; see [`LoadAware`](super::LoadAware).
    #[must_use]
    pub fn load_factor(&self) -> f64 {
        in_steps(self.load_factor.get())
    }

    /// Moves the load factor. One caller at a time: the control plane's.
    pub(super) fn follow_load(&self, next: impl FnOnce(f64) -> f64) {
        self.load_factor.set(next(self.load_factor.get()));
    }

    /// Returns a copy of the state and what led to it. For the control path: takes a lock.
    #[must_use]
    pub fn availability(&self) -> Availability {
        *self.lock_availability()
    }

    /// Tells whether live traffic failed on it, so that others are preferred; see [`Upstream::note`](super::Upstream::note).
    #[must_use]
    pub fn is_suspect(&self, now: Instant) -> bool {
        self.signs.is_suspect(|| self.milliseconds(now))
    }

    /// Waits until the backend becomes suspect, so that it can be checked now and not at the next tick.
    ///
    /// One waiter at a time. A suspicion that began before the call, and that nobody waited for, is reported at once.
    ///
    /// Cancel safe.
    pub async fn suspected(&self) {
        self.suspected.notified().await;
    }

    /// Raises an alarm. Who waits for the backend must be woken to hear of it.
    pub fn raise_alarm(&self) {
        self.alarm.fetch_add(1, Relaxed);
    }

    /// Returns the number of the latest alarm: a changed one says that the backend is silent or was taken out, and that
    /// who waits for it may do better elsewhere.
    #[must_use]
    pub fn alarm(&self) -> u32 {
        self.alarm.load(Relaxed)
    }

    /// Makes the backend suspect, on all workers at once and without a lock, because of what began at `since`.
    pub(super) fn suspect(&self, suspicion: Suspicion, since: Instant, now: Instant) {
        let (since, now) = (self.milliseconds(since), self.milliseconds(now));
        if self.signs.suspect(suspicion, since, now) {
            self.suspected.notify_one();
        }
    }

    /// Gives it another weight, until a configuration says otherwise.
    pub(super) fn set_weight(&self, weight: u32) {
        self.weight.store(weight, Relaxed);
        self.series.weight.set(f64::from(weight));
    }

    /// Brings in what a configuration says about a backend that may be older than it. A weight that the last one said as
    /// well leaves alone what an operator has set since.
    pub(super) fn configure(&self, weight: u32, idle_timeout: Duration) {
        self.retired.store(false, Relaxed);
        self.idle_timeout.store(u64::try_from(idle_timeout.as_millis()).unwrap_or(u64::MAX), Relaxed);
        if self.configured_weight.swap(weight, Relaxed) != weight {
            self.set_weight(weight);
        }
    }

    /// Takes note that it has left the configuration, and may take until `deadline` to finish what it has; one that drains
    /// already gets no more time.
    pub(super) fn retire(&self, deadline: Instant) {
        self.retired.store(true, Relaxed);
        if self.drain_deadline().is_none() {
            self.set_drain_deadline(Some(deadline));
        }
    }

    pub(super) fn lock_availability(&self) -> MutexGuard<'_, Availability> {
        self.availability.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a time on the backend's own clock. Never 0, which stands for none.
    pub(super) fn milliseconds(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_millis() as u64 + 1
    }

    /// Returns the moment that the backend's own clock showed so.
    pub(super) fn instant(&self, milliseconds: u64) -> Instant {
        self.epoch + Duration::from_millis(milliseconds.saturating_sub(1))
    }
}
