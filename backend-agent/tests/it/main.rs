//! The agent seen from outside: what it exports about real processes, and how it lives as a child.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; the allowance for tests does not reach the functions that they share"
)]

mod process;
mod targets;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Returns what the agent answers, head and body.
async fn get(agent: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(agent).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
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
