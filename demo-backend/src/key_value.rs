//! The key-value service: the store of the command `storage`, over HTTP.
//!
//! A key stands in the path, in the query or in the body, so that a balancer can send each key to the server that has it;
//! where it stands twice, both must say the same. The disk is left to threads of their own, a few at a time: what waits for
//! a slow disk waits as a future.

use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::extract::{Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use key_value::{Error, KEY_MAX, Store, VALUE_MAX};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::app::{App, JSON, TEXT, answer};

/// The longest body of a request, in bytes: the longest key and value with every byte escaped, as `\u0000`.
const BODY_MAX: usize = 6 * (KEY_MAX + VALUE_MAX) + 1024;
/// How much of a longer body is read and dropped: who still sends when the connection ends may never read the answer.
const DROPPED_MAX: usize = 16 * BODY_MAX;

/// How many requests read the file at the same time.
const READERS: usize = 4;

/// What `/` says of a server that is a key-value service.
pub(crate) const DESCRIPTION: &str = "\
A key-value service. Each key has several values, which are added and never replaced.

  GET  /kv/KEY  or  /kv?key=KEY    the values of a key, in the order in which they were added
  POST /kv/KEY  or  /kv?key=KEY    adds a value: {\"value\": \"V\"}
  POST /kv                         does the same: {\"key\": \"KEY\", \"value\": \"V\"}

A body is JSON (content-type: application/json) or a form (application/x-www-form-urlencoded) with the same names.
Answers are {\"key\": \"KEY\", \"values\": [\"V\", ...]}, status 200, or 201 when a value was added. With
`accept: text/plain` they are the values joined by a comma and a space. Errors are {\"error\": \"what is wrong\"}, status
400, 404 (no such key), 405, 413 (too long), 415 (neither JSON nor a form), 500 (the file cannot be used) or 507 (full).
A key has at most 1024 bytes, a value at most 65536. In a path or a query write % and two digits where it needs them.

  curl http://HOST/kv -d key=color -d value=red
  curl http://HOST/kv/color
";

/// The file of one server, and who may use it now.
pub(crate) struct KeyValue {
    store: Store,
    readers: Arc<Semaphore>,
    /// One: more would only wait for each other's lock, each with a thread.
    writer: Arc<Semaphore>,
}

impl KeyValue {
    /// Keeps everything in the file at `path`.
    pub(crate) fn new(path: PathBuf) -> Self {
        let [readers, writer] = [READERS, 1].map(|permits| Arc::new(Semaphore::new(permits)));
        Self { store: Store::at(path), readers, writer }
    }

    async fn values(&self, key: String) -> Result<Vec<String>, Refusal> {
        let store = self.store.clone();
        away(&self.readers, move || store.values(&key)).await
    }

    /// Cancel safety: once it is the request's turn, the value is added also when nobody waits for the answer any more.
    async fn add(&self, key: String, value: String) -> Result<Vec<String>, Refusal> {
        let store = self.store.clone();
        away(&self.writer, move || store.add(&key, &value)).await
    }
}

/// Runs what waits for the disk on a thread of its own, after waiting for a permit.
async fn away<T: Send + 'static>(
    permits: &Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Refusal> {
    let permit = Arc::clone(permits).acquire_owned().await;
    let done = tokio::task::spawn_blocking(move || {
        // Travels with the thread: who leaves early must not let another one in beside it.
        let _permit = permit;
        work()
    });
    match done.await {
        Ok(result) => result.map_err(Refusal::from),
        Err(error) => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

/// What a request says besides its method: each name may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    key: Option<String>,
    value: Option<String>,
}

/// Answers `/kv` and `/kv/{key}`.
pub(crate) async fn serve(State(app): State<Arc<App>>, request: Request) -> Response {
    let Some(service) = &app.key_value else {
        return Refusal::new(StatusCode::NOT_FOUND, "start the server with --storage FILE to keep keys")
            .into();
    };
    let (mut head, body) = request.into_parts();
    let wants_text =
        head.headers.get(header::ACCEPT).is_some_and(|value| value.as_bytes().starts_with(b"text/plain"));
    match exchange(service, &mut head, body).await {
        Ok((status, _, values)) if wants_text => answer(status, TEXT, values.join(", ") + "\n"),
        Ok((status, key, values)) => answer(status, JSON, json!({"key": key, "values": values}).to_string()),
        Err(refusal) => refusal.into(),
    }
}

/// Answers a path below `/kv/` that is none of the service's.
pub(crate) fn no_such_path() -> Response {
    let what = "no such path; use /kv/KEY with one key, and %2F for a / in it";
    Refusal::new(StatusCode::NOT_FOUND, what).into()
}

async fn exchange(
    service: &KeyValue,
    head: &mut Parts,
    body: Body,
) -> Result<(StatusCode, String, Vec<String>), Refusal> {
    let named = key_of(head).await?;
    match head.method {
        Method::GET | Method::HEAD => {
            let key = named.ok_or_else(|| bad("name the key, as in /kv/KEY or /kv?key=KEY"))?;
            let values = service.values(key.clone()).await?;
            if values.is_empty() {
                return Err(Refusal::new(StatusCode::NOT_FOUND, "no value was added to this key"));
            }
            Ok((StatusCode::OK, key, values))
        }
        Method::POST => {
            let entry = entry(head, &read(body).await?)?;
            let key = same(named, entry.key)?.ok_or_else(|| bad("name the key, as `key` or in the path"))?;
            let value = entry.value.ok_or_else(|| bad(NO_VALUE))?;
            Ok((StatusCode::CREATED, key.clone(), service.add(key, value).await?))
        }
        _ => Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "use GET to read and POST to add a value")),
    }
}

const NO_VALUE: &str = "no `value`; a body in JSON needs `content-type: application/json`";

/// The key that the path or the query names.
async fn key_of(head: &mut Parts) -> Result<Option<String>, Refusal> {
    use axum::extract::FromRequestParts as _;

    let path = Option::<Path<String>>::from_request_parts(head, &()).await;
    let in_path = path.map_err(|error| bad(error.body_text()))?.map(|Path(key)| key);
    let query = Query::<Entry>::try_from_uri(&head.uri).map_err(|error| bad(error.body_text()))?;
    if query.value.is_some() {
        return Err(bad("a value stands in the body, not in the query"));
    }
    same(in_path, query.0.key)
}

/// One of two names for the key.
fn same(one: Option<String>, other: Option<String>) -> Result<Option<String>, Refusal> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => Err(bad("the request names two different keys")),
        (one, other) => Ok(one.or(other)),
    }
}

/// What the body says.
fn entry(head: &Parts, body: &[u8]) -> Result<Entry, Refusal> {
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let is_json = content_type.eq_ignore_ascii_case("application/json");
    if !is_json && !content_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let what = "send application/json or application/x-www-form-urlencoded, and say so in content-type";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, what));
    }
    if is_json {
        serde_json::from_slice(body).map_err(|error| bad(format!("the body is no such JSON: {error}")))
    } else {
        serde_urlencoded::from_bytes(body)
            .map_err(|error| bad(format!("the body is no such form: {error}; JSON needs its content-type")))
    }
}

