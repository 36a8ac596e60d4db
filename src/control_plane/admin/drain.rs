//! Draining by an operator: takes a backend out of service and brings it back, at run time.
//!
//! The backend finishes what it has and gets nothing new, until the operator says otherwise: a reload does not forget it, a
//! new process does. Others may drain it besides (its agent, a check); each takes back only what it said itself.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use super::AdminState;
use super::origin::comes_from_a_page;
use crate::telemetry::Label;
use crate::upstream::{Backend, DrainSource, Event, Upstream};

/// What a backend is after the call.
#[derive(Debug, Serialize)]
struct DrainView<'a> {
    upstream: &'a str,
    backend: &'a str,
    state: &'static str,
    in_flight: u64,
    drained_by: Vec<&'static str>,
}

/// Answers `POST /api/v1/upstreams/{upstream}/backends/{backend}/drain`. May be called again: it changes nothing, and tells
/// how much is still in flight.
///
/// ```json
/// { "upstream": "app", "backend": "backend-1", "state": "draining", "in_flight": 3, "drained_by": ["operator"] }
/// ```
pub(super) async fn drain(
    State(state): State<AdminState>,
    Path(names): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    change(&state, &names, &headers, true)
}

/// Answers `POST /api/v1/upstreams/{upstream}/backends/{backend}/ready` in the same form. `drained_by` tells who else keeps
/// the backend from being in service again.
pub(super) async fn ready(
    State(state): State<AdminState>,
    Path(names): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    change(&state, &names, &headers, false)
}

fn change(state: &AdminState, names: &(String, String), headers: &HeaderMap, drain: bool) -> Response {
    if comes_from_a_page(headers) {
        let error = "a page of another site may not change what runs";
        return (StatusCode::FORBIDDEN, Json(json!({ "error": error }))).into_response();
    }
    let upstreams = (state.upstreams)();
    let Some(upstream) = upstreams.iter().find(|upstream| *upstream.name == *names.0) else {
        return unknown("upstream", "upstreams", upstreams.iter().map(|upstream| &*upstream.name));
    };
    let Some(backend) = upstream.backends.iter().find(|backend| *backend.name == *names.1) else {
        return unknown("backend", "backends", upstream.backends.iter().map(|backend| &*backend.name));
    };
    tell(state, upstream, backend, drain);
    let availability = backend.availability();
    Json(DrainView {
        upstream: &upstream.name,
        backend: &backend.name,
        state: availability.state().as_str(),
        in_flight: backend.in_flight(),
        drained_by: drained_by(backend),
    })
    .into_response()
}

/// Who drains a backend, in words that do not change.
pub(super) fn drained_by(backend: &Backend) -> Vec<&'static str> {
    let availability = backend.availability();
    let sources = DrainSource::ALL.into_iter().filter(|source| availability.is_drained_by(*source));
    let words = sources.map(|source| match source {
        DrainSource::Operator => "operator",
        DrainSource::Agent => "agent",
        DrainSource::Check => "check",
    });
    words.collect()
}

fn tell(state: &AdminState, upstream: &Upstream, backend: &Backend, drain: bool) {
    if backend.availability().is_drained_by(DrainSource::Operator) == drain {
        return;
    }
    // Also when no change of state follows, because the backend is down or somebody else drains it.
    let (upstream_name, backend_name) = (&*upstream.name, &*backend.name);
    let (event, words) = if drain {
        (Event::Drain(DrainSource::Operator), "an operator drains it")
    } else {
        (Event::Ready(DrainSource::Operator), "an operator makes it ready")
    };
    tracing::info!(upstream = upstream_name, backend = backend_name, "{words}");
    state.board.observe(upstream, backend, event, words);
}

fn unknown<'n>(what: &str, key: &str, names: impl Iterator<Item = &'n str>) -> Response {
    let names: Vec<_> = names.collect();
    let error = format!("there is no {what} of this name; there is {}", names.join(", "));
    (StatusCode::NOT_FOUND, Json(json!({ "error": error, key: names }))).into_response()
}
