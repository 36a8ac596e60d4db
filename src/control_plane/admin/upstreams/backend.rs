//! What is known of one backend, as JSON.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use super::Known;
use crate::control_plane::admin::drain::drained_by;
use crate::control_plane::health::{LastLookup, LastResult};
use crate::control_plane::now::Now;
use crate::telemetry::{CheckResult, Label, StatusTotal, rfc3339};
use crate::upstream::{Backend, Ejection, Fleet, Upstream};

/// A backend with all that is known of it.
#[derive(Debug, Serialize)]
pub(in super::super) struct BackendView {
    name: Box<str>,
    address: Option<String>,
    lookup: Option<LookupView>,
    state: &'static str,
    since: String,
    weight: u32,
    configured_weight: u32,
    effective_weight: f64,
    share: f64,
    in_flight: u64,
    in_flight_limit: Option<u32>,
    suspect: bool,
    trouble_since: Option<String>,
    ejection: Option<EjectionView>,
    ejections_lately: u32,
    slow_start: Option<f64>,
    agent_percent: u8,
    load_factor: f64,
    cpu_percent: Option<f64>,
    cpu_age_seconds: Option<f64>,
    drained_by: Vec<&'static str>,
    requests_total: u64,
    last_check: Option<CheckView>,
    checks: Map<String, Value>,
}

#[derive(Debug, Serialize)]
struct LookupView {
    host: Box<str>,
    addresses: Vec<String>,
    error: Option<Box<str>>,
    at: String,
}

#[derive(Debug, Serialize)]
struct EjectionView {
    reason: &'static str,
    since: String,
    until: String,
}

#[derive(Debug, Serialize)]
struct CheckView {
    result: &'static str,
    words: Box<str>,
    at: String,
    duration_seconds: f64,
}

impl BackendView {
    /// Its name.
    pub(in super::super) fn name(&self) -> &str {
        &self.name
    }

    /// Shows the backend at this position of its upstream.
    pub(super) fn of(
        upstream: &Upstream,
        backend: &Backend,
        fleet: &Fleet,
        at: usize,
        known: Known<'_>,
    ) -> Self {
        let now = known.now;
        let last = known.board.last_result(&upstream.name, &backend.name);
        let lookup = known.board.last_lookup(&upstream.name, &backend.name);
        let load = (known.load)(&upstream.name, &backend.name, now);
        let availability = backend.availability();
        let series = &backend.series;
        let mut requests = StatusTotal::default();
        series.shards().iter().for_each(|shard| shard.requests.add_to(&mut requests));
        let limit = backend.in_flight_limit();
        let checks = CheckResult::ALL.iter();
        Self {
            name: backend.name.clone(),
            address: backend.address.map(|address| address.to_string()),
            lookup: lookup.map(LookupView::of),
            state: availability.state().as_str(),
            since: now.rfc3339(availability.since()),
            weight: backend.weight(),
            configured_weight: backend.configured_weight(),
            effective_weight: series.effective_weight.get(),
            share: fleet.share(at),
            in_flight: backend.in_flight(),
            in_flight_limit: (limit != 0).then_some(limit),
            suspect: backend.is_suspect(now.instant),
            trouble_since: backend.trouble_since().map(|since| now.rfc3339(since)),
            ejection: availability.ejection().map(|ejection| EjectionView::of(ejection, now)),
            ejections_lately: availability.ejections_lately(now.instant),
            slow_start: availability.ramp_progress(now.instant),
            agent_percent: availability.agent_percent(),
            load_factor: backend.load_factor(),
            cpu_percent: load.map(|load| load.cpu_percent),
            cpu_age_seconds: load.map(|load| seconds(now.instant.saturating_duration_since(load.at))),
            drained_by: drained_by(backend),
            requests_total: requests.sum(),
            last_check: last.map(CheckView::of),
            checks: checks.map(|&result| (result.to_string(), series.checks.get(result).into())).collect(),
        }
    }
}

impl LookupView {
    fn of(last: LastLookup) -> Self {
        Self {
            addresses: last.addresses.iter().map(ToString::to_string).collect(),
            host: last.host,
            error: last.error,
            at: rfc3339(last.at).to_string(),
        }
    }
}

impl EjectionView {
    fn of(ejection: Ejection, now: Now) -> Self {
        let Ejection { reason, since, until } = ejection;
        Self { reason: reason.as_str(), since: now.rfc3339(since), until: now.rfc3339(until) }
    }
}

impl CheckView {
    fn of(last: LastResult) -> Self {
        Self {
            result: last.result.as_str(),
            at: rfc3339(last.at).to_string(),
            duration_seconds: seconds(last.took),
            words: last.words,
        }
    }
}

/// Whole microseconds as seconds: what is beyond is noise.
fn seconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e6
}
