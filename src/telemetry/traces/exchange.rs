//! An exchange that has ended and is to have a trace, as a value of its own: everything that its spans tell, copied from
//! what the exchange still held.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::context::TraceContext;
use crate::telemetry::decisions::Try;
use crate::telemetry::series::BackendSeries;

/// How many bytes of a text from the network are kept. Bounds what the queue holds.
const TEXT_MAX: usize = 512;

/// An exchange that has ended. Times are counted from its first byte.
#[derive(Debug, Clone)]
pub struct TracedExchange {
    /// Its place in the trace.
    pub context: TraceContext,
    /// When its first byte came.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// When the last byte of its head came.
    pub head: Duration,
    /// When it was known where it goes.
    pub planned: Duration,
    /// From when to when it waited for a backend to have room.
    pub queued: Option<(Duration, Duration)>,
    /// Who sent it.
    pub client: SocketAddr,
    /// The address that the listener is configured with.
    pub local: SocketAddr,
    /// The method.
    pub method: Text,
    /// The path without the query, which may hold secrets.
    pub path: Text,
    /// The host, as the client wrote it.
    pub host: Text,
    /// The client's `user-agent`.
    pub user_agent: Option<Text>,
    /// The value of `x-request-id`, ours or the client's.
    pub request_id: Option<Text>,
    /// The client's version of HTTP.
    pub version: &'static str,
    /// The listener.
    pub listener: Box<str>,
    /// The route that matched.
    pub route: Option<Box<str>>,
    /// The upstream that the route leads to.
    pub upstream: Option<Box<str>>,
    /// How that upstream picks backends.
    pub balance: Option<&'static str>,
    /// The backend on which the answer is counted, with its exemplars.
    pub backend: Option<Arc<BackendSeries>>,
    /// The status of the answer; 499 for a client that left before.
    pub status: u16,
    /// Why it was refused or failed.
    pub reason: Option<&'static str>,
    /// Bytes from the client and to it, heads included.
    pub bytes: (u64, u64),
    /// Whom it was given to.
    pub tries: Vec<TracedTry>,
}

/// One try of an exchange.
#[derive(Debug, Clone)]
pub struct TracedTry {
    /// Its number among the tries, from 1.
    pub number: u16,
    /// The name of the backend; empty for one that has left the configuration meanwhile.
    pub backend: Box<str>,
    /// Where it answers.
    pub address: Option<SocketAddr>,
    /// Why it was picked, when each stage was over, and how it ended.
    pub what: Try,
}

/// A text from the network, of bounded size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(Box<[u8]>);

impl Text {
    /// Keeps what fits.
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes[..bytes.len().min(TEXT_MAX)].into())
    }
}

impl From<Text> for String {
    /// What is no UTF-8 becomes U+FFFD.
    fn from(text: Text) -> Self {
        Self::from_utf8_lossy(&text.0).into_owned()
    }
}
