//! The agent seen from outside: what it exports about real processes, and how it lives as a child.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; the allowance for tests does not reach the functions that they share"
)]

mod cost;
mod gateway;
mod haproxy;
mod probe;
mod process;
mod program;
mod push;
mod pushgateway;
mod running;
mod targets;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Returns what the agent answers, head and body.
async fn get(agent: SocketAddr, path: &str) -> String {
    // In the older version, whose answers come in one piece and not in chunks.
    exchange(agent, &format!("GET {path} HTTP/1.0\r\nhost: test\r\n\r\n")).await
}

/// Returns what is answered to a request after which the server closes, head and body.
async fn exchange(server: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Returns the value of a series at /metrics, `None` while there is no such series.
async fn value(agent: SocketAddr, series: &str) -> Option<f64> {
    let answer = get(agent, "/metrics").await;
    answer.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// Returns once the value of a series is as wanted.
async fn until(agent: SocketAddr, series: &str, wanted: impl Fn(Option<f64>) -> bool) {
    let poll = async {
        while !wanted(value(agent, series).await) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, poll).await.unwrap_or_else(|_| panic!("{series} never got there"));
}
