//! The HTTP server of the agent: accepts connections, bounds them, and ends them in good order.
//!
//! Our own loop around hyper instead of `axum::serve`, which has no limit on the number of connections and none on the
//! time that a client takes over its request.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::ending::Ending;

/// What clients may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Connections at a time; more wait in the listener's queue.
    connections: usize,
    /// How long a connection may take to send the head of a request, its idle time before that included: longer than the
    /// usual interval of scrapes, so that those keep their connection.
    head: Duration,
    /// How long sent bytes may stay unacknowledged by a client that does not read.
    unread: Duration,
    /// How long answers under way may take after the agent was asked to end.
    farewell: Duration,
}

const LIMITS: Limits = Limits {
    connections: 64,
    head: Duration::from_secs(20),
    unread: Duration::from_secs(20),
    farewell: Duration::from_secs(2),
};

/// The largest head of a request, in bytes.
const HEAD_BYTES: usize = 16 * 1024;

/// How long accepting pauses after it failed, as it does without file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers on `listener` until `ending`; answers under way then have a moment.
///
/// Never fails: a connection that cannot be accepted or served is logged. Cancel safe: dropping it closes the listener and
/// all connections.
pub(crate) async fn answer(listener: TcpListener, router: Router, ending: Ending) {
    answer_within(LIMITS, listener, router, ending).await;
}

async fn answer_within(limits: Limits, listener: TcpListener, router: Router, mut ending: Ending) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        // The end comes first: a place that becomes free by it is nobody's any more.
        let (stream, place) = tokio::select! {
            biased;
            () = ending.asked() => break,
            Some(_) = connections.join_next() => continue,
            next = next_connection(&listener, &places) => next,
        };
        let (router, ending) = (router.clone(), ending.clone());
        connections.spawn(async move {
            if let Err(error) = connection(limits, stream, router, ending).await {
                tracing::debug!(error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.farewell, all_ended).await.is_err() {
        tracing::warn!(drain = ?limits.farewell, "drain deadline reached");
    }
}

/// Waits for a place and for a connection to take it. Cancel safe: no connection is accepted and then lost.
async fn next_connection(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, OwnedSemaphorePermit) {
    let place = Arc::clone(places).acquire_owned().await.expect("invariant: the places are never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection; after `ending` only to the end of the request that it is at.
async fn connection(
    limits: Limits,
    stream: TcpStream,
    router: Router,
    mut ending: Ending,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    // hyper has no limit on the time that a client takes to read. The kernel's also counts a window that stays closed.
    let unread = u32::try_from(limits.unread.as_millis()).unwrap_or(u32::MAX);
    set_tcp_user_timeout(&stream, unread)?;
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = ending.asked() => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::ending::{self, Asking};

    /// A server with one place; it ends with what is returned.
    async fn with_one_place(head: Duration) -> (SocketAddr, Asking, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asking, ending) = ending::pair();
        let router = Router::new().route("/live", get("live\n"));
        let mut serving = JoinSet::new();
        serving.spawn(answer_within(Limits { connections: 1, head, ..LIMITS }, listener, router, ending));
        (address, asking, serving)
    }

    async fn told(mut stream: TcpStream) -> String {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn who_never_asks_gives_the_place_to_somebody_who_does() {
        let (address, _asking, _serving) = with_one_place(Duration::from_millis(50)).await;
        let idle = TcpStream::connect(address).await.unwrap();
        let mut asks = TcpStream::connect(address).await.unwrap();
        asks.write_all(b"GET /live HTTP/1.0\r\n\r\n").await.unwrap();
        assert!(told(asks).await.ends_with("live\n"));
        assert_eq!(told(idle).await, "", "it was closed");
    }

    #[tokio::test]
    async fn nobody_gets_a_place_that_is_taken_and_the_end_frees_all() {
        let (address, asking, mut serving) = with_one_place(Duration::from_secs(3600)).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        first.write_all(b"GET /live HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut byte = [0];
        first.read_exact(&mut byte).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        second.write_all(b"GET /live HTTP/1.0\r\n\r\n").await.unwrap();
        asking.ask();
        assert!(told(first).await.ends_with("live\n"), "the answer under way");
        serving.join_next().await.unwrap().unwrap();
        let mut answer = Vec::new();
        let reset = second.read_to_end(&mut answer).await;
        assert!(reset.is_err() || answer.is_empty(), "the other one was never taken");
    }
}
