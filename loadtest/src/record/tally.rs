//! Counts requests, failures by kind, and the latencies of the successful ones.

use hdrhistogram::Histogram;
use std::time::Duration;

/// Why a request counts as failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection: refused or unreachable.
    Connect,
    /// The connection ended before the head of an answer.
    Reset,
    /// No complete answer within the timeout.
    Timeout,
    /// An answer with status 500 or above.
    Status,
    /// The answer's body ended before its announced end.
    ShortBody,
    /// Something that is not HTTP.
    Protocol,
    /// The request was never sent: too many were in flight already.
    Overrun,
}

impl Failure {
    /// All kinds, in the order of their counts in a report.
    pub const ALL: [Failure; 7] = [
        Failure::Connect,
        Failure::Reset,
        Failure::Timeout,
        Failure::Status,
        Failure::ShortBody,
        Failure::Protocol,
        Failure::Overrun,
    ];

    /// The name of the kind in a report.
    pub fn name(self) -> &'static str {
        match self {
            Failure::Connect => "connect",
            Failure::Reset => "reset",
            Failure::Timeout => "timeout",
            Failure::Status => "status",
            Failure::ShortBody => "short_body",
            Failure::Protocol => "protocol",
            Failure::Overrun => "overrun",
        }
    }
}

/// Any longer latency counts as this long; it bounds the histograms.
const LATENCY_MAX: Duration = Duration::from_secs(3600);

/// Counts of requests and failures, and the latencies of the successful requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    requests: u64,
    failures: [u64; Failure::ALL.len()],
    latencies: Histogram<u32>,
}

impl Tally {
    /// An empty tally whose latencies keep `digits` significant digits.
    pub(crate) fn new(digits: u8) -> Tally {
        let latencies = Histogram::new(digits).expect("invariant: hdrhistogram takes 0 to 5 digits");
        Tally { requests: 0, failures: [0; Failure::ALL.len()], latencies }
    }

    pub(crate) fn add(&mut self, latency: Duration, result: Result<(), Failure>) {
        self.requests += 1;
        match result {
            Ok(()) => {
                let micros = latency.min(LATENCY_MAX).as_micros() as u64;
                self.latencies.record(micros).expect("invariant: a histogram that resizes takes any value");
            }
            Err(failure) => self.failures[failure as usize] += 1,
        }
    }

    pub(crate) fn merge(&mut self, other: &Tally) {
        self.requests += other.requests;
        for (mine, theirs) in self.failures.iter_mut().zip(other.failures) {
            *mine += theirs;
        }
        // Fails only for a histogram of fixed size; ours grow.
        let _ = self.latencies.add(&other.latencies);
    }

    /// How many requests were counted, failed ones included.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// How many of them failed.
    pub fn failed(&self) -> u64 {
        self.failures.iter().sum()
    }

    /// How many of them failed in the way of `failure`.
    pub fn failed_by(&self, failure: Failure) -> u64 {
        self.failures[failure as usize]
    }

    /// How many of them succeeded.
    pub fn successes(&self) -> u64 {
        self.requests - self.failed()
    }

    /// The latency in milliseconds that the share `quantile` (0 to 1) of the successful requests did not exceed; None
    /// when there was none.
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        (!self.latencies.is_empty()).then(|| self.latencies.value_at_quantile(quantile) as f64 / 1000.0)
    }
}
