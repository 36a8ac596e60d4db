//! What all requests of one server share: its prepared answers, the switch, the permits to burn CPU, the counters.
//!
//! Answers that never change are built once, because the server stands under load tests of the balancer in front of
//! it, where each microsecond that it takes is one the balancer cannot have.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::Settings;
use crate::key_value::{DESCRIPTION, KeyValue};
use crate::metrics::Metrics;

/// The content type of every answer that is meant for programs.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The content type of every answer that is meant for people.
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The state of one server.
pub(crate) struct App {
    /// The value of the header `x-server`.
    pub(crate) server: HeaderValue,
    /// How long `/api/data` waits.
    pub(crate) data_delay: Duration,
    /// One permit per worker that may burn CPU.
    pub(crate) workers: Arc<Semaphore>,
    /// Everything that `/metrics` shows.
    pub(crate) metrics: Metrics,
    /// The key-value service, where the server is one.
    pub(crate) key_value: Option<KeyValue>,
    broken: AtomicBool,
    greeting: Bytes,
    data: PerState,
    state: PerState,
}

impl App {
    /// Prepares all that `settings` decide.
    pub(crate) fn new(settings: &Settings) -> Self {
        let name = settings.name.as_str();
        let message = format!("Response delay is {} ms", settings.data_delay.as_millis());
        Self {
            server: HeaderValue::from_str(name).expect("invariant: a server name is printable ASCII"),
            data_delay: settings.data_delay,
            workers: Arc::new(Semaphore::new(settings.workers.get().min(Semaphore::MAX_PERMITS))),
            metrics: Metrics::new(name),
            key_value: settings.storage.clone().map(KeyValue::new),
            broken: AtomicBool::new(false),
            greeting: greeting(settings),
            data: PerState::new(|status| json!({"message": message, "status": status})),
            state: PerState::new(|status| json!({"server": name, "status": status})),
        }
    }

    /// Switches between 200 and 500 and returns the status that holds from now on.
    pub(crate) fn switch(&self) -> StatusCode {
        self.broken.fetch_xor(true, Ordering::Relaxed);
        self.status()
    }

    /// Returns the status that the switch stands at.
    pub(crate) fn status(&self) -> StatusCode {
        if self.broken.load(Ordering::Relaxed) { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
    }

    /// Builds the answer of `/`.
    pub(crate) fn greet(&self) -> Response {
        answer(self.status(), TEXT, self.greeting.clone())
    }

    /// Builds the answer of `/api/data`.
    pub(crate) fn data(&self) -> Response {
        let status = self.status();
        answer(status, JSON, self.data.at(status))
    }

    /// Builds an answer that tells `state`, the position of the switch, and has the status `status`.
    pub(crate) fn tell(&self, state: StatusCode, status: StatusCode) -> Response {
        answer(status, JSON, self.state.at(state))
    }
}

/// What `/` says: who greets, or what a key-value service is asked.
fn greeting(settings: &Settings) -> Bytes {
    match settings.storage {
        Some(_) => Bytes::from_static(DESCRIPTION.as_bytes()),
        None => Bytes::from(format!("Hello, World!\nServer {}", settings.number)),
    }
}

/// Builds an answer whose body is in memory.
pub(crate) fn answer(status: StatusCode, content_type: HeaderValue, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// One body for each of the two positions of the switch.
struct PerState {
    well: Bytes,
    broken: Bytes,
}

impl PerState {
    fn new(body: impl Fn(u16) -> serde_json::Value) -> Self {
        Self { well: body(200).to_string().into(), broken: body(500).to_string().into() }
    }

    fn at(&self, state: StatusCode) -> Bytes {
        if state == StatusCode::OK { self.well.clone() } else { self.broken.clone() }
    }
}
