//! Says what a run asks for, and refuses a plan that cannot be carried out before the first request is sent.
//!
//! It stands apart from the run so that a command line, a scenario and a test describe load in the same words.

use crate::mix::{Ask, MixError};
use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName};
use hyper::{Method, Uri};
use std::net::SocketAddr;
use std::time::Duration;

/// The most buckets that one run keeps; with a bucket per second, ten hours.
pub const BUCKETS_MAX: u128 = 36_000;

/// The most clients that may ask in turn.
pub const CONNECTIONS_MAX: usize = 100_000;

/// The highest rate, in requests per second.
pub const RATE_MAX: f64 = 1_000_000.0;

/// Describes one run: what is asked, how often, for how long, and what counts as too late.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The absolute `http://` address that every request asks for.
    pub target: Uri,
    /// The method of every request: one without a body, or POST, whose requests have a body of a few bytes.
    pub method: Method,
    /// A request header that carries the request's number in the run, by which a server finds one that came twice.
    pub number_header: Option<HeaderName>,
    /// What is asked for, in proportion to the weights; empty for `target` by `method` alone. Each has its own address.
    pub mix: Vec<Ask>,
    /// Whether a connection carries one request after another. Otherwise each request has a connection of its own.
    pub keep_alive: bool,
    /// Requests due per second, on average.
    pub rate: f64,
    /// How the rate changes over the run, from its start on; empty when it is `rate` all the time.
    pub legs: Vec<Leg>,
    /// A closed loop instead of a rate: so many clients, each of which asks again once it has its answer.
    pub connections: Option<usize>,
    /// How long requests become due; answers may arrive later, by at most `timeout`.
    pub duration: Duration,
    /// How long after it was due a request may be answered in full; then it has failed.
    pub timeout: Duration,
    /// How the points in time at which requests are due are spread.
    pub arrivals: Arrivals,
    /// The most requests awaiting their answers at once; one more that falls due fails as an overrun.
    pub max_in_flight: usize,
    /// How finely the run is recorded over time.
    pub bucket: Duration,
    /// The name of the phase that the run starts in.
    pub first_phase: String,
    /// The phases after it: when each begins, counted from the start of the run, in order, and its name.
    pub phases: Vec<(Duration, String)>,
    /// Response headers that name the backend, in order of preference.
    pub backend_headers: Vec<HeaderName>,
    /// Whether load may leave this machine.
    pub allow_remote: bool,
}

/// A part of a run in which the rate stays, or changes evenly from one value to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leg {
    /// How long it lasts.
    pub duration: Duration,
    /// Requests due per second at its begin.
    pub from: f64,
    /// Requests due per second at its end.
    pub to: f64,
}

/// How the points in time at which requests are due are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// Evenly, `1 / rate` apart.
    Constant,
    /// Independently of each other, as from many clients that know nothing of one another: exponential gaps.
    Poisson {
        /// Makes the gaps repeatable: the same seed gives the same gaps.
        seed: u64,
    },
}

