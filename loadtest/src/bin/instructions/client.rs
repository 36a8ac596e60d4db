//! A client that asks for a given number of answers, and does no more than it must: nobody measures it.

use crate::case::Case;
use anyhow::Context;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How many connections there are at a time.
const CONNECTIONS: usize = 8;

/// Asks `count` times, rounded up to the same on each connection.
pub(crate) async fn ask(case: Case, address: SocketAddr, count: usize) -> anyhow::Result<()> {
    let request = case.request();
    let mut streams = Vec::new();
    for _ in 0..count.div_ceil(CONNECTIONS) {
        while streams.len() < CONNECTIONS {
            streams.push(TcpStream::connect(address).await?);
        }
        for stream in &mut streams {
            stream.write_all(&request).await?;
        }
        for stream in &mut streams {
            answer(stream, case.body()).await.context("an answer did not come as it should")?;
        }
        if case.is_alone() {
            streams.clear();
        }
    }
    Ok(())
}

/// Reads one answer with a body of that length.
async fn answer(stream: &mut TcpStream, body: usize) -> anyhow::Result<()> {
    let mut read = Vec::with_capacity(64 * 1024);
    loop {
        anyhow::ensure!(stream.read_buf(&mut read).await? > 0, "the connection was closed");
        let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let mut left = (end + 4 + body).saturating_sub(read.len());
        anyhow::ensure!(read.starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&read[..end]));
        let mut rest = vec![0; left.min(64 * 1024)];
        while left > 0 {
            let more = stream.read(&mut rest).await?;
            anyhow::ensure!(more > 0, "the connection was closed within a body");
            left = left.saturating_sub(more);
        }
        return Ok(());
    }
}
