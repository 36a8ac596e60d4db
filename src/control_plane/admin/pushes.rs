//! The receiver of pushed metrics over HTTP: the API of a Pushgateway, and a list of what is held.
//!
//! Apart from `control_plane::push`, which decides what is taken, because this is what waits: for bodies, with a limit on
//! their size and on their time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use tokio::time::timeout;

use super::AdminState;
use super::origin::{comes_from_a_page, comes_from_another_site, names_no_domain};
use super::status::{method_not_allowed, not_found};
use crate::control_plane::now::Now;
use crate::control_plane::push::{GroupKey, GroupView, Mode, PathError, Pushes, Refusal, Room};
use crate::telemetry::{PushResult, rfc3339};

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// The type of what client libraries push by default, and we do not read.
const PROTOBUF: &str = "application/vnd.google.protobuf";

/// Answers `PUT`, `POST` and `DELETE /metrics/job/{job}{/{label}/{value}}` as a Pushgateway does.
///
/// - `PUT` replaces what the group has, `POST` what it has of the same names: 200 without a body.
/// - `DELETE` forgets the group: 202, also when there is none.
/// - What is wrong with a push is answered as plain text: 400, and 413, 415, 408 or 503 where it is too large, of a kind that is
///   not read, too slow, or has no room.
pub(super) async fn receive(State(state): State<AdminState>, request: Request) -> Response {
    let uri = request.uri().clone();
    // Not as the router decodes it: here a slash is one also when it is encoded.
    let key = uri.path().strip_prefix("/metrics/").unwrap_or_default();
    let key = match GroupKey::of_path(key) {
        Err(PathError::NotFound) => return not_found(uri).await,
        key => key.map_err(|error| Refusal::new(PushResult::Malformed, error.to_string())),
    };
    let mode = match *request.method() {
        Method::PUT => Some(Mode::Replace),
        Method::POST => Some(Mode::Merge),
        Method::DELETE => None,
        _ => {
            return ([(header::ALLOW, "DELETE,POST,PUT")], method_not_allowed(request).await).into_response();
        }
    };
    let Some(pushes) = state.pushes else {
        let words = "this process takes no pushes: `admin.push` is off\n";
        return (StatusCode::FORBIDDEN, words).into_response();
    };
    let answer = match mode {
        Some(mode) => push(&pushes, key, mode, request).await,
        None => delete(&pushes, key, request.headers()),
    };
    answer.unwrap_or_else(|(status, words)| (status, format!("{words}\n")).into_response())
}

type Refused = (StatusCode, String);

async fn push(
    pushes: &Arc<Pushes>,
    key: Result<GroupKey, Refusal>,
    mode: Mode,
    request: Request,
) -> Result<Response, Refused> {
    let read = async {
        refuse_pages(request.headers())?;
        let key = key.map_err(refused)?;
        refuse_what_is_not_text(request.headers())?;
        Ok((key, body(request.into_body(), pushes).await?))
    };
    let (key, (body, room)) = read.await.inspect_err(|(status, _)| pushes.count(result_of(*status)))?;
    let pushes = Arc::clone(pushes);
    // A large body takes milliseconds, which checks and other answers should not wait for.
    let taken = tokio::task::spawn_blocking(move || {
        let taken = pushes.push(key, &body, mode, Now::read());
        drop((body, room));
        taken
    });
    match taken.await {
        Ok(taken) => taken.map(|()| StatusCode::OK.into_response()).map_err(refused),
        Err(error) => {
            tracing::error!(%error, "a push could not be read");
            Err((StatusCode::INTERNAL_SERVER_ERROR, "the push could not be read".to_owned()))
        }
    }
}

fn delete(pushes: &Pushes, key: Result<GroupKey, Refusal>, headers: &HeaderMap) -> Result<Response, Refused> {
    refuse_pages(headers)?;
    pushes.delete(&key.map_err(refused)?, Now::read());
    Ok(StatusCode::ACCEPTED.into_response())
}

fn refused(Refusal { result, words }: Refusal) -> Refused {
    let status = match result {
        PushResult::Ok | PushResult::Malformed | PushResult::Inconsistent => StatusCode::BAD_REQUEST,
        PushResult::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        PushResult::Full => StatusCode::SERVICE_UNAVAILABLE,
        PushResult::Forbidden => StatusCode::FORBIDDEN,
    };
    (status, words)
}

/// How a push is counted that was refused before it was read.
fn result_of(status: StatusCode) -> PushResult {
    match status {
        StatusCode::FORBIDDEN => PushResult::Forbidden,
        StatusCode::PAYLOAD_TOO_LARGE => PushResult::TooLarge,
        StatusCode::SERVICE_UNAVAILABLE => PushResult::Full,
        _ => PushResult::Malformed,
    }
}

