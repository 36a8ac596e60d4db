//! What is known of the upstreams and their backends, as JSON with names that do not change.
//!
//! Fields may be added; none is renamed or removed within `/api/v1`. Names are the words of the configuration and of
//! the metrics' labels.

use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::AdminState;
use super::drain::drained_by;
use super::status::complain;
use crate::control_plane::health::{Board, LastResult, PastTransition};
use crate::telemetry::{CheckResult, Label, StatusTotal, rfc3339};
use crate::upstream::{Backend, Fleet, Upstream};

/// Answers `GET /api/v1/upstreams`: `{"upstreams": […]}`, in file order, each as [`one`] shows it.
pub(super) async fn all(State(state): State<AdminState>) -> Json<UpstreamsView> {
    let now = Now::read();
    let upstreams = (state.upstreams)();
    Json(UpstreamsView {
        upstreams: upstreams.iter().map(|upstream| UpstreamView::of(upstream, &state.board, now)).collect(),
    })
}

/// Answers `GET /api/v1/upstreams/{name}`. Times are RFC 3339 in UTC.
///
/// ```json
/// {
///   "name": "app",
///   "balance": "round_robin",
///   "configured": 3,
///   "available": 2,
///   "fail_open": false,
///   "backends": [
///     {
///       "name": "backend-1",
///       "address": "127.0.0.1:5001",
///       "state": "down",
///       "since": "2026-11-21T09:51:00.250Z",
///       "weight": 1,
///       "effective_weight": 0.0,
///       "share": 0.0,
///       "in_flight": 0,
///       "suspect": false,
///       "drained_by": [],
///       "requests_total": 1234,
///       "last_check": {
///         "result": "fail_connect",
///         "words": "connection refused",
///         "at": "2026-11-21T09:51:07.125Z",
///         "duration_seconds": 0.000123
///       },
///       "checks": { "pass": 60, "fail_connect": 7, "fail_timeout": 0, … }
///     }
///   ]
/// }
/// ```
///
/// - `state`: down, up, draining, slow_start or ejected.
/// - `share`: the intended share of new work, 0 to 1; `fail_open` says that nobody is available and all are tried.
/// - `drained_by`: who wants it to drain: operator, agent, check.
/// - `requests_total`: final answers, as `plimsoll_requests_total` over all codes.
/// - `last_check`: null before the first check and without checks.
pub(super) async fn one(State(state): State<AdminState>, Path(name): Path<String>, uri: Uri) -> Response {
    let upstreams = (state.upstreams)();
    match upstreams.iter().find(|upstream| *upstream.name == *name) {
        Some(upstream) => Json(UpstreamView::of(upstream, &state.board, Now::read())).into_response(),
        None => complain(StatusCode::NOT_FOUND, &uri, "there is no upstream of this name"),
    }
}

/// Answers `GET /api/v1/transitions`: `{"transitions": […]}`, oldest first, each with `at`, `upstream`, `backend`,
/// `from`, `to`, `cause` (as the label of `plimsoll_backend_transitions_total`) and `words`.
pub(super) async fn transitions(State(state): State<AdminState>) -> Json<TransitionsView> {
    let transitions = state.board.transitions();
    Json(TransitionsView { transitions: transitions.into_iter().map(TransitionView::of).collect() })
}

#[derive(Debug, Serialize)]
pub(super) struct UpstreamsView {
    upstreams: Vec<UpstreamView>,
}

#[derive(Debug, Serialize)]
struct UpstreamView {
    name: Box<str>,
    balance: &'static str,
    configured: usize,
    available: usize,
    fail_open: bool,
    backends: Vec<BackendView>,
}

#[derive(Debug, Serialize)]
struct BackendView {
    name: Box<str>,
    address: String,
    state: &'static str,
    since: String,
    weight: u32,
    effective_weight: f64,
    share: f64,
    in_flight: u64,
    suspect: bool,
    drained_by: Vec<&'static str>,
    requests_total: u64,
    last_check: Option<CheckView>,
    checks: Map<String, Value>,
}

#[derive(Debug, Serialize)]
struct CheckView {
    result: &'static str,
    words: Box<str>,
    at: String,
    duration_seconds: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct TransitionsView {
    transitions: Vec<TransitionView>,
}

#[derive(Debug, Serialize)]
struct TransitionView {
    at: String,
    upstream: Box<str>,
    backend: Box<str>,
    from: &'static str,
    to: &'static str,
    cause: &'static str,
    words: Box<str>,
}

/// One moment on both clocks: the model's, which only counts, and the one that people read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) instant: Instant,
    pub(super) time: SystemTime,
}

impl Now {
    pub(super) fn read() -> Self {
        Self { instant: Instant::now(), time: SystemTime::now() }
    }

    /// Returns when `then` was, to the millisecond.
    pub(super) fn time_of(self, then: Instant) -> SystemTime {
        let ago = self.instant.saturating_duration_since(then);
        self.time.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl UpstreamView {
    fn of(upstream: &Upstream, board: &Board, now: Now) -> Self {
        let fleet = upstream.fleet();
        let backends = upstream.backends.iter().enumerate();
        Self {
            name: upstream.name.clone(),
            balance: upstream.balancer().as_str(),
            configured: upstream.backends.len(),
            available: available(upstream),
            fail_open: fleet.is_fail_open(),
            backends: backends
                .map(|(at, backend)| {
                    BackendView::of(
                        backend,
                        &fleet,
                        at,
                        board.last_result(&upstream.name, &backend.name),
                        now,
                    )
                })
                .collect(),
        }
    }
}

impl BackendView {
    fn of(backend: &Backend, fleet: &Fleet, at: usize, last: Option<LastResult>, now: Now) -> Self {
        let availability = backend.availability();
        let series = &backend.series;
        let mut requests = StatusTotal::default();
        series.shards().iter().for_each(|shard| shard.requests.add_to(&mut requests));
        let checks = CheckResult::ALL.iter();
        Self {
            name: backend.name.clone(),
            address: backend.address.to_string(),
            state: availability.state().as_str(),
            since: rfc3339(now.time_of(availability.since())).to_string(),
            weight: backend.weight(),
            effective_weight: series.effective_weight.get(),
            share: fleet.share(at),
            in_flight: backend.in_flight(),
            suspect: backend.is_suspect(now.instant),
            drained_by: drained_by(backend),
            requests_total: requests.sum(),
            last_check: last.map(CheckView::of),
            checks: checks.map(|&result| (result.to_string(), series.checks.get(result).into())).collect(),
        }
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

impl TransitionView {
    fn of(past: PastTransition) -> Self {
        Self {
            at: rfc3339(past.at).to_string(),
            upstream: past.upstream,
            backend: past.backend,
            from: past.from.as_str(),
            to: past.to.as_str(),
            cause: past.cause.as_str(),
            words: past.words,
        }
    }
}

/// Returns how many backends of the upstream may get work.
pub(super) fn available(upstream: &Upstream) -> usize {
    upstream.backends.iter().filter(|backend| backend.availability().is_available()).count()
}

/// Whole microseconds as seconds: what is beyond is noise.
fn seconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e6
}
