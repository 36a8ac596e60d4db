//! One exchange with a server beside the load: a balancer's admin interface, a backend's switch, Prometheus.

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take: Prometheus may have to read a whole run from its disk.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The most bytes of an answer that are read.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The absolute `http://` address.
    pub url: Uri,
    /// Headers besides `Host`.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
}

impl Call {
    /// A request without headers and body.
    ///
    /// # Errors
    /// When `url` is no address of the form `http://host:port/path`.
    pub fn new(method: Method, url: &str) -> anyhow::Result<Call> {
        let wrong = || format!("`{url}` is no address of the form http://host:port/path");
        let url: Uri = url.parse().with_context(wrong)?;
        anyhow::ensure!(url.scheme_str() == Some("http") && url.host().is_some(), wrong());
        Ok(Call { method, url, headers: HeaderMap::new(), body: Bytes::new() })
    }

    /// Sends it. Returns the status and the text of the answer.
    ///
    /// # Errors
    /// When nobody answers in time, or the answer is no HTTP, no text, or too long.
    pub async fn send(&self) -> anyhow::Result<(StatusCode, String)> {
        let base = self.url.authority().map_or("", |authority| authority.as_str());
        let answer = timeout(TIMEOUT, self.exchange()).await;
        answer
            .with_context(|| format!("http://{base} does not answer within {} s", TIMEOUT.as_secs()))?
            .with_context(|| format!("http://{base} does not answer"))
    }

    async fn exchange(&self) -> anyhow::Result<(StatusCode, String)> {
        let host = self.url.host().unwrap_or_default().trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, self.url.port_u16().unwrap_or(80))).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.url.path_and_query().map_or("/", |path| path.as_str()).parse()?;
        *request.headers_mut() = self.headers.clone();
        let host = self.url.authority().map_or("", |authority| authority.as_str());
        request.headers_mut().insert(HOST, HeaderValue::from_str(host)?);
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
}

/// Asks for `path` below `base`, such as `http://127.0.0.1:9090`. Returns the status and the text of the answer.
///
/// # Errors
/// When `base` is no such address, or as [`Call::send`] says.
pub async fn get(base: &str, path: &str) -> anyhow::Result<(StatusCode, String)> {
    Call::new(Method::GET, &format!("{}{path}", base.trim_end_matches('/')))?.send().await
}
