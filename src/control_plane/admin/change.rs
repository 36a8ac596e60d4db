//! Changes of one backend: has them made, and tells what the backend is afterwards.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::json;

use super::AdminState;
use super::drain::drained_by;
use super::guard::Peer;
use super::order::{Changed, Order, Unanswered, give};
use crate::control_plane::changes::{Action, Change, Refused};
use crate::telemetry::Label as _;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Who asks for a change.
pub(super) type By = Option<Extension<Peer>>;

/// Has a change made; answers what the backend is then, or why nothing has changed.
///
/// ```json
/// { "upstream": "app", "backend": "backend-1", "state": "draining", "in_flight": 3, "drained_by": ["operator"],
///   "weight": 1, "configured_weight": 1 }
/// ```
///
/// A change that is in force and could not be written into `admin.changes` is answered 500, in the same form with an
/// `error`. A client that leaves does not stop it.
pub(super) async fn change(state: &AdminState, upstream: String, action: Action, by: By) -> Response {
    let by = by.map_or_else(|| "nobody knows who".to_owned(), |Extension(peer)| peer.to_string());
    let made = if matches!(action, Action::Add(_)) { StatusCode::CREATED } else { StatusCode::OK };
    let change = Change { upstream: upstream.into(), action, by: by.into() };
    match give(&state.orders, |answer| Order::Change(change, answer)).await {
        Ok(Ok(changed)) => told(&changed, made),
        Ok(Err(error)) => refused(&error),
        Err(Unanswered::Ending) => unanswered("the process is about to end"),
        Err(Unanswered::Late) => {
            unanswered("a reload or a look-up takes longer than 8 s; the change may still come to pass")
        }
    }
}

fn told(Changed { upstream, backend, not_kept }: &Changed, made: StatusCode) -> Response {
    let error = not_kept.as_ref().map(|why| {
        format!("the change holds until the process ends, but it could not be kept for the next start: {why}")
    });
    let status = if error.is_some() { StatusCode::INTERNAL_SERVER_ERROR } else { made };
    let view = ChangedView {
        upstream: &upstream.name,
        backend: &backend.name,
        state: backend.availability().state().as_str(),
        in_flight: backend.in_flight(),
        drained_by: drained_by(backend),
        weight: backend.weight(),
        configured_weight: backend.configured_weight(),
        error,
    };
    (status, Json(view)).into_response()
}

fn refused(refused: &Refused) -> Response {
    let error = refused.to_string();
    match refused {
        Refused::Unknown { what, names } => {
            let key = format!("{what}s");
            (StatusCode::NOT_FOUND, Json(json!({ "error": error, key: names }))).into_response()
        }
        Refused::Conflict(_) => (StatusCode::CONFLICT, Json(json!({ "error": error }))).into_response(),
    }
}

fn unanswered(error: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": error }))).into_response()
}
