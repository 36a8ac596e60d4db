//! The server of the admin interface: accepts connections, bounds them, and ends them in good order.
//!
//! Our own loop around hyper instead of `axum::serve`, which has no limit on the number of connections and none on the
//! time that a client takes over its request. The same loop serves the address and the Unix socket.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::guard::Peer;
use super::{AdminState, router};

/// What a client of the admin interface may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at a time; more wait in the listener's queue.
    pub(super) connections: usize,
    /// How long a connection may take to send the head of a request, its idle time before that included: longer than
    /// the usual interval of scrapes, so that those keep their connection.
    pub(super) head: Duration,
    /// How long sent bytes may stay unacknowledged by a client that does not read.
    pub(super) unread: Duration,
    /// How long requests in progress may take after the shutdown began.
    pub(super) farewell: Duration,
}

pub(super) const LIMITS: Limits = Limits {
    connections: 256,
    head: Duration::from_secs(20),
    unread: Duration::from_secs(20),
    farewell: Duration::from_secs(1),
};

/// The largest head of a request, in bytes.
const HEAD_BYTES: usize = 16 * 1024;

/// How long accepting pauses after it failed, as it does without file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where connections come from: an address, or a socket in the file system.
pub(super) trait Door {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for a connection. Cancel safe: none is accepted and then lost.
    async fn open(&self) -> io::Result<(Self::Stream, Peer)>;

    /// Bounds what the client of a connection may take.
    fn prepare(stream: &Self::Stream, limits: Limits) -> io::Result<()>;
}

impl Door for TcpListener {
    type Stream = TcpStream;

    async fn open(&self) -> io::Result<(TcpStream, Peer)> {
        self.accept().await.map(|(stream, peer)| (stream, Peer::Host(peer.ip())))
    }

    fn prepare(stream: &TcpStream, limits: Limits) -> io::Result<()> {
        // hyper has no limit on the time that a client takes to read. The kernel's also counts a window that stays closed.
        socket2::SockRef::from(stream).set_tcp_user_timeout(Some(limits.unread))?;
        stream.set_nodelay(true)
    }
}

impl Door for UnixListener {
    type Stream = UnixStream;

    async fn open(&self) -> io::Result<(UnixStream, Peer)> {
        let (stream, _) = self.accept().await?;
        let user = stream.peer_cred().ok().map(|credentials| credentials.uid());
        Ok((stream, Peer::User(user)))
    }

    fn prepare(_: &UnixStream, _: Limits) -> io::Result<()> {
        // The kernel bounds nothing here. Who may open the socket may stop the service as well.
        Ok(())
    }
}

/// Serves the admin interface on `listener`, and on `socket` if there is one, until `shutdown` completes, then lets requests in progress end.
///
/// Never fails: a connection that cannot be accepted or served is logged.
///
/// Cancel safe: dropping it closes the listener and all connections.
pub async fn serve(
    listener: TcpListener,
    socket: Option<UnixListener>,
    state: AdminState,
    shutdown: impl Future<Output = ()>,
) {
    let (closing, mut closed) = watch::channel(());
    let mut by_socket_closed = closing.subscribe();
    let router = router(state);
    let by_address = serve_within(LIMITS, listener, router.clone(), async {
        // An error says that it is over as well.
        let _ = closed.changed().await;
    });
    let by_socket = async {
        if let Some(socket) = socket {
            let over = async {
                let _ = by_socket_closed.changed().await;
            };
            serve_within(LIMITS, socket, router, over).await;
        }
    };
    let end = async {
        shutdown.await;
        drop(closing);
    };
    tokio::join!(by_address, by_socket, end);
}

pub(super) async fn serve_within<D: Door>(
    limits: Limits,
    listener: D,
    router: Router,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    let places = Arc::new(Semaphore::new(limits.connections));
    let (closing, _) = watch::channel(());
    let mut connections = JoinSet::new();
    loop {
        let (stream, peer, place) = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            next = next_connection(&listener, &places) => next,
        };
        let (router, farewell) = (router.clone(), closing.subscribe());
        if let Err(error) = D::prepare(&stream, limits) {
            tracing::debug!(%error, "admin connection ended at once");
            continue;
        }
        connections.spawn(async move {
            if let Err(error) = connection(limits, stream, peer, router, farewell).await {
                tracing::debug!(error, "admin connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    drop(closing);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.farewell, all_ended).await.is_err() {
        tracing::info!("admin connections are cut at shutdown");
    }
}

/// Waits for a place and for a connection to take it.
///
/// Cancel safe: no connection is accepted and then lost.
async fn next_connection<D: Door>(
    listener: &D,
    places: &Arc<Semaphore>,
) -> (D::Stream, Peer, OwnedSemaphorePermit) {
    let place = Arc::clone(places).acquire_owned().await.expect("invariant: the places are never closed");
    loop {
        match listener.open().await {
            Ok((stream, peer)) => return (stream, peer, place),
            Err(error) => {
                tracing::warn!(%error, "admin connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection; when the sender of `closing` is gone, only to the end of the request that it is at.
async fn connection(
    limits: Limits,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
    mut closing: watch::Receiver<()>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), OfPeer { peer, router: TowerToHyperService::new(router) });
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        _ = closing.changed() => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}

/// Answers the requests of one connection, each of which knows who sent it.
struct OfPeer {
    peer: Peer,
    router: TowerToHyperService<Router>,
}

impl Service<Request<Incoming>> for OfPeer {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        self.router.call(request)
    }
}
