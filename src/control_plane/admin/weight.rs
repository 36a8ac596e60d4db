//! The weight of a backend, set by an operator at run time.
//!
//! It lasts until the file says another: a reload that leaves the backend's weight in the file as it was keeps it, a new
//! process does not unless `admin.changes` names a file.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;

use super::AdminState;
use super::change::{By, change};
use super::status::complain;
use crate::control_plane::changes::Action;

/// The heaviest weight, as in the configuration.
const WEIGHT_MAX: u16 = 1000;

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    weight: u16,
}

/// Answers `POST /api/v1/upstreams/{upstream}/backends/{backend}/weight`, whose body is `{"weight": 5}`, as [`change`] says.
/// 0 gets none while another backend can take it.
pub(super) async fn set(
    State(state): State<AdminState>,
    Path((upstream, backend)): Path<(String, String)>,
    by: By,
    uri: Uri,
    asked: Result<Json<Asked>, JsonRejection>,
) -> Response {
    let Some(Asked { weight }) =
        asked.ok().map(|Json(asked)| asked).filter(|asked| asked.weight <= WEIGHT_MAX)
    else {
        let error =
            "the body must be JSON such as {\"weight\": 5}, from 0 to 1000, and be called application/json";
        return complain(StatusCode::BAD_REQUEST, &uri, error);
    };
    change(&state, upstream, Action::Weigh(backend.into(), weight), by).await
}