/// Why a plan cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The target is not an absolute `http://` address.
    #[error("target `{0}` is not of the form http://host:port/path; write it out in full")]
    Target(String),
    /// The rate is not a number that requests can be sent at.
    #[error("rate {0} is not between 0.01 and 1000000 requests per second; choose one in that range")]
    Rate(f64),
    /// A span of time that must be positive is zero.
    #[error("{0} is zero; give it a positive time such as 10s")]
    Zero(&'static str),
    /// The run would be recorded in more buckets than are kept.
    #[error("{0} buckets are more than {BUCKETS_MAX}; use a longer bucket or a shorter run")]
    Buckets(u128),
    /// No request may ever be in flight.
    #[error("max in flight is 0; allow at least 1")]
    InFlight,
    /// A closed loop of no clients, or of more than one machine can be.
    #[error("{0} connections are not between 1 and {CONNECTIONS_MAX}; choose a number in that range")]
    Connections(usize),
    /// What is asked for cannot be mixed.
    #[error(transparent)]
    Mix(#[from] MixError),
    /// The name of the target has no address.
    #[error("target `{host}` has no address: {source}; check the name")]
    Resolve {
        /// The name and port that were looked up.
        host: String,
        /// Why the look-up failed.
        source: std::io::Error,
    },
    /// The target is another machine and the plan does not allow that.
    #[error("target {0} is not on the loopback interface; allow remote targets if you may load that machine")]
    Remote(SocketAddr),
}

impl Plan {
    /// Describes a steady run with the defaults: GET, 10 s timeout, at most 1000 in flight, one bucket per second, the phase
    /// called `run`, backends named by `x-plimsoll-backend` or else `x-server`, loopback only.
    ///
    /// # Errors
    /// When `target` is not an absolute `http://` address.
    pub fn new(target: &str, rate: f64, duration: Duration) -> Result<Plan, PlanError> {
        let uri: Uri = target.parse().map_err(|_| PlanError::Target(target.to_owned()))?;
        Ok(Plan {
            target: uri,
            method: Method::GET,
            number_header: None,
            mix: Vec::new(),
            keep_alive: true,
            rate,
            legs: Vec::new(),
            connections: None,
            duration,
            timeout: Duration::from_secs(10),
            arrivals: Arrivals::Constant,
            max_in_flight: 1000,
            bucket: Duration::from_secs(1),
            first_phase: "run".to_owned(),
            phases: Vec::new(),
            backend_headers: vec![
                HeaderName::from_static("x-plimsoll-backend"),
                HeaderName::from_static("x-server"),
            ],
            allow_remote: false,
        })
    }

    /// Checks the plan and looks up the addresses that it will connect to: those of [`Plan::asks`], one after another.
    pub(crate) async fn resolve(&self) -> Result<Vec<SocketAddr>, PlanError> {
        self.check()?;
        let mut found: Vec<(String, SocketAddr)> = Vec::new();
        let mut addresses = Vec::new();
        for ask in self.asks() {
            let name = format!("{}:{}", host(&ask.target)?, ask.target.port_u16().unwrap_or(80));
            let known = found.iter().find(|(known, _)| *known == name).map(|(_, address)| *address);
            let address = match known {
                Some(address) => address,
                None => look_up(&name).await?,
            };
            if !self.allow_remote && !address.ip().is_loopback() {
                return Err(PlanError::Remote(address));
            }
            found.push((name, address));
            addresses.push(address);
        }
        Ok(addresses)
    }

    /// What is asked for, at least one.
    pub(crate) fn asks(&self) -> Vec<Ask> {
        if !self.mix.is_empty() {
            return self.mix.clone();
        }
        let body = if self.method == Method::POST { Bytes::from_static(b"loadtest") } else { Bytes::new() };
        let (target, method) = (self.target.clone(), self.method.clone());
        vec![Ask { weight: 1, method, target, headers: HeaderMap::new(), body }]
    }

    /// The rate over time, at least one leg.
    pub(crate) fn rates(&self) -> Vec<Leg> {
        if self.legs.is_empty() {
            return vec![Leg { duration: self.duration, from: self.rate, to: self.rate }];
        }
        self.legs.clone()
    }

    pub(crate) fn check(&self) -> Result<(), PlanError> {
        match self.connections {
            Some(connections) if !(1..=CONNECTIONS_MAX).contains(&connections) => {
                return Err(PlanError::Connections(connections));
            }
            Some(_) => {}
            None => self.check_rate()?,
        }
        for (name, span) in [("duration", self.duration), ("timeout", self.timeout), ("bucket", self.bucket)]
        {
            if span.is_zero() {
                return Err(PlanError::Zero(name));
            }
        }
        let buckets = self.duration.as_nanos() / self.bucket.as_nanos();
        if buckets > BUCKETS_MAX {
            return Err(PlanError::Buckets(buckets));
        }
        if self.max_in_flight == 0 {
            return Err(PlanError::InFlight);
        }
        Ok(())
    }

    fn check_rate(&self) -> Result<(), PlanError> {
        // A leg may rest; a run that asks for nothing at all is a mistake.
        let within = |rate: f64| (0.0..=RATE_MAX).contains(&rate);
        let rates = || self.legs.iter().flat_map(|leg| [leg.from, leg.to]);
        if let Some(rate) = rates().find(|rate| !within(*rate)) {
            return Err(PlanError::Rate(rate));
        }
        let highest = if self.legs.is_empty() { self.rate } else { rates().fold(0.0, f64::max) };
        if (0.01..=RATE_MAX).contains(&highest) { Ok(()) } else { Err(PlanError::Rate(highest)) }
    }
}

fn host(target: &Uri) -> Result<&str, PlanError> {
    match (target.scheme_str(), target.host()) {
        (Some("http"), Some(host)) => Ok(host),
        _ => Err(PlanError::Target(target.to_string())),
    }
}

async fn look_up(name: &str) -> Result<SocketAddr, PlanError> {
    let failed = |source| PlanError::Resolve { host: name.to_owned(), source };
    let mut found = tokio::net::lookup_host(name).await.map_err(failed)?;
    found.next().ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))
}

/// Reads a span of time with its unit: `250ms`, `30s`, `5m`, `1h`, `1.5s`.
///
/// # Errors
/// A sentence for the person who typed it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let advice = || format!("`{text}` is not a duration; write a number and a unit such as 250ms, 30s or 5m");
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(advice)?;
    let (number, unit) = text.split_at(unit_at);
    let number: f64 = number.parse().map_err(|_| advice())?;
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(advice()),
    };
    Duration::try_from_secs_f64(number * seconds).map_err(|_| advice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit_and_nothing_else() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "10", "s", "-1s", "10 parsecs", "1e400s", "NaNs"] {
            assert!(parse_duration(wrong).is_err(), "{wrong} was accepted");
        }
    }

    #[tokio::test]
    async fn a_plan_that_cannot_be_carried_out_is_refused_with_its_reason() {
        let plan = Plan::new("http://127.0.0.1:1/", 10.0, Duration::from_secs(1)).unwrap();
        let message = async |change: &dyn Fn(&mut Plan)| {
            let mut plan = plan.clone();
            change(&mut plan);
            plan.resolve().await.unwrap_err().to_string()
        };
        assert!(message(&|p| p.rate = f64::NAN).await.contains("rate NaN"));
        assert!(message(&|p| p.rate = 0.0).await.contains("rate 0"));
        assert!(message(&|p| p.timeout = Duration::ZERO).await.contains("timeout is zero"));
        assert!(message(&|p| p.bucket = Duration::from_nanos(1)).await.contains("buckets"));
        assert!(message(&|p| p.max_in_flight = 0).await.contains("max in flight"));
        assert!(message(&|p| p.target = Uri::from_static("/relative")).await.contains("/relative"));
        assert!(message(&|p| p.target = Uri::from_static("http://192.0.2.1/")).await.contains("loopback"));
        assert!(plan.resolve().await.is_ok());
    }
}
