//! One GET to a server on this machine: the balancer's admin interface, or Prometheus.

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take: Prometheus may have to read a whole run from its disk.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The most bytes of an answer that are read.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// Asks for `path` below `base`, such as `http://127.0.0.1:9090`. Returns the status and the text of the answer.
///
/// # Errors
/// When `base` is no such address, nobody answers there in time, or the answer is no HTTP, no text, or too long.
pub(crate) async fn get(base: &str, path: &str) -> anyhow::Result<(StatusCode, String)> {
    let url = format!("{}{path}", base.trim_end_matches('/'));
    let uri: Uri =
        url.parse().with_context(|| format!("`{base}` is no address of the form http://host:port"))?;
    let (Some("http"), Some(host)) = (uri.scheme_str(), uri.host()) else {
        anyhow::bail!("`{base}` is no address of the form http://host:port");
    };
    let target = (host.trim_matches(['[', ']']), uri.port_u16().unwrap_or(80));
    let answer = timeout(TIMEOUT, ask(target, &uri)).await;
    answer
        .with_context(|| format!("{base} does not answer within {} s", TIMEOUT.as_secs()))?
        .with_context(|| format!("{base} does not answer"))
}

async fn ask(target: (&str, u16), uri: &Uri) -> anyhow::Result<(StatusCode, String)> {
    let stream = TcpStream::connect(target).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::builder().uri(path).header("host", host).body(Empty::<Bytes>::new())?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
        let body = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
        anyhow::Ok((status, String::from_utf8(body.into()).context("the answer is no text")?))
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection may end before its last bytes are read.
        _ = connection => exchange.await,
    }
}
