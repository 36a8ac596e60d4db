//! A backend that costs as little as possible: it answers every request head with the same bytes, parsing nothing.
//!
//! It stands apart from the demo backend because what it spends is CPU time that the proxies under test do not get. It is in
//! the library because more than one benchmark starts it.

use crate::child::{Running, with_parent};
use anyhow::Context;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// How many addresses it listens on: so many backends the proxies see.
const LISTENERS: usize = 3;

/// The length of a small answer's body.
pub const SMALL: usize = 128;

/// Starts the backends as a process of their own and waits for the addresses they print. It needs this program to call
/// [`serve`] with the number that follows `backend` on its command line.
///
/// # Errors
/// When they do not start.
pub async fn start(body: usize) -> anyhow::Result<(Running, Vec<SocketAddr>)> {
    let mut command = with_parent()?;
    command.arg(std::env::current_exe()?).args(["backend", &body.to_string()]);
    let mut running = Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let stdout = running.child().stdout.take().context("the backends have no output")?;
    let mut line = String::new();
    timeout(Duration::from_secs(5), BufReader::new(stdout).read_line(&mut line)).await??;
    let addresses: Result<Vec<_>, _> = line.split_ascii_whitespace().skip(1).map(str::parse).collect();
    let addresses = addresses.with_context(|| format!("the backends said {line:?}"))?;
    anyhow::ensure!(!addresses.is_empty(), "the backends did not start");
    Ok((running, addresses))
}

/// Listens on free loopback ports, prints `listening ADDR ADDR ADDR`, and answers with `body` bytes until its parent ends.
///
/// # Errors
/// When it cannot listen or print.
pub async fn serve(body: usize) -> anyhow::Result<()> {
    let mut listeners = Vec::new();
    for _ in 0..LISTENERS {
        listeners.push(TcpListener::bind("127.0.0.1:0").await.context("binding a backend")?);
    }
    let addresses: Result<Vec<_>, _> =
        listeners.iter().map(|l| l.local_addr().map(|a| a.to_string())).collect();
    writeln!(std::io::stdout(), "listening {}", addresses?.join(" "))?;
    for listener in listeners {
        tokio::spawn(accept(listener, body));
    }
    std::future::pending().await
}

async fn accept(listener: TcpListener, body: usize) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_all(stream, body));
        }
    }
}

async fn answer_all(stream: TcpStream, body: usize) {
    let _ = stream.set_nodelay(true);
    let answer = answer(body);
    let mut buffer = [0; 16 * 1024];
    let mut matched = 0;
    loop {
        // Reading before waiting for readiness keeps the exchange at one wake-up.
        let read = match stream.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if stream.readable().await.is_err() {
                    return;
                }
                continue;
            }
            Err(_) => return,
        };
        for _ in 0..heads_ending_in(&buffer[..read], &mut matched) {
            if write_all(&stream, &answer).await.is_err() {
                return;
            }
        }
    }
}

/// Counts the request heads that end in `bytes`; `matched` carries over how much of an end the bytes before had.
fn heads_ending_in(bytes: &[u8], matched: &mut usize) -> usize {
    const END: &[u8] = b"\r\n\r\n";
    let mut heads = 0;
    for &byte in bytes {
        *matched = match byte {
            _ if byte == END[*matched] => *matched + 1,
            b'\r' => 1,
            _ => 0,
        };
        if *matched == END.len() {
            heads += 1;
            *matched = 0;
        }
    }
    heads
}

async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn answer(body: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {body}\r\n\r\n");
    let mut answer = head.into_bytes();
    answer.resize(answer.len() + body, b'x');
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_counted_however_they_are_cut() {
        let mut matched = 0;
        assert_eq!(heads_ending_in(b"GET / HTTP/1.1\r\nhost: a\r\n\r", &mut matched), 0);
        assert_eq!(heads_ending_in(b"\nGET / HTTP/1.1\r\n\r\nGET", &mut matched), 2);
        assert_eq!(heads_ending_in(b"\r\r\n\r\n", &mut matched), 1);
    }
}
