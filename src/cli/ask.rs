//! One request to a server of ours, over HTTP/1.1.

use std::net::SocketAddr;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::http::request::Builder;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The most bytes of an answer that are read.
const ANSWER_MAX: usize = 4 * 1024 * 1024;

/// Sends a request without a body; see [`send`].
pub(super) async fn ask(
    address: SocketAddr,
    method: Method,
    path: &str,
) -> anyhow::Result<(StatusCode, String)> {
    send(address, Request::builder().method(method).uri(path), Bytes::new()).await
}

/// Sends a request, to which it adds the host. Returns the status and the text of the answer. Takes as long as the server
/// does.
///
/// # Errors
/// When nobody listens at `address`, or the answer is no HTTP, no text, or longer than 4 MiB.
pub(super) async fn send(
    address: SocketAddr,
    request: Builder,
    body: Bytes,
) -> anyhow::Result<(StatusCode, String)> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = request.header("host", address.to_string()).body(Full::new(body))?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_MAX)
            .collect()
            .await
            .map_err(anyhow::Error::from_boxed)?;
        let text = String::from_utf8(body.to_bytes().into()).context("the answer is no text")?;
        Ok((status, text))
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection may end before its last bytes are read.
        _ = connection => exchange.await,
    }
}
