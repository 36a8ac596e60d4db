//! One check of one backend, from the connect to the verdict.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::{CheckKind, CheckSettings, http};
use crate::data_plane::proxy_protocol;
use crate::telemetry::CheckResult;
use crate::upstream::ProxyVersion;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Outcome {
    /// The result. None when it could not be made for a reason that lies with us, so that nothing was learned.
    pub(in super::super) result: Option<CheckResult>,
    /// The result for people.
    pub(in super::super) words: String,
}

/// How one check is made; tests put a script in its place.
pub(in super::super) type CheckOne =
    Arc<dyn Fn(SocketAddr, CheckSettings) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync>;

impl Outcome {
    pub(super) fn new(result: CheckResult, words: impl Into<String>) -> Self {
        Self { result: Some(result), words: words.into() }
    }

    fn not_made(words: String) -> Self {
        Self { result: None, words }
    }
}

/// Checks real backends.
pub(in super::super) fn over_the_network() -> CheckOne {
    Arc::new(|address, settings| Box::pin(async move { check_once(address, &settings).await }))
}

/// Makes one check on a connection of its own, so that it sees what a new client of the backend would see. Ends within
/// the timeout. Cancel safe: dropping it closes the connection.
async fn check_once(address: SocketAddr, settings: &CheckSettings) -> Outcome {
    let deadline = Instant::now() + settings.timeout;
    let stream = match timeout_at(deadline, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if is_ours(&error) => return Outcome::not_made(in_words(&error)),
        Ok(Err(error)) => return Outcome::new(CheckResult::FailConnect, in_words(&error)),
        Err(_) => {
            let words = format!("no connection within {}", Span(settings.timeout));
            return Outcome::new(CheckResult::FailConnect, words);
        }
    };
    if stream.local_addr().is_ok_and(|own| own == address) {
        // On one host, a connect to a port where nobody listens can be given that very port as its own, and TCP then
        // connects it to itself (simultaneous open, RFC 9293 section 3.5).
        return Outcome::new(CheckResult::FailConnect, "nobody listens: the connection led to itself");
    }
    if let Some(version) = settings.proxy_protocol
        && let Err(error) = introduce_ourselves(&stream, version)
    {
        return Outcome::new(CheckResult::FailProtocol, in_words(&error));
    }
    match &settings.kind {
        CheckKind::Tcp => Outcome::new(CheckResult::Pass, "connected"),
        CheckKind::Http(check) => {
            timeout_at(deadline, http::ask(stream, address, check)).await.unwrap_or_else(|_| {
                let words = format!("connected, but no whole answer within {}", Span(settings.timeout));
                Outcome::new(CheckResult::FailTimeout, words)
            })
        }
    }
}

/// Sends the header without which the backend would take nothing: that the connection is ours.
fn introduce_ourselves(stream: &TcpStream, version: ProxyVersion) -> io::Result<()> {
    let mut header = Vec::new();
    proxy_protocol::write(version, None, &mut header);
    // A new connection takes some ten bytes at once.
    let sent = rustix::net::send(stream, &header, rustix::net::SendFlags::NOSIGNAL)?;
    if sent == header.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Tells whether a connect failed because we lack something, which must not make every backend unhealthy.
///
/// "Address not available" is not among these: it also says that a host without IPv6 cannot reach this backend, and
/// ports run out for one destination at a time.
fn is_ours(error: &io::Error) -> bool {
    const OURS: [Errno; 4] = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| OURS.contains(&errno))
}

/// Says what an I/O error says, as a part of a sentence: `connection refused`.
pub(super) fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// A span of time as the configuration would say it.
pub(super) struct Span(pub(super) Duration);

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = self.0.as_millis();
        if ms > 0 && ms.is_multiple_of(1000) { write!(f, "{}s", ms / 1000) } else { write!(f, "{ms}ms") }
    }
}

#[cfg(test)]
mod tests;
