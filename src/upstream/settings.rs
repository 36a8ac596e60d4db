//! Settings: what an upstream is made of, as a configuration says it.
//!
//! Plain values, so that both the compiler of configurations and the tests can write them down.

use std::net::SocketAddr;
use std::time::Duration;

use super::availability::{AvailabilityRules, EjectionTimes, Thresholds};
use super::balance::Balancer;
use super::exchange::ExchangeSettings;
use super::fleet::WhenNoneAvailable;
use super::load_aware::LoadAware;
use super::retry::RetryRules;
use super::sticky::StickySettings;

/// What an upstream is made of.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// The name: the `upstream` label.
    pub name: Box<str>,
    /// The backends, in file order, each with its own name.
    pub backends: Vec<BackendSettings>,
    /// How a backend is picked.
    pub balancer: Balancer,
    /// Whether and how a client stays with a backend. None does not.
    pub sticky: Option<StickySettings>,
    /// How many checks change a verdict. None when nobody checks: then every backend is healthy.
    pub checks: Option<Thresholds>,
    /// What happens while no backend is available.
    pub when_none_available: WhenNoneAvailable,
    /// When a failed attempt is tried again.
    pub retries: RetryRules,
    /// How exchanges are conducted.
    pub exchange: ExchangeSettings,
    /// When live traffic takes a backend out. None leaves it to the checks.
    pub outliers: Option<OutlierRules>,
    /// How a backend comes back.
    pub slow_start: SlowStart,
    /// How much work is given out at a time.
    pub load_line: LoadLine,
    /// When a backend gets less because its CPU is busy. None looks at no CPU.
    pub load_aware: Option<LoadAware>,
    /// How long a backend that drains may take to finish what it has.
    pub drain_timeout: Duration,
}

impl UpstreamSettings {
    /// Returns what holds for these backends where a configuration says nothing, except that nobody checks them.
    #[must_use]
    pub fn new(name: &str, backends: Vec<BackendSettings>) -> Self {
        Self {
            name: name.into(),
            backends,
            balancer: Balancer::default(),
            sticky: None,
            checks: None,
            when_none_available: WhenNoneAvailable::default(),
            retries: RetryRules::default(),
            exchange: ExchangeSettings::default(),
            outliers: Some(OutlierRules::default()),
            slow_start: SlowStart::default(),
            load_line: LoadLine::default(),
            load_aware: None,
            drain_timeout: Duration::from_secs(30),
        }
    }

    /// Returns what moves the states of the backends.
    pub(super) fn availability(&self) -> AvailabilityRules {
        let outliers = self.outliers.unwrap_or_default();
        AvailabilityRules {
            checks: self.checks.unwrap_or(Thresholds { rise: 1, fall: 1 }),
            slow_start: self.slow_start,
            ejections: EjectionTimes { first: outliers.ejection_time, max: outliers.max_ejection_time },
        }
    }
}

/// What a backend is made of.
#[derive(Debug, Clone)]
pub struct BackendSettings {
    /// The name, unique in the upstream.
    pub name: Box<str>,
    /// Where it answers. None while its host name has no address: then it is down.
    pub address: Option<SocketAddr>,
    /// Whether it is found by a host name, so that its address may change by itself.
    pub looked_up: bool,
    /// Its share of the work relative to the others. 0 gets none while another one can take it, except by a
    /// sticky cookie.
    pub weight: u32,
}

impl BackendSettings {
    /// Returns what makes a backend at an IP address.
    #[must_use]
    pub fn at(name: &str, address: SocketAddr, weight: u32) -> Self {
        Self { name: name.into(), address: Some(address), looked_up: false, weight }
    }
}

/// When live traffic takes a backend out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutlierRules {
    /// Answers with a 5xx in a row after which a backend is ejected; 0 never.
    pub consecutive_errors: u32,
    /// Failed attempts in a row after which a backend is ejected; 0 never.
    pub consecutive_failures: u32,
    /// Whether a backend is ejected that answers nobody for much longer than usual.
    pub stalls: bool,
    /// By how much the share of failed attempts may exceed that of the peers, 0 to 1; 1 never ejects.
    pub failure_margin: f64,
    /// How many times the median wait may be that of the peers; 0 never ejects.
    pub latency_factor: f64,
    /// How long the first ejection lasts at least. Each further one lasts twice as long.
    pub ejection_time: Duration,
    /// How long the ejection of a backend that keeps failing lasts at most.
    pub max_ejection_time: Duration,
    /// The share of the backends that may be ejected at a time, 0 to 1. One may always be, if another is left.
    pub max_ejected: f64,
}

impl OutlierRules {
    /// Returns how many of so many backends may be ejected at a time.
    #[must_use]
    pub fn most_ejected(&self, backends: usize) -> usize {
        let share = (self.max_ejected * backends as f64) as usize;
        if backends < 2 { 0 } else { share.clamp(1, backends - 1) }
    }
}

impl Default for OutlierRules {
    fn default() -> Self {
        Self {
            consecutive_errors: 5,
            consecutive_failures: 5,
            stalls: true,
            failure_margin: 0.1,
            latency_factor: 5.0,
            ejection_time: Duration::from_secs(1),
            max_ejection_time: Duration::from_secs(300),
            max_ejected: 0.5,
        }
    }
}

/// How a backend comes back into service: its share grows evenly from `floor` to the whole within `duration`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowStart {
    /// How long it takes. Zero is none.
    pub duration: Duration,
    /// The part of its weight that it begins with, 0 to 1.
    pub floor: f64,
}

impl Default for SlowStart {
    fn default() -> Self {
        Self { duration: Duration::from_secs(2), floor: 0.1 }
    }
}

/// The most work that backends take at a time, and what happens above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadLine {
    /// Exchanges in flight on one backend.
    pub in_flight: InFlightLimit,
    /// Requests that wait while every backend is at its limit; one more is refused.
    pub queue: usize,
    /// How long a request waits before it is refused.
    pub queue_timeout: Duration,
}

/// How many exchanges a backend takes at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InFlightLimit {
    /// Any number.
    Unlimited,
    /// This many.
    Fixed(u32),
    /// As many as it answers without its latency growing.
    Adaptive,
}

impl Default for LoadLine {
    fn default() -> Self {
        Self { in_flight: InFlightLimit::Unlimited, queue: 1000, queue_timeout: Duration::from_secs(1) }
    }
}
