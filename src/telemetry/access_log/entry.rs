//! What a line of the access log says.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use crate::telemetry::decisions::{Stages, TRIES_KEPT};

/// One exchange, as the access log tells it. Borrowed, since it is made from what the exchange still holds.
///
/// Text that came from the network is given as bytes; a format shortens it to its bound, one of the `…_MAX` here, and
/// escapes it.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// When the first byte of the request arrived.
    pub time: SystemTime,
    /// The value of `x-request-id`, ours or the client's.
    pub request_id: &'a [u8],
    /// The trace id of `traceparent`; `None` without one.
    pub trace_id: Option<&'a [u8]>,
    /// Who sent the request: the other end of the connection, or whom a header of the PROXY protocol names; also where a
    /// trusted source forwarded for somebody.
    pub client: SocketAddr,
    /// The listener that accepted the connection.
    pub listener: &'a str,
    /// The route that matched; `None` when the request was refused before, or none matched.
    pub route: Option<&'a str>,
    /// The upstream that the route leads to.
    pub upstream: Option<&'a str>,
    /// The backend that answered, or the last one tried.
    pub backend: Option<&'a str>,
    /// The method; empty when the request could not be read.
    pub method: &'a [u8],
    /// The host, as the client wrote it.
    pub host: &'a [u8],
    /// The path, without the query, which may hold secrets.
    pub path: &'a [u8],
    /// The protocol, as `HTTP/1.1`; [`RELAYED`] for a connection that is relayed as it is.
    pub version: &'a str,
    /// The status code of the answer; 499 when the client left before it had started, 0 where there are no answers.
    pub status: u16,
    /// Why the exchange was refused or failed: a word from the labels `reason` or `outcome`; `None` when all went well.
    pub reason: Option<&'static str>,
    /// Attempts on backends; those on pooled connections that turned out to be closed are not counted.
    pub attempts: u32,
    /// The backends that it was given to, in order; of many the first three and the last.
    pub tries: [Option<LoggedTry<'a>>; TRIES_KEPT],
    /// Bytes received from the client, head included.
    pub request_bytes: u64,
    /// Bytes sent to the client, head included.
    pub response_bytes: u64,
    /// The time of each stage.
    pub timings: Timings,
    /// Whether the head of an answer from a backend went to the client.
    pub answer_started: bool,
    /// The time that the balancer itself added.
    pub added: Duration,
    /// The client's `user-agent`; `None` without one.
    pub user_agent: Option<&'a [u8]>,
    /// What went on beside it; `None` where [nobody asks](super::AccessLog::tells_load).
    pub load: Option<Load>,
}

/// What [`Entry::version`] says of a connection whose bytes nobody looks into.
pub const RELAYED: &str = "TCP";

impl Entry<'_> {
    /// Tells whether it is about a connection that was relayed as it is, and not about a request.
    pub(super) fn is_relayed(&self) -> bool {
        self.version == RELAYED
    }
}

pub(super) const REQUEST_ID_MAX: usize = 128;
pub(super) const TRACE_ID_MAX: usize = 64;
pub(super) const METHOD_MAX: usize = 32;
pub(super) const HOST_MAX: usize = 255;
pub(super) const PATH_MAX: usize = 2048;
pub(super) const USER_AGENT_MAX: usize = 512;

/// A backend that an exchange was given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedTry<'a> {
    /// The backend.
    pub backend: &'a str,
    /// Why it was picked, in the words of [`PickReason`](crate::telemetry::PickReason).
    pub pick: &'static str,
    /// How it ended, in the words of [`AttemptOutcome`](crate::telemetry::AttemptOutcome); `None` for a try that was cut.
    pub outcome: Option<&'static str>,
    /// When the backend was picked, after the exchange had begun.
    pub start: Duration,
    /// How long each of its stages took.
    pub stages: Stages,
}

/// How much there was of everything when an exchange ended; what HAProxy's httplog tells of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Open connections of clients, of all listeners.
    pub process: u64,
    /// Open connections of clients, of its listener.
    pub listener: u64,
    /// Exchanges in flight on the backends of its upstream; itself not counted once it was answered.
    pub upstream: u64,
    /// Exchanges in flight on its backend; itself not counted once it was answered.
    pub backend: u64,
    /// Its place in the queue of its upstream, from 1; 0 when it did not wait.
    pub queue: u64,
}

/// The time that an exchange spent in each stage of its way, in their order; `None` for a stage that it did not reach.
/// With several attempts, `send` and `wait` are those of the last one, and `connect` includes those before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// From the first byte of the head to its last.
    pub head: Option<Duration>,
    /// Parsing the head, finding the route and writing the head for the backend.
    pub route: Option<Duration>,
    /// Waiting in the queue for a backend to have room; `None` for a request that did not wait.
    pub admission: Option<Duration>,
    /// Picking a backend; not measured by itself yet, a part of `connect`.
    pub balance: Option<Duration>,
    /// Getting a new connection, attempts that failed before included; `None` when one from the pool was used.
    pub connect: Option<Duration>,
    /// Sending the request.
    pub send: Option<Duration>,
    /// Waiting for the first byte of the answer.
    pub wait: Option<Duration>,
    /// Relaying the answer.
    pub relay: Option<Duration>,
    /// All of it.
    pub total: Option<Duration>,
}
