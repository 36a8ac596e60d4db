//! What is given: counters read from the balancer over time, CPU usage, what was done to whom, and the client's
//! record.
//!
//! It stands apart because two sources fill it: the demo, which reads the balancer's own page, and Prometheus.
//! Times are in seconds from the start of the load.

use crate::report::Report;
use std::time::SystemTime;

/// A run as it was recorded.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The command that made it, as one would type it.
    pub command: String,
    /// How it was recorded, as a sentence for the foot of the report.
    pub source: String,
    /// When the load began.
    pub began: SystemTime,
    /// How long it lasted.
    pub seconds: f64,
    /// The names of the backends; where a position stands for a backend, it is one in here.
    pub backends: Vec<String>,
    /// The balancer's counters, oldest first.
    pub samples: Vec<Sample>,
    /// CPU usage of each backend, oldest first: when, and percent. A backend that is away has no values.
    pub cpu: Vec<Vec<(f64, f64)>>,
    /// What was done to backends, in any order.
    pub acts: Vec<Act>,
    /// What the balancer thought of them, in any order.
    pub changes: Vec<Change>,
    /// What the client saw.
    pub client: Report,
}

/// What the balancer's counters stood at, at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The moment, in seconds; what was counted before the load began has a negative one.
    pub at: f64,
    /// The counters of each backend.
    pub backends: Vec<Counters>,
    /// Final answers by the first digit of their codes, from 1xx; those without a backend included.
    pub classes: [f64; 5],
}

/// The counters of one backend.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counters {
    /// Final answers.
    pub answers: f64,
    /// Attempts that failed here and were repeated.
    pub retried: f64,
    /// Requests answered here after another backend had failed.
    pub rescued: f64,
    /// Seconds from the first signs of trouble to the verdicts.
    pub detection_seconds: f64,
    /// How often it was measured until when it still got attempts.
    pub redistributions: f64,
    /// Seconds from the first signs of trouble to the last attempts that were still sent.
    pub redistribution_seconds: f64,
}

/// Something that was done to a backend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Act {
    /// When.
    pub at: f64,
    /// The position of the backend.
    pub backend: usize,
    /// What.
    pub deed: Deed,
}

/// What one can do to a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Its process was killed.
    Killed,
    /// A process was started in its place.
    Started,
}

/// A change of a backend's state, as the balancer tells it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// When.
    pub at: f64,
    /// The position of the backend.
    pub backend: usize,
    /// The state from then on.
    pub to: State,
}

/// The states of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Takes no traffic.
    Down,
    /// Takes its share.
    Up,
    /// Finishes what it has.
    Draining,
    /// Takes a growing share.
    SlowStart,
    /// Taken out because of its answers.
    Ejected,
}

/// The metrics that [`Sample::count`] understands, as they are called at the balancer's `/metrics`.
pub const METRICS: [&str; 6] = [
    "plimsoll_requests_total",
    "plimsoll_retries_total",
    "plimsoll_rescues_total",
    "plimsoll_detection_seconds_sum",
    "plimsoll_redistribution_seconds_count",
    "plimsoll_redistribution_seconds_sum",
];

impl Sample {
    /// Nothing counted yet, of so many backends.
    pub fn new(at: f64, backends: usize) -> Sample {
        Sample { at, backends: vec![Counters::default(); backends], classes: [0.0; 5] }
    }

    /// Adds the value of one series: the metric's name, the backend that it is labelled with, if it is a known
    /// one, and the code. Ignores metrics that are none of [`METRICS`].
    pub fn count(&mut self, metric: &str, backend: Option<usize>, code: Option<&str>, value: f64) {
        if metric == METRICS[0] {
            let class = code.and_then(|code| code.chars().next()?.to_digit(10)).unwrap_or(0) as usize;
            if let Some(class) = class.checked_sub(1).and_then(|class| self.classes.get_mut(class)) {
                *class += value;
            }
        }
        let Some(counters) = backend.and_then(|backend| self.backends.get_mut(backend)) else { return };
        let cell = match METRICS.iter().position(|known| *known == metric) {
            Some(0) => &mut counters.answers,
            Some(1) => &mut counters.retried,
            Some(2) => &mut counters.rescued,
            Some(3) => &mut counters.detection_seconds,
            Some(4) => &mut counters.redistributions,
            Some(5) => &mut counters.redistribution_seconds,
            _ => return,
        };
        *cell += value;
    }
}

impl State {
    /// Reads a state as `/api/v1/transitions` writes it; None for a word that is none.
    pub fn parse(word: &str) -> Option<State> {
        match word {
            "down" => Some(State::Down),
            "up" => Some(State::Up),
            "draining" => Some(State::Draining),
            "slow_start" => Some(State::SlowStart),
            "ejected" => Some(State::Ejected),
            _ => None,
        }
    }

    /// The words for people.
    pub fn words(self) -> &'static str {
        match self {
            State::Down => "down",
            State::Up => "up",
            State::Draining => "draining",
            State::SlowStart => "slow start",
            State::Ejected => "ejected",
        }
    }

    /// Whether a backend in this state gets new work.
    pub fn is_in_service(self) -> bool {
        matches!(self, State::Up | State::SlowStart)
    }
}
