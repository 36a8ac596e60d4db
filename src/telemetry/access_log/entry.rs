//! What a line of the access log says.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use super::text::bounded;
use crate::telemetry::decisions::{Stages, TRIES_KEPT};
use crate::telemetry::milliseconds::{as_milliseconds, as_optional_milliseconds};
use crate::telemetry::timestamp::rfc3339;

/// One exchange, as the access log tells it. Borrowed, since it is made from what the exchange still holds.
///
/// Text that came from the network is given as bytes; it is shortened to the length in its field's attribute and
/// escaped. `None` becomes `null`: every line has the same fields.
#[derive(Debug, Clone, Serialize)]
pub struct Entry<'a> {
    /// When the first byte of the request arrived.
    #[serde(serialize_with = "as_rfc3339")]
    pub time: SystemTime,
    /// The value of `x-request-id`, ours or the client's.
    #[serde(serialize_with = "bounded::<128, _>")]
    pub request_id: &'a [u8],
    /// The trace id of `traceparent`; `None` without one.
    #[serde(serialize_with = "bounded::<64, _>")]
    pub trace_id: Option<&'a [u8]>,
    /// Who sent the request: the other end of the connection, also where a trusted source forwarded for somebody.
    pub client: SocketAddr,
    /// The listener that accepted the connection.
    pub listener: &'a str,
    /// The route that matched; `None` when the request was refused before, or none matched.
    pub route: Option<&'a str>,
    /// The upstream that the route leads to.
    pub upstream: Option<&'a str>,
    /// The backend that answered, or the last one tried.
    pub backend: Option<&'a str>,
    /// The method.
    #[serde(serialize_with = "bounded::<32, _>")]
    pub method: &'a [u8],
    /// The host, as the client wrote it.
    #[serde(serialize_with = "bounded::<255, _>")]
    pub host: &'a [u8],
    /// The path, without the query, which may hold secrets.
    #[serde(serialize_with = "bounded::<2048, _>")]
    pub path: &'a [u8],
    /// The protocol, as `HTTP/1.1`.
    pub version: &'a str,
    /// The status code of the answer; 499 when the client left before it had started.
    pub status: u16,
    /// Why the exchange was refused or failed: a word from the labels `reason` or `outcome`; `None` when all went well.
    pub reason: Option<&'a str>,
    /// Attempts on backends; those on pooled connections that turned out to be closed are not counted.
    pub attempts: u32,
    /// The backends that it was given to, in order; of many the first three and the last.
    #[serde(serialize_with = "as_list")]
    pub tries: [Option<LoggedTry<'a>>; TRIES_KEPT],
    /// Bytes received from the client, head included.
    pub request_bytes: u64,
    /// Bytes sent to the client, head included.
    pub response_bytes: u64,
    /// The time of each stage.
    #[serde(rename = "timings_ms")]
    pub timings: Timings,
    /// The time that the balancer itself added.
    #[serde(rename = "added_ms", serialize_with = "as_milliseconds")]
    pub added: Duration,
    /// The client's `user-agent`; `None` without one.
    #[serde(serialize_with = "bounded::<512, _>")]
    pub user_agent: Option<&'a [u8]>,
}

/// A backend that an exchange was given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LoggedTry<'a> {
    /// The backend.
    pub backend: &'a str,
    /// Why it was picked, in the words of [`PickReason`](crate::telemetry::PickReason).
    pub pick: &'a str,
    /// How it ended, in the words of [`AttemptOutcome`](crate::telemetry::AttemptOutcome); `None` for a try that was cut.
    pub outcome: Option<&'a str>,
    /// When the backend was picked, after the exchange had begun.
    #[serde(rename = "start_ms", serialize_with = "as_milliseconds")]
    pub start: Duration,
    /// How long each of its stages took.
    #[serde(flatten)]
    pub stages: Stages,
}

/// The time that an exchange spent in each stage of its way, in their order; `None` for a stage that it did not reach.
/// With several attempts, `send` and `wait` are those of the last one, and `connect` includes those before it. In
/// milliseconds in the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Timings {
    /// From the first byte of the head to its last.
    #[serde(serialize_with = "as_optional_milliseconds")]
    pub head: Option<Duration>,
    /// Parsing the head, finding the route and writing the head for the backend.
    #[serde(serialize_with = "as_optional_milliseconds")]
    pub route: Option<Duration>,
    /// Waiting in the queue for a backend to have room; `None` for a request that did not wait.
    #[serde(serialize_with = "as_optional_milliseconds")]
    pub admission: Option<Duration>,
    /// Picking a backend; not measured by itself yet, a part of `connect`.
    #[serde(serialize_with = "as_optional_milliseconds")]
    pub balance: Option<Duration>,
    /// Getting a new connection, attempts that failed before included; `None` when one from the pool was used.
    #[serde(serialize_with = "as_optional_milliseconds")]
    pub connect: Option<Duration>,
    /// Sending the request.
    #[serde(serialize_with = "as_optional_milliseconds")]
    pub send: Option<Duration>,
    /// Waiting for the first byte of the answer.
    #[serde(serialize_with = "as_optional_milliseconds")]
    pub wait: Option<Duration>,
    /// Relaying the answer.
    #[serde(serialize_with = "as_optional_milliseconds")]
    pub relay: Option<Duration>,
    /// All of it.
    #[serde(serialize_with = "as_optional_milliseconds")]
    pub total: Option<Duration>,
}

impl Entry<'_> {
    /// Writes the entry as one line of JSON, newline included.
    pub(super) fn to_line(&self) -> Vec<u8> {
        let mut line = Vec::with_capacity(1024);
        serde_json::to_writer(&mut line, self).expect("invariant: an entry has only text and numbers");
        line.push(b'\n');
        line
    }
}

fn as_list<T: Serialize, S: Serializer>(list: &[Option<T>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().flatten())
}

fn as_rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&rfc3339(*time))
}