/// Reads a body.
async fn read(body: Body) -> Result<Vec<u8>, Refusal> {
    let mut body = pin!(body);
    let (mut kept, mut length) = (Vec::new(), 0);
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let frame = frame.map_err(|error| bad(format!("the body cannot be read: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length <= BODY_MAX {
            kept.extend_from_slice(&data);
        } else if length > DROPPED_MAX {
            break;
        }
    }
    if length > BODY_MAX {
        let what = format!("the body has more than {BODY_MAX} bytes");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, what));
    }
    Ok(kept)
}

/// The most characters that an error says.
const WORDS_MAX: usize = 500;

/// Why a request is not carried out.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    what: String,
}

impl Refusal {
    fn new(status: StatusCode, what: impl Into<String>) -> Self {
        // A name that is not known is repeated in what is said of it, and may be as long as a body.
        Self { status, what: what.into().chars().take(WORDS_MAX).collect() }
    }
}

fn bad(what: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, what)
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::KeyTooLong { .. } | Error::ValueTooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Error::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            tracing::warn!(%error, "the file of keys and values cannot be used");
        }
        Self::new(status, error.to_string())
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        let mut response = answer(refusal.status, JSON, json!({"error": refusal.what}).to_string());
        if refusal.status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_tells_the_bounds_that_hold() {
        for bound in [format!("at most {KEY_MAX} bytes"), format!("at most {VALUE_MAX}.")] {
            assert!(DESCRIPTION.contains(&bound), "{bound}");
        }
    }

    #[test]
    fn two_names_for_the_key_must_be_the_same() {
        let name = |text: &str| Some(text.to_owned());
        assert_eq!(same(name("a"), None).unwrap(), name("a"));
        assert_eq!(same(name("a"), name("a")).unwrap(), name("a"));
        assert_eq!(same(name("a"), name("b")).unwrap_err().status, StatusCode::BAD_REQUEST);
    }
}
