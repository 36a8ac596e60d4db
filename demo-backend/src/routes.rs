//! The endpoints: which path does what, and what is refused.
//!
//! Every endpoint but the keys takes any method, so that tests of what a balancer may repeat can use POST wherever they
//! need it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use crate::app::{App, TEXT, answer};
use crate::stream::{Dots, recorded};
use crate::{key_value, metrics, work};

/// The most CPU time that `/work/{ms}` burns for one request.
pub const WORK_MAX: Duration = Duration::from_secs(10);
/// The longest that `/sleep/{ms}/{answer}` waits.
pub const SLEEP_MAX: Duration = Duration::from_secs(60);
/// The most bytes that `/bytes/{n}` sends.
pub const BYTES_MAX: u64 = 1 << 30;

pub(crate) const ROOT: &str = "/";
const DATA: &str = "/api/data";
const SWITCH: &str = "/api/switch";
const STATUS: &str = "/api/status";
const WORK: &str = "/work/{ms}";
const SLEEP: &str = "/sleep/{ms}/{answer}";
const BYTES: &str = "/bytes/{n}";
const ECHO: &str = "/echo";
const KEYS: &str = "/kv";
const KEY: &str = "/kv/{key}";
const METRICS: &str = "/metrics";

/// Every path template beside [`ROOT`], as they stand in the label `path`.
pub(crate) const TEMPLATES: [&str; 10] = [DATA, SWITCH, STATUS, WORK, SLEEP, BYTES, ECHO, KEYS, KEY, METRICS];

/// Builds the router for all paths but the plain `GET /`, which [`serve`](crate::serve) answers before it gets here.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route(ROOT, any(root))
        .route(DATA, any(data))
        .route(SWITCH, any(switch))
        .route(STATUS, any(status))
        .route(WORK, any(burn))
        .route(SLEEP, any(sleep))
        .route(BYTES, any(bytes))
        .route(ECHO, any(echo))
        .route(KEYS, any(key_value::serve))
        .route(KEY, any(key_value::serve))
        .route(METRICS, any(show_metrics))
        .fallback(unknown)
        .layer(from_fn_with_state(Arc::clone(&app), record))
        .with_state(app)
}

async fn record(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let template = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let mut recording = match template {
        Some(ROOT) => app.metrics.begin_root(),
        other => app.metrics.begin(other),
    };
    let response = next.run(request).await;
    recording.answered(response.status());
    response.map(|body| recorded(body, recording))
}

async fn root(State(app): State<Arc<App>>) -> Response {
    app.greet()
}

async fn data(State(app): State<Arc<App>>) -> Response {
    tokio::time::sleep(app.data_delay).await;
    app.data()
}

async fn switch(State(app): State<Arc<App>>) -> Response {
    let state = app.switch();
    tracing::info!(status = state.as_u16(), "switched");
    app.tell(state, StatusCode::OK)
}

async fn status(State(app): State<Arc<App>>) -> Response {
    let state = app.status();
    app.tell(state, state)
}

async fn burn(State(app): State<Arc<App>>, Path(ms): Path<String>) -> Result<Response, Refusal> {
    work::burn(milliseconds(&ms, WORK_MAX)?, Arc::clone(&app.workers)).await;
    Ok(answer(StatusCode::OK, TEXT, format!("burnt {ms} ms of CPU time")))
}

async fn sleep(Path((ms, text)): Path<(String, String)>) -> Result<Response, Refusal> {
    tokio::time::sleep(milliseconds(&ms, SLEEP_MAX)?).await;
    Ok(answer(StatusCode::OK, TEXT, text))
}

async fn bytes(Path(n): Path<String>) -> Result<Response, Refusal> {
    let length = number("n", &n, BYTES_MAX)?;
    Ok(answer(StatusCode::OK, OCTETS, Body::new(Dots::new(length))))
}

async fn echo(request: Request) -> Response {
    let (head, body) = request.into_parts();
    let content_type = head.headers.get(header::CONTENT_TYPE).cloned().unwrap_or(OCTETS);
    answer(StatusCode::OK, content_type, body)
}

async fn show_metrics(State(app): State<Arc<App>>) -> Response {
    answer(StatusCode::OK, metrics::CONTENT_TYPE, app.metrics.render(app.status()))
}

async fn unknown(request: Request) -> Response {
    if request.uri().path().starts_with("/kv/") {
        return key_value::no_such_path();
    }
    answer(StatusCode::NOT_FOUND, TEXT, "no such path; see `demo-backend --help` for those that exist\n")
}

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Why a number in a path is refused: it is none, or it is above the bound.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{{{name}}} must be a whole number from 0 to {max}, not `{given}`\n")]
struct Refusal {
    name: &'static str,
    max: u64,
    given: String,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        answer(StatusCode::BAD_REQUEST, TEXT, self.to_string())
    }
}

fn milliseconds(text: &str, max: Duration) -> Result<Duration, Refusal> {
    let max = max.as_millis().try_into().unwrap_or(u64::MAX);
    number("ms", text, max).map(Duration::from_millis)
}

fn number(name: &'static str, text: &str, max: u64) -> Result<u64, Refusal> {
    let refusal = || Refusal { name, max, given: text.chars().take(40).collect() };
    text.parse().ok().filter(|n| *n <= max).ok_or_else(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_the_last_number_that_is_taken() {
        assert_eq!(milliseconds("10000", WORK_MAX), Ok(WORK_MAX));
        assert_eq!(
            milliseconds("10001", WORK_MAX).unwrap_err().to_string(),
            "{ms} must be a whole number from 0 to 10000, not `10001`\n"
        );
    }

    #[test]
    fn what_is_no_number_is_refused_and_not_repeated_at_length() {
        for text in ["", "-1", "1.5", "abc", "18446744073709551616"] {
            assert!(number("n", text, BYTES_MAX).is_err(), "{text:?}");
        }
        assert_eq!(number("n", &"x".repeat(9000), 1).unwrap_err().given.len(), 40);
    }
}