/// Refuses what a browser sends for a page of another site, also of one whose own name leads here (DNS rebinding).
fn refuse_pages(headers: &HeaderMap) -> Result<(), Refused> {
    let rebound = comes_from_a_page(headers) && !names_no_domain(headers);
    if rebound || comes_from_another_site(headers) {
        return Err((StatusCode::FORBIDDEN, "a page of another site may not push".to_owned()));
    }
    Ok(())
}

/// Says plainly what a Pushgateway takes besides, instead of finding strange bytes in line 1. Any other type is read as text, as
/// there: curl calls what it sends a form.
fn refuse_what_is_not_text(headers: &HeaderMap) -> Result<(), Refused> {
    let field = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    let unread = |words: &str| Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, words.to_owned()));
    if field(header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with(PROTOBUF)) {
        return unread("only the text format is read: have your client library push it instead of protobuf");
    }
    match field(header::CONTENT_ENCODING) {
        None | Some("identity") => Ok(()),
        Some(_) => unread("compressed bodies are not read: push plain text"),
    }
}

/// Reads a body of at most as many bytes as a push may have. Its room is given back when it is dropped.
async fn body(body: Body, pushes: &Pushes) -> Result<(Bytes, Room), Refused> {
    let most = pushes.limits().body;
    let Some(room) = pushes.room_for(body.size_hint().exact()) else {
        let words = "too much is being pushed at this moment: push again in a second";
        return Err((StatusCode::SERVICE_UNAVAILABLE, words.to_owned()));
    };
    let read = timeout(PATIENCE, Limited::new(body, most).collect()).await;
    let late = |_| {
        let words = format!("the body was not there within {} s", PATIENCE.as_secs());
        (StatusCode::REQUEST_TIMEOUT, words)
    };
    let read = read.map_err(late)?.map_err(|error| {
        if error.is::<LengthLimitError>() {
            let words = format!("the body is larger than the {most} bytes that `admin.push.body` allows");
            return (StatusCode::PAYLOAD_TOO_LARGE, words);
        }
        (StatusCode::BAD_REQUEST, format!("the body broke off: {error}"))
    })?;
    Ok((read.to_bytes(), room))
}

#[derive(Debug, Serialize)]
pub(super) struct PushesView {
    enabled: bool,
    expiry_seconds: Option<f64>,
    groups_max: Option<usize>,
    groups: Vec<PushedGroupView>,
}

#[derive(Debug, Serialize)]
struct PushedGroupView {
    labels: BTreeMap<Box<str>, Box<str>>,
    pushed_at: Option<String>,
    age_seconds: Option<f64>,
    expires_in_seconds: f64,
    failed_at: Option<String>,
    failure: Option<Box<str>>,
    metrics: Vec<Box<str>>,
}

/// Answers `GET /api/v1/pushes`: what is held of what was pushed, by group. Times are RFC 3339 in UTC.
///
/// ```json
/// {
///   "enabled": true,
///   "expiry_seconds": 30.0,
///   "groups_max": 1000,
///   "groups": [
///     {
///       "labels": { "instance": "backend-1", "job": "cpu_usage" },
///       "pushed_at": "2026-11-21T09:51:00.250Z",
///       "age_seconds": 1.204,
///       "expires_in_seconds": 28.796,
///       "failed_at": null,
///       "failure": null,
///       "metrics": ["cpu_usage"]
///     }
///   ]
/// }
/// ```
///
/// - `pushed_at`, `age_seconds`: of the last push that was taken; null when none was.
/// - `expires_in_seconds`: how long the group is kept if nobody pushes to it.
/// - `failed_at`, `failure`: when a push was last refused because it was inconsistent, and the answer to it; null when none was.
pub(super) async fn list(State(state): State<AdminState>) -> Json<PushesView> {
    let limits = state.pushes.as_ref().map(|pushes| pushes.limits());
    let groups = state.pushes.as_ref().map(|pushes| pushes.groups(Now::read())).unwrap_or_default();
    Json(PushesView {
        enabled: limits.is_some(),
        expiry_seconds: limits.map(|limits| limits.expiry.as_secs_f64()),
        groups_max: limits.map(|limits| limits.groups),
        groups: groups.into_iter().map(PushedGroupView::of).collect(),
    })
}

impl PushedGroupView {
    fn of(group: GroupView) -> Self {
        let text = |at: SystemTime| rfc3339(at).to_string();
        let (failed, failure) = group.failed.unzip();
        Self {
            labels: group.labels.into_iter().collect(),
            pushed_at: group.pushed.map(text),
            age_seconds: group.age.map(milliseconds),
            expires_in_seconds: milliseconds(group.expires_in),
            failed_at: failed.map(text),
            failure,
            metrics: group.metrics,
        }
    }
}

/// Whole milliseconds as seconds: what is beyond is noise.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1e3
}
