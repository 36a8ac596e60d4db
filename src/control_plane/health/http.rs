//! The HTTP part of a check: one request on a fresh connection, and whether its answer is the expected one.
//!
//! With hyper's client, not with the data plane's codec: a check should not share a mistake with what it checks for.

use std::convert::Infallible;
use std::error::Error as _;
use std::future::{Future, pending};
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use memchr::memmem;
use tokio::net::TcpStream;

use super::HttpCheck;
use super::check::{Outcome, in_words};
use crate::telemetry::CheckResult;

/// The largest head of an answer, in bytes.
const HEAD_BYTES: usize = 16 * 1024;

/// How much of a body is searched, in bytes.
const BODY_BYTES: usize = 64 * 1024;

/// Asks, and judges the answer. Takes as long as the backend does.
///
/// Cancel safe: dropping it closes the connection.
pub(super) async fn ask(stream: TcpStream, address: SocketAddr, check: &HttpCheck) -> Outcome {
    let request = match request(address, check) {
        Ok(request) => request,
        Err(error) => {
            return Outcome::new(CheckResult::FailProtocol, format!("request cannot be sent: {error}"));
        }
    };
    let handshake = http1::Builder::new().max_buf_size(HEAD_BYTES).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = match handshake {
        Ok(connected) => connected,
        Err(error) => return broken(&error),
    };
    let answer = async {
        match sender.send_request(request).await {
            Ok(response) => judge(response, check).await,
            Err(error) => broken(&error),
        }
    };
    while_driven_by(connection, answer).await
}

/// Returns what `answer` returns, while the connection does its reading and writing. What the connection ends with is
/// also told to whoever waits for the answer.
async fn while_driven_by<A>(connection: impl Future, answer: impl Future<Output = A>) -> A {
    let driver = async {
        connection.await;
        pending::<Infallible>().await
    };
    tokio::select! {
        answer = answer => answer,
        never = driver => match never {},
    }
}

fn request(address: SocketAddr, check: &HttpCheck) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
    let host = check.host.as_deref().map_or_else(|| address.to_string(), str::to_owned);
    Request::builder()
        .method(&*check.method)
        .uri(&*check.path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, "plimsoll health check")
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::new())
}

async fn judge(response: Response<Incoming>, check: &HttpCheck) -> Outcome {
    let status = response.status().as_u16();
    if !check.statuses.iter().any(|range| range.contains(&status)) {
        // A server that fails does not say for how long; one that is about to stop does (RFC 9110 section 15.6.4).
        if status == 503 && response.headers().contains_key(header::RETRY_AFTER) {
            return Outcome::new(CheckResult::Drain, "status 503 with Retry-After: it wants to drain");
        }
        let words = format!("status {status}, expected {}", listed(&check.statuses));
        return Outcome::new(CheckResult::FailStatus, words);
    }
    match &check.body_contains {
        None => Outcome::new(CheckResult::Pass, format!("status {status}")),
        Some(wanted) => search(response.into_body(), wanted, status).await,
    }
}

/// Reads the body as far as needed.
async fn search(mut body: Incoming, wanted: &str, status: u16) -> Outcome {
    let mut read = Vec::new();
    let mut searched = 0;
    loop {
        if memmem::find(&read[searched..], wanted.as_bytes()).is_some() {
            return Outcome::new(CheckResult::Pass, format!("status {status}, expected text found"));
        }
        // The text may begin in this part and end in the next.
        searched = read.len().saturating_sub(wanted.len());
        if read.len() >= BODY_BYTES {
            let words = format!("status {status}, expected text not in the first {BODY_BYTES} bytes");
            return Outcome::new(CheckResult::FailBody, words);
        }
        match body.frame().await {
            Some(Ok(frame)) => {
                let part = frame.into_data().unwrap_or_default();
                read.extend_from_slice(&part[..part.len().min(BODY_BYTES - read.len())]);
            }
            Some(Err(error)) => return broken(&error),
            None => {
                let words = format!("status {status}, expected text not in {} bytes", read.len());
                return Outcome::new(CheckResult::FailBody, words);
            }
        }
    }
}

/// What is said of an answer that is no HTTP or has no end.
fn broken(error: &hyper::Error) -> Outcome {
    let mut words = error.to_string();
    let source = error.source();
    if let Some(cause) = source.and_then(|source| source.downcast_ref::<std::io::Error>()) {
        words = format!("{words}: {}", in_words(cause));
    }
    Outcome::new(CheckResult::FailProtocol, words)
}

/// Lists ranges as a configuration does: `200-299, 404`.
fn listed(ranges: &[RangeInclusive<u16>]) -> String {
    let words = ranges.iter().map(|range| match (range.start(), range.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    });
    words.collect::<Vec<_>>().join(", ")
}
