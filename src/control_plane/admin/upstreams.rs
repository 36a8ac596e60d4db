//! What is known of the upstreams and their backends, as JSON with names that do not change.
//!
//! Fields may be added; none is renamed or removed within `/api/v1`. Names are the words of the configuration and of
//! the metrics' labels.

mod backend;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::AdminState;
use super::status::complain;
use crate::control_plane::health::{Board, PastTransition};
use crate::control_plane::now::Now;
use crate::control_plane::push::LoadOfBackend;
use crate::telemetry::{Label as _, rfc3339};
use crate::upstream::Upstream;
pub(super) use backend::BackendView;

/// Answers `GET /api/v1/upstreams`: `{"upstreams": […]}`, in file order, each as [`one`] shows it.
pub(super) async fn all(State(state): State<AdminState>) -> Json<UpstreamsView> {
    let now = Now::read();
    let upstreams = (state.upstreams)();
    Json(UpstreamsView {
        upstreams: upstreams
            .iter()
            .map(|upstream| UpstreamView::of(upstream, state.known(now), |view| view))
            .collect(),
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
///   "retries_left": 100,
///   "queued": 0,
///   "backends": [
///     {
///       "name": "backend-1",
///       "address": "127.0.0.1:5001",
///       "lookup": null,
///       "state": "down",
///       "since": "2026-11-21T09:51:00.250Z",
///       "weight": 1,
///       "configured_weight": 1,
///       "effective_weight": 0.0,
///       "share": 0.0,
///       "in_flight": 0,
///       "in_flight_limit": null,
///       "suspect": false,
///       "trouble_since": "2026-11-21T09:51:00.125Z",
///       "ejection": null,
///       "ejections_lately": 0,
///       "slow_start": null,
///       "agent_percent": 100,
///       "load_factor": 1.0,
///       "cpu_percent": 12.5,
///       "cpu_age_seconds": 1.204,
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
/// - `address`: null while its host name has none. `lookup`: null for a configured IP address, or what the last look-up of
///   the host name found, as `{ "host": "app.internal", "addresses": ["10.0.0.3"], "error": null, "at": "…" }`.
/// - `weight`: what the file says, which is `configured_weight`, or an operator who has spoken since.
/// - `share`: the intended share of new work, 0 to 1; `fail_open` says that nobody is available and all are tried.
/// - `retries_left`: what the retry budget allows now; `queued`: requests that wait because every backend is full.
/// - `in_flight_limit`: null for any number.
/// - `suspect`: others are preferred, because live traffic has just failed on it; `trouble_since`: the first sign of what
///   goes wrong, null while all is well.
/// - `ejection`: null, or why and since when it is out, and until when at least, as
///   `{ "reason": "stalled", "since": "…", "until": "…" }`. The next one lasts twice as long for each of
///   `ejections_lately`.
/// - `slow_start`: how far its slow start has got, 0 to 1; null without one. `agent_percent`: the part of its weight that
///   its agent asks for.
/// - `load_factor`: the part of its weight that is left to it while its CPU is busy; 1 without `load_aware`. `cpu_percent`: the
///   usage that was pushed last, `cpu_age_seconds` ago; null when none is held.
/// - `drained_by`: who wants it to drain: operator, agent, check.
/// - `requests_total`: final answers, as `plimsoll_requests_total` over all codes.
/// - `last_check`: null before the first check and without checks.
pub(super) async fn one(State(state): State<AdminState>, Path(name): Path<String>, uri: Uri) -> Response {
    let upstreams = (state.upstreams)();
    match upstreams.iter().find(|upstream| *upstream.name == *name) {
        Some(upstream) => {
            Json(UpstreamView::of(upstream, state.known(Now::read()), |view| view)).into_response()
        }
        None => complain(StatusCode::NOT_FOUND, &uri, "there is no upstream of this name"),
    }
}

/// Answers `GET /api/v1/transitions`: `{"transitions": […]}`, oldest first, each with `at`, `upstream`, `backend`,
/// `from`, `to`, `cause` (as the label of `plimsoll_backend_transitions_total`) and `words`.
pub(super) async fn transitions(State(state): State<AdminState>) -> Json<TransitionsView> {
    let transitions = state.board.transitions();
    Json(TransitionsView { transitions: transitions.into_iter().map(TransitionView::of).collect() })
}

/// What is known of backends at one moment, besides what they hold themselves.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// What the checks found.
    pub(super) board: &'a Board,
    /// What agents told of their load.
    pub(super) load: &'a LoadOfBackend,
    /// The moment.
    pub(super) now: Now,
}

#[derive(Debug, Serialize)]
pub(super) struct UpstreamsView {
    upstreams: Vec<UpstreamView>,
}

/// An upstream, with its backends in a form that whoever asks adds to.
#[derive(Debug, Serialize)]
pub(super) struct UpstreamView<B = BackendView> {
    name: Box<str>,
    balance: &'static str,
    configured: usize,
    available: usize,
    fail_open: bool,
    retries_left: u64,
    queued: u64,
    backends: Vec<B>,
}

#[derive(Debug, Serialize)]
pub(super) struct TransitionsView {
    transitions: Vec<TransitionView>,
}

#[derive(Debug, Serialize)]
pub(super) struct TransitionView {
    at: String,
    upstream: Box<str>,
    backend: Box<str>,
    from: &'static str,
    to: &'static str,
    cause: &'static str,
    words: Box<str>,
}

impl<B> UpstreamView<B> {
    /// Shows an upstream, and each of its backends as `form` makes it of the view.
    pub(super) fn of(upstream: &Upstream, known: Known<'_>, form: impl Fn(BackendView) -> B) -> Self {
        let fleet = upstream.fleet();
        let backends = upstream.backends.iter().enumerate();
        Self {
            name: upstream.name.clone(),
            balance: upstream.balancer().as_str(),
            configured: upstream.backends.len(),
            available: upstream.available(),
            fail_open: fleet.is_fail_open(),
            retries_left: upstream.budget.left(),
            queued: u64::try_from(upstream.series.queued.get()).unwrap_or(0),
            backends: backends
                .map(|(at, backend)| form(BackendView::of(upstream, backend, &fleet, at, known)))
                .collect(),
        }
    }
}

impl TransitionView {
    /// Shows a transition.
    pub(super) fn of(past: PastTransition) -> Self {
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
