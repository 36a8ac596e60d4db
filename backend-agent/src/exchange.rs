//! One HTTP exchange of the agent as a client: look the host up, connect, ask, read the answer, all within a time.
//!
//! On a fresh connection each time: a name that leads elsewhere since the last time is followed, and a few connections
//! a minute cost nothing.

use std::convert::Infallible;
use std::error::Error as _;
use std::future::pending;
use std::io;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use crate::url::Url;

/// The largest head of an answer, in bytes.
const HEAD_BYTES: usize = 16 * 1024;
/// How much of an answer's body is read, in bytes; the rest is not worth a look.
const BODY_BYTES: usize = 4 * 1024;
/// How much of a body is shown, in characters.
const SHOWN: usize = 300;

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Where a redirection leads.
    pub(crate) location: Option<String>,
    /// The beginning of a body, in one printable line.
    pub(crate) said: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("host name `{host}` cannot be looked up: {cause}")]
    UnknownHost { host: String, cause: io::Error },
    #[error("connection to {authority} refused")]
    Refused { authority: String },
    #[error("cannot connect to {authority}: {cause}")]
    Unreachable { authority: String, cause: io::Error },
    #[error("not done after {patience:?}: still {stage}")]
    Slow { stage: &'static str, patience: Duration },
    #[error("no HTTP answer: {0}")]
    Broken(String),
}

/// Asks, and returns within `patience`.
///
/// Cancel safety: dropping it closes the connection; what was sent may still be acted upon.
pub(crate) async fn ask(
    method: Method,
    url: &Url,
    body: Vec<u8>,
    patience: Duration,
) -> Result<Answer, NoAnswer> {
    let deadline = Instant::now() + patience;
    let slow = |stage| move |_| NoAnswer::Slow { stage, patience };
    let lookup = timeout_at(deadline, lookup_host((url.host.as_str(), url.port)));
    let addresses: Vec<_> = lookup
        .await
        .map_err(slow("looking up the host"))?
        .map_err(|cause| NoAnswer::UnknownHost { host: url.host.clone(), cause })?
        .collect();
    let stream = timeout_at(deadline, TcpStream::connect(&*addresses))
        .await
        .map_err(slow("connecting"))?
        .map_err(|cause| not_connected(url, cause))?;
    timeout_at(deadline, exchange(stream, method, url, body)).await.map_err(slow("waiting for the answer"))?
}

fn not_connected(url: &Url, cause: io::Error) -> NoAnswer {
    let authority = url.authority.clone();
    match cause.kind() {
        io::ErrorKind::ConnectionRefused => NoAnswer::Refused { authority },
        _ => NoAnswer::Unreachable { authority, cause },
    }
}

async fn exchange(stream: TcpStream, method: Method, url: &Url, body: Vec<u8>) -> Result<Answer, NoAnswer> {
    let request = Request::builder()
        .method(method)
        .uri(&*url.path)
        .header(header::HOST, &*url.authority)
        .header(header::USER_AGENT, concat!("backend-agent/", env!("CARGO_PKG_VERSION")))
        .header(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| NoAnswer::Broken(error.to_string()))?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        read(response).await
    };
    // What the connection ends with is also told to whoever waits for the answer.
    let driver = async {
        let _ = connection.await;
        pending::<Infallible>().await
    };
    tokio::select! {
        answer = answer => answer,
        never = driver => match never {},
    }
}

async fn read(response: Response<Incoming>) -> Result<Answer, NoAnswer> {
    let status = response.status();
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let location = location.map(str::to_owned);
    let mut body = response.into_body();
    let mut read = Vec::new();
    // A status counts whatever becomes of the body: a server may refuse one and close before all of it was read.
    while let Some(Ok(frame)) = body.frame().await {
        let part = frame.into_data().unwrap_or_default();
        read.extend_from_slice(&part[..part.len().min(BODY_BYTES - read.len())]);
        if read.len() == BODY_BYTES {
            break;
        }
    }
    Ok(Answer { status, location, said: shown(&String::from_utf8_lossy(&read)) })
}

fn broken(error: &hyper::Error) -> NoAnswer {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    NoAnswer::Broken(format!("{error}{cause}"))
}

/// Makes one line of a text, short and without what a terminal would act upon.
fn shown(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().map(|c| if c.is_control() { '·' } else { c }).take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_one_short_line() {
        assert_eq!(shown("text format\n  parsing error\x1b[2J\n"), "text format parsing error·[2J");
        assert_eq!(shown(&"x".repeat(5_000)).len(), SHOWN);
    }
}
