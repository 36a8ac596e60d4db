//! Draining by an operator: takes a backend out of service and brings it back, at run time.
//!
//! The backend finishes what it has and gets nothing new, until the operator says otherwise: a reload does not forget it, a
//! new process does unless `admin.changes` keeps it. Others may drain it besides (its agent, a check); each takes back only what it said itself.

use axum::extract::{Path, State};
use axum::response::Response;

use super::AdminState;
use super::change::{By, change};
use crate::control_plane::changes::Action;
use crate::upstream::{Backend, DrainSource};

/// Answers `POST /api/v1/upstreams/{upstream}/backends/{backend}/drain`, as [`change`] says. May be called again: it changes
/// nothing, and tells how much is still in flight.
pub(super) async fn drain(
    State(state): State<AdminState>,
    Path((upstream, backend)): Path<(String, String)>,
    by: By,
) -> Response {
    change(&state, upstream, Action::Drain(backend.into()), by).await
}

/// Answers `POST /api/v1/upstreams/{upstream}/backends/{backend}/ready` in the same form. `drained_by` tells who else keeps
/// the backend from being in service again.
pub(super) async fn ready(
    State(state): State<AdminState>,
    Path((upstream, backend)): Path<(String, String)>,
    by: By,
) -> Response {
    change(&state, upstream, Action::Ready(backend.into()), by).await
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
