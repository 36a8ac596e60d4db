//! Keeps what is worth keeping of each answer: how many, how fast, from which backend, in which phase and second.
//!
//! It stands apart from the connections so that it can be tested with made-up times. It is bounded: a run of hours at
//! thousands of requests a second takes a few megabytes, because answers are counted, not kept.

mod tally;

pub use tally::{Failure, Tally};

use crate::report::{self, BucketReport, Report};
use hyper::header::HeaderValue;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// The most backends that are told apart; the answers of any further one count towards the totals only.
pub const BACKENDS_MAX: usize = 64;

/// What became of one request.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The position of the request in the run, from 0.
    pub number: u64,
    /// When the request was due.
    pub due: Instant,
    /// When its answer was complete, or when it failed.
    pub done: Instant,
    /// Whether it was answered in full, in time and below status 500.
    pub result: Result<(), Failure>,
    /// The backend that the answer names; None without an answer or without a name in it.
    pub backend: Option<HeaderValue>,
}

/// The tallies of one span of the run: of all requests, and of each backend's.
#[derive(Debug, Clone)]
pub struct Span {
    /// All requests, answered or not.
    pub all: Tally,
    /// The requests that a backend answered, in the order of [`Recorder::backends`]; may be shorter.
    pub backends: Vec<Tally>,
    digits: u8,
}

impl Span {
    fn new(digits: u8) -> Span {
        Span { all: Tally::new(digits), backends: Vec::new(), digits }
    }

    fn add(&mut self, backend: Option<usize>, latency: Duration, result: Result<(), Failure>) {
        self.all.add(latency, result);
        if let Some(index) = backend {
            while self.backends.len() <= index {
                self.backends.push(Tally::new(self.digits));
            }
            self.backends[index].add(latency, result);
        }
    }

    /// Adds what another span has counted.
    pub fn merge(&mut self, other: &Span) {
        self.all.merge(&other.all);
        while self.backends.len() < other.backends.len() {
            self.backends.push(Tally::new(self.digits));
        }
        for (mine, theirs) in self.backends.iter_mut().zip(&other.backends) {
            mine.merge(theirs);
        }
    }
}

/// A named part of the run. A request belongs to the phase in which it was due.
#[derive(Debug)]
pub(crate) struct Phase {
    pub(crate) name: String,
    pub(crate) start: Instant,
    pub(crate) span: Span,
    /// The longest time without a successful answer that began in this phase.
    pub(crate) gap: Duration,
}

/// What was answered since the window before it was taken.
#[derive(Debug, Clone)]
pub struct Window {
    /// How much time the window covers.
    pub length: Duration,
    /// The names of the backends, in the order in which they first answered.
    pub names: Vec<String>,
    /// What was counted, by the time of the answer.
    pub span: Span,
    /// Requests counted since the start of the run.
    pub requests: u64,
    /// Failures counted since the start of the run.
    pub failed: u64,
}

/// Records the outcomes of one run.
#[derive(Debug)]
pub struct Recorder {
    start: Instant,
    bucket: Duration,
    timeout: Duration,
    names: Vec<String>,
    phases: Vec<Phase>,
    sealed: Vec<BucketReport>,
    open: VecDeque<Span>,
    window: Span,
    window_start: Instant,
    totals: (u64, u64),
    last_success: Instant,
    lag: Tally,
}

/// Significant digits of the latencies kept per phase; per second and per window two are enough.
const PHASE_DIGITS: u8 = 3;
const BUCKET_DIGITS: u8 = 2;

impl Recorder {
    /// Starts a record at `start`, in the phase `first_phase`, with one bucket per `bucket` of time.
    pub fn new(start: Instant, first_phase: &str, bucket: Duration, timeout: Duration) -> Recorder {
        let span = Span::new(PHASE_DIGITS);
        let first = Phase { name: first_phase.to_owned(), start, span, gap: Duration::ZERO };
        Recorder {
            start,
            bucket,
            timeout,
            names: Vec::new(),
            phases: vec![first],
            sealed: Vec::new(),
            open: VecDeque::new(),
            window: Span::new(BUCKET_DIGITS),
            window_start: start,
            totals: (0, 0),
            last_success: start,
            lag: Tally::new(BUCKET_DIGITS),
        }
    }

