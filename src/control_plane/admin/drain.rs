//! Draining by an operator: takes a backend out of service and brings it back, at run time.
//!
//! The backend finishes what it has and gets nothing new, until the operator says otherwise: a reload does not forget it, a
//! new process does. Others may drain it besides (its agent, a check); each takes back only what it said itself.

use axum::extract::{Path, State};
use axum::response::Response;

use super::AdminState;
use super::change::change;
use crate::upstream::{Backend, DrainSource, Event, Upstream};

/// Answers `POST /api/v1/upstreams/{upstream}/backends/{backend}/drain`, as [`change`] says. May be called again: it changes
/// nothing, and tells how much is still in flight.
pub(super) async fn drain(State(state): State<AdminState>, Path(names): Path<(String, String)>) -> Response {
    change(&state, &names, |upstream, backend| tell(&state, upstream, backend, true))
}

/// Answers `POST /api/v1/upstreams/{upstream}/backends/{backend}/ready` in the same form. `drained_by` tells who else keeps
/// the backend from being in service again.
pub(super) async fn ready(State(state): State<AdminState>, Path(names): Path<(String, String)>) -> Response {
    change(&state, &names, |upstream, backend| tell(&state, upstream, backend, false))
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
    let operation = if drain { "drain" } else { "ready" };
    let _during =
        tracing::info_span!("backend", operation, upstream = upstream_name, backend = backend_name).entered();
    tracing::info!(upstream = upstream_name, backend = backend_name, "{words}");
    state.board.observe(upstream, backend, event, words);
}
