//! The process's own status: whether it lives and takes traffic, and what there is to ask for.

use std::fmt::Write as _;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::{ANSWERS, AdminState};

/// Says that the process lives: that this answer comes is all there is to say.
pub(super) async fn live() -> &'static str {
    "live\n"
}

/// Says whether new traffic should come here.
pub(super) async fn ready(State(state): State<AdminState>) -> (StatusCode, &'static str) {
    if state.telemetry.process().ready.get() == 1 {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: starting or draining\n")
    }
}

/// Says what there is, to somebody who asked for something else.
pub(super) async fn not_found(uri: Uri) -> Response {
    complain(StatusCode::NOT_FOUND, &uri, "there is nothing at this path")
}

/// Says that a path cannot be asked this way; the router adds `Allow`.
pub(super) async fn method_not_allowed(request: Request) -> Response {
    complain(
        StatusCode::METHOD_NOT_ALLOWED,
        request.uri(),
        "this path does not answer this method, see `Allow`",
    )
}

/// Answers a wrong request in the form that its path promises: JSON below `/api/`, plain text elsewhere. Repeats
/// nothing of the request, so that no link can put words into our mouth.
pub(super) fn complain(status: StatusCode, uri: &Uri, error: &str) -> Response {
    if uri.path().starts_with("/api/") {
        let paths = ANSWERS.map(|(path, _)| path);
        return (status, Json(json!({ "error": error, "paths": paths }))).into_response();
    }
    (status, format!("{error}; there is\n{}", list())).into_response()
}

/// Lists what there is to ask for, as plain text.
pub(super) fn list() -> String {
    let mut text = String::new();
    for (path, about) in ANSWERS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    {path:<26} {about}");
    }
    text
}
