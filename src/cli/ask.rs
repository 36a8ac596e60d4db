//! One request to a server of ours, over HTTP/1.1: at an address, or at a socket in the file system.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::http::request::Builder;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// The most bytes of an answer that are read.
const ANSWER_MAX: usize = 4 * 1024 * 1024;

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Server {
    /// At an address.
    Address(SocketAddr),
    /// At a Unix socket.
    Socket(PathBuf),
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Socket(path) => path.display().fmt(f),
        }
    }
}

/// Sends a request without a body; see [`send`].
pub(super) async fn ask(
    address: SocketAddr,
    method: Method,
    path: &str,
) -> anyhow::Result<(StatusCode, String)> {
    send(&Server::Address(address), Request::builder().method(method).uri(path), Bytes::new()).await
}

/// Sends a request, to which it adds the host. Returns the status and the text of the answer. Takes as long as the server
/// does.
///
/// # Errors
/// When nobody listens there, or the answer is no HTTP, no text, or longer than 4 MiB.
pub(super) async fn send(
    server: &Server,
    request: Builder,
    body: Bytes,
) -> anyhow::Result<(StatusCode, String)> {
    let response = open(server, request, body).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_MAX);
    let body = body.collect().await.map_err(anyhow::Error::from_boxed)?;
    let text = String::from_utf8(body.to_bytes().into()).context("the answer is no text")?;
    Ok((status, text))
}

/// Sends a request, to which it adds the host. Returns the answer when its head is there; its body comes as the server sends
/// it, and the connection ends when it is dropped.
///
/// # Errors
/// When nobody listens there, or the answer is no HTTP.
pub(super) async fn open(
    server: &Server,
    request: Builder,
    body: Bytes,
) -> anyhow::Result<Response<Incoming>> {
    match server {
        Server::Address(address) => {
            let stream = TcpStream::connect(address).await?;
            over(stream, request.header("host", address.to_string()), body).await
        }
        Server::Socket(path) => {
            let stream = UnixStream::connect(path).await?;
            over(stream, request.header("host", "localhost"), body).await
        }
    }
}

async fn over(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Builder,
    body: Bytes,
) -> anyhow::Result<Response<Incoming>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = request.body(Full::new(body))?;
    // It ends with the answer, or with whoever waited for it; what went wrong on it is told there.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}
