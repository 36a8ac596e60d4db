//! Changes of one backend: finds the one that a path names, and tells what it is afterwards.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use super::AdminState;
use super::drain::drained_by;
use crate::telemetry::Label as _;
use crate::upstream::{Backend, Upstream};

/// What a backend is after a change.
#[derive(Debug, Serialize)]
struct ChangedView<'a> {
    upstream: &'a str,
    backend: &'a str,
    state: &'static str,
    in_flight: u64,
    drained_by: Vec<&'static str>,
    weight: u32,
    configured_weight: u32,
}

/// Changes a backend, given the names of its upstream and of itself; answers what it is then, or which names there are.
///
/// ```json
/// { "upstream": "app", "backend": "backend-1", "state": "draining", "in_flight": 3, "drained_by": ["operator"],
///   "weight": 1, "configured_weight": 1 }
/// ```
pub(super) fn change(
    state: &AdminState,
    names: &(String, String),
    make: impl FnOnce(&Upstream, &Backend),
) -> Response {
    let upstreams = (state.upstreams)();
    let Some(upstream) = upstreams.iter().find(|upstream| *upstream.name == *names.0) else {
        return unknown("upstream", "upstreams", upstreams.iter().map(|upstream| &*upstream.name));
    };
    let Some(backend) = upstream.backends.iter().find(|backend| *backend.name == *names.1) else {
        return unknown("backend", "backends", upstream.backends.iter().map(|backend| &*backend.name));
    };
    make(upstream, backend);
    Json(ChangedView {
        upstream: &upstream.name,
        backend: &backend.name,
        state: backend.availability().state().as_str(),
        in_flight: backend.in_flight(),
        drained_by: drained_by(backend),
        weight: backend.weight(),
        configured_weight: backend.configured_weight(),
    })
    .into_response()
}

fn unknown<'n>(what: &str, key: &str, names: impl Iterator<Item = &'n str>) -> Response {
    let names: Vec<_> = names.collect();
    let error = format!("there is no {what} of this name; there is {}", names.join(", "));
    (StatusCode::NOT_FOUND, Json(json!({ "error": error, key: names }))).into_response()
}
