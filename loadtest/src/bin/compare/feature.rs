//! What plimsoll can be asked for besides forwarding, each measured as a contender of its own beside the plain one.

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How many people look at the live page with [`Feature::Viewers`].
const VIEWERS: usize = 10;

/// Something that plimsoll does on top of what the plain contender does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Feature {
    /// Nothing: what two equal contenders differ by is the run's noise.
    Same,
    /// A trace of one exchange in a hundred, sent to a collector by HTTP.
    Traces,
    /// The access log as JSON, each exchange, to a file.
    Json,
    /// The access log in HAProxy's format, each exchange, to a file.
    Httplog,
    /// Every exchange is remembered for `plimsoll ctl why`, not only the notable ones and a sample.
    Why,
    /// Ten viewers of the live page.
    Viewers,
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Feature::Same => "same",
            Feature::Traces => "traces",
            Feature::Json => "json",
            Feature::Httplog => "httplog",
            Feature::Why => "why",
            Feature::Viewers => "viewers",
        })
    }
}

impl Feature {
    /// The keys to add to plimsoll's configuration.
    pub(crate) fn keys(self, folder: &Path, collector: SocketAddr) -> String {
        let log = |format: &str| {
            let path = folder.join(format!("{format}.log"));
            format!("telemetry: {{access_log: {{mode: on, format: {format}, path: {}}}}}\n", path.display())
        };
        match self {
            Feature::Same | Feature::Viewers => String::new(),
            Feature::Json => log("json"),
            Feature::Httplog => log("httplog"),
            Feature::Why => "telemetry: {slow: 0}\n".to_owned(),
            Feature::Traces => format!(
                "telemetry: {{traces: {{collector: \"http://{collector}\", protocol: http, sample: 1%}}}}\n"
            ),
        }
    }

    /// Who is there while it is measured; they leave when the set is dropped.
    pub(crate) async fn company(self, admin: SocketAddr) -> anyhow::Result<JoinSet<()>> {
        let mut viewers = JoinSet::new();
        if self == Feature::Viewers {
            for _ in 0..VIEWERS {
                let stream = view(admin).await.context("the live feed cannot be read")?;
                viewers.spawn(read_on(stream));
            }
        }
        Ok(viewers)
    }
}

/// Opens the live feed of the admin server at `admin`.
async fn view(admin: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(admin).await?;
    let head = format!("GET /api/v1/live HTTP/1.1\r\nhost: {admin}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await?;
    anyhow::ensure!(&answer == b"HTTP/1.1 200", "it is answered {:?}", String::from_utf8_lossy(&answer));
    Ok(stream)
}

async fn read_on(mut stream: TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}

/// A collector that takes every trace and looks at none; it ends when the set is dropped.
pub(crate) async fn collector() -> anyhow::Result<(SocketAddr, JoinSet<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(take));
                connections.spawn(connection);
            }
            while connections.try_join_next().is_some() {}
        }
    });
    Ok((address, serving))
}

async fn take(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    // A sender that leaves in the middle of a body is nobody's to answer.
    let _ = request.into_body().collect().await;
    Ok(Response::new(Empty::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_collector_takes_what_is_sent_and_answers() {
        let (address, _serving) = collector().await.unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head =
            b"POST /v1/traces HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc";
        stream.write_all(head).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[tokio::test]
    async fn a_viewer_that_is_refused_is_no_viewer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let refusing = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await.unwrap();
        });
        let error = Feature::Viewers.company(address).await.unwrap_err();
        assert!(format!("{error:#}").contains("403"), "{error:#}");
        refusing.await.unwrap();
    }
}
