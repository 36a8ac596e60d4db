//! What the balancer tells, as far as it is shown: the events of `/api/v1/live` and the answers of `/api/v1/why`.
//!
//! Every text is a [`Plain`] or one of the words that are known. What is missing is taken for nothing, so that a balancer that is
//! older or newer can be watched as well.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer};

use super::plain::Plain;
use crate::telemetry::{BackendState, Label as _};

/// A backend by its name and that of its upstream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) upstream: Plain,
    pub(super) backend: Plain,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.upstream, self.backend)
    }
}

/// A point in time, in milliseconds since 1970; it is read from RFC 3339.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(pub(super) u64);

impl Moment {
    /// How long after `earlier` it is.
    pub(super) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl<'d> Deserialize<'d> for Moment {
    fn deserialize<D: Deserializer<'d>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = humantime::parse_rfc3339(&text).unwrap_or(SystemTime::UNIX_EPOCH);
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(Self(u64::try_from(since.as_millis()).unwrap_or_default()))
    }
}

/// How things are, once a second.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Tick {
    /// When they are so, in milliseconds since 1970; none in the balancer's first second.
    #[serde(default)]
    pub(super) at: Option<u64>,
    pub(super) process: Process,
    pub(super) total: Option<Sample>,
    pub(super) upstreams: Vec<Upstream>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Process {
    pub(super) version: Plain,
    pub(super) ready: bool,
    pub(super) generation: u64,
    pub(super) uptime_seconds: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Upstream {
    pub(super) name: Plain,
    pub(super) balance: Plain,
    pub(super) configured: usize,
    pub(super) available: usize,
    pub(super) fail_open: bool,
    pub(super) queued: u64,
    pub(super) backends: Vec<Backend>,
    pub(super) sample: Option<Sample>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Backend {
    pub(super) name: Plain,
    pub(super) address: Option<Plain>,
    #[serde(deserialize_with = "state")]
    pub(super) state: Option<BackendState>,
    pub(super) since: Moment,
    pub(super) weight: u32,
    pub(super) configured_weight: u32,
    pub(super) effective_weight: f64,
    pub(super) share: f64,
    pub(super) in_flight: u64,
    pub(super) in_flight_limit: Option<u64>,
    pub(super) suspect: bool,
    pub(super) ejection: Option<Ejection>,
    pub(super) slow_start: Option<f64>,
    pub(super) cpu_percent: Option<f64>,
    pub(super) drained_by: Vec<Plain>,
    pub(super) requests_total: u64,
    pub(super) last_check: Option<Check>,
    pub(super) sample: Option<Sample>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Ejection {
    pub(super) reason: Plain,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Check {
    pub(super) result: Plain,
    pub(super) words: Plain,
    pub(super) at: Moment,
}

/// What happened within a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Sample {
    pub(super) success: Option<f32>,
    pub(super) redirect: Option<f32>,
    pub(super) client_error: Option<f32>,
    pub(super) server_error: Option<f32>,
    pub(super) p50_ms: Option<f32>,
    pub(super) p99_ms: Option<f32>,
    pub(super) failed: Option<f32>,
    pub(super) retries: Option<f32>,
    pub(super) in_flight: Option<f32>,
    pub(super) cpu: Option<f32>,
}

impl Sample {
    /// Final answers per second.
    pub(super) fn rate(&self) -> f32 {
        let classes = [self.success, self.redirect, self.client_error, self.server_error];
        classes.into_iter().flatten().sum()
    }
}

/// What was, told once.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct History {
    pub(super) times: Vec<u64>,
    pub(super) tracks: Vec<Track>,
    pub(super) transitions: Vec<Transition>,
}

/// The samples under one name: each list begins at the position `from` of the times, or is empty.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Track {
    pub(super) upstream: Option<Plain>,
    pub(super) backend: Option<Plain>,
    pub(super) from: usize,
    pub(super) success: Vec<Option<f32>>,
    pub(super) redirect: Vec<Option<f32>>,
    pub(super) client_error: Vec<Option<f32>>,
    pub(super) server_error: Vec<Option<f32>>,
    pub(super) p99_ms: Vec<Option<f32>>,
    pub(super) failed: Vec<Option<f32>>,
    pub(super) retries: Vec<Option<f32>>,
}

/// A change of a backend's state.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Transition {
    pub(super) at: Moment,
    pub(super) upstream: Plain,
    pub(super) backend: Plain,
    #[serde(deserialize_with = "state")]
    pub(super) from: Option<BackendState>,
    #[serde(deserialize_with = "state")]
    pub(super) to: Option<BackendState>,
    pub(super) cause: Plain,
    pub(super) words: Plain,
}

impl Transition {
    /// Whether it is one of this backend.
    pub(super) fn is_of(&self, place: &Place) -> bool {
        self.upstream == place.upstream && self.backend == place.backend
    }
}

/// The latest exchanges of a backend.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Decisions {
    pub(super) exchanges: Vec<Exchange>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Exchange {
    pub(super) at: Moment,
    pub(super) method: Plain,
    pub(super) path: Plain,
    pub(super) status: u16,
    pub(super) duration_ms: f64,
    pub(super) words: Plain,
}

/// Reads the word of a state; none of a word that is not known.
fn state<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Option<BackendState>, D::Error> {
    let word = String::deserialize(deserializer)?;
    Ok(BackendState::ALL.iter().copied().find(|state| state.as_str() == word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_and_a_wrong_one_is_the_beginning_of_time() {
        let read = |text: &str| serde_json::from_str::<Moment>(&format!("{text:?}")).expect("a text");
        assert_eq!(read("1970-01-02T00:00:01.250Z"), Moment(86_401_250));
        assert_eq!(read("yesterday"), Moment(0));
        assert_eq!(Moment(1500).since(Moment(500)), Duration::from_secs(1));
        assert_eq!(Moment(0).since(Moment(500)), Duration::ZERO, "clocks differ");
    }

    #[test]
    fn a_state_of_a_newer_balancer_is_none() {
        let backend = r#"{"name": "b", "state": "asleep", "since": "", "mood": 1}"#;
        let backend: Backend = serde_json::from_str(backend).expect("it is readable");
        assert_eq!(backend.state, None);
        let backend: Backend = serde_json::from_str(r#"{"state": "slow_start"}"#).expect("it is readable");
        assert_eq!(backend.state, Some(BackendState::SlowStart));
    }
}