    /// Counts one outcome.
    pub fn record(&mut self, outcome: &Outcome) {
        let backend = outcome.backend.as_ref().and_then(|name| self.backend(name));
        let latency = outcome.done.saturating_duration_since(outcome.due);
        let result = outcome.result;
        let phase = self.phase_at(outcome.due);
        self.phases[phase].span.add(backend, latency, result);
        self.window.add(backend, latency, result);
        self.seal_until(outcome.done);
        self.bucket_of(outcome.due).add(backend, latency, result);
        self.totals.0 += 1;
        match result {
            Ok(()) => self.success_at(outcome.done),
            Err(_) => self.totals.1 += 1,
        }
    }

    /// Counts how late a due request was handed to a connection: the generator's own part in the latencies.
    pub fn lag(&mut self, lag: Duration) {
        self.lag.add(lag, Ok(()));
    }

    /// Starts the phase `name`: requests due from `now` on belong to it.
    pub fn mark(&mut self, name: &str, now: Instant) {
        let span = Span::new(PHASE_DIGITS);
        self.phases.push(Phase { name: name.to_owned(), start: now, span, gap: Duration::ZERO });
    }

    /// Takes what was counted since the last window.
    pub fn take_window(&mut self, now: Instant) -> Window {
        let span = std::mem::replace(&mut self.window, Span::new(BUCKET_DIGITS));
        let length = now.saturating_duration_since(self.window_start);
        self.window_start = now;
        let (requests, failed) = self.totals;
        Window { length, names: self.names.clone(), span, requests, failed }
    }

    /// The names of the backends that have answered, in the order in which they first did.
    pub fn backends(&self) -> &[String] {
        &self.names
    }

    /// Ends the record: no request was due from `end` on.
    pub fn finish(mut self, end: Instant) -> Report {
        // The run's end closes the last gap: an outage that lasts to the end has no answer after it.
        if end > self.last_success {
            self.success_at(end);
        }
        while !self.open.is_empty() {
            self.seal();
        }
        report::report(self.start, end, &self.names, &self.phases, self.sealed, &self.lag)
    }

    fn backend(&mut self, name: &HeaderValue) -> Option<usize> {
        let name = name.to_str().ok()?;
        if let Some(index) = self.names.iter().position(|known| known == name) {
            return Some(index);
        }
        if self.names.len() == BACKENDS_MAX {
            return None;
        }
        self.names.push(name.to_owned());
        Some(self.names.len() - 1)
    }

    fn phase_at(&self, at: Instant) -> usize {
        self.phases.iter().rposition(|phase| phase.start <= at).unwrap_or(0)
    }

    fn success_at(&mut self, done: Instant) {
        let gap = done.saturating_duration_since(self.last_success);
        let phase = self.phase_at(self.last_success);
        self.phases[phase].gap = self.phases[phase].gap.max(gap);
        self.last_success = self.last_success.max(done);
    }

    fn bucket_of(&mut self, due: Instant) -> &mut Span {
        let number = (due.saturating_duration_since(self.start).as_nanos() / self.bucket.as_nanos()) as usize;
        // What is later than the timeout allows belongs to a sealed bucket; count it to the oldest that is open.
        let index = number.saturating_sub(self.sealed.len());
        while self.open.len() <= index {
            self.open.push_back(Span::new(BUCKET_DIGITS));
        }
        &mut self.open[index]
    }

    /// Seals the buckets whose requests have all been answered or timed out: numbers take their histograms' place.
    fn seal_until(&mut self, now: Instant) {
        while self.open.len() > 1 {
            let end = self.start + self.bucket * (self.sealed.len() as u32 + 1);
            if now < end + self.timeout + self.bucket {
                return;
            }
            self.seal();
        }
    }

    fn seal(&mut self) {
        if let Some(span) = self.open.pop_front() {
            let at = self.bucket * self.sealed.len() as u32;
            self.sealed.push(report::bucket(at, self.bucket, &self.names, &span));
        }
    }
}

#[cfg(test)]
mod tests;
