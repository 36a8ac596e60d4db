//! Opens a connection to a backend, within a patience.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::telemetry::AttemptOutcome;

/// Why there is no connection to a backend.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The host answered that nobody listens.
    #[error("connection refused")]
    Refused,
    /// The host did not answer within the patience.
    #[error("no answer to the connection within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// Nobody knows where it is: its host name has no address.
    #[error("the host name has no address")]
    Unresolved,
    /// Anything else: no route, no local port, no descriptor.
    #[error("connection failed: {0}")]
    Other(#[source] io::Error),
}

impl ConnectError {
    /// Returns the outcome that the attempt is counted as.
    #[must_use]
    pub fn outcome(&self) -> AttemptOutcome {
        match self {
            Self::Refused => AttemptOutcome::ConnectRefused,
            Self::Timeout(_) => AttemptOutcome::ConnectTimeout,
            Self::Unresolved | Self::Other(_) => AttemptOutcome::ConnectError,
        }
    }
}

/// Connects to `address` within `patience`. What is sent later may stay for `unacknowledged` without its host's taking it
/// before the connection counts as broken; None leaves that to the kernel. Cancel safe: a connection in the making is closed.
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect(
    address: Option<SocketAddr>,
    patience: Duration,
    unacknowledged: Option<Duration>,
) -> Result<TcpStream, ConnectError> {
    let address = address.ok_or(ConnectError::Unresolved)?;
    let connecting = tokio::time::timeout(patience, TcpStream::connect(address));
    let stream = match connecting.await {
        Err(_elapsed) => return Err(ConnectError::Timeout(patience)),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            return Err(ConnectError::Refused);
        }
        Ok(Err(error)) => return Err(ConnectError::Other(error)),
        Ok(Ok(stream)) => stream,
    };
    // A head leaves in one write; waiting for more to fill a segment would only delay it.
    stream.set_nodelay(true).map_err(ConnectError::Other)?;
    // Without it, the kernel sends again to a host that has vanished for a quarter of an hour (RFC 5482). Linux counts a
    // backend that takes its time to read as well, so this is no shorter than the patience with its answers.
    if unacknowledged.is_some() {
        let socket = socket2::SockRef::from(&stream);
        socket.set_tcp_user_timeout(unacknowledged).map_err(ConnectError::Other)?;
    }
    Ok(stream)
}
