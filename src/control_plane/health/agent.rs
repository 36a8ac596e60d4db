//! The agent beside a backend: a program that knows more about its host than a check can find out, and says it in a line.
//!
//! The protocol is HAProxy's agent-check (its configuration manual, section 5.2, `agent-check`), because agents for it are
//! in use: connect, read one line, close. What a line may say is in [`report`]. An agent that cannot be asked changes
//! nothing: whether the backend is well is what checks are for.

mod report;
mod rounds;

pub(super) use report::Report;
pub(super) use rounds::AgentRounds;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::check::{Span, in_words};

/// The longest line that is read, in bytes.
const LINE_BYTES: usize = 1024;

/// How an agent is asked once, within a time; tests put a script in its place. An error says why it did not answer.
pub(super) type AskOne = Arc<dyn Fn(SocketAddr, Duration) -> Asking + Send + Sync>;

/// A question that waits for its answer.
pub(super) type Asking = Pin<Box<dyn Future<Output = Result<Report, String>> + Send>>;

/// Asks real agents.
pub(super) fn over_the_network() -> AskOne {
    Arc::new(|address, patience| Box::pin(ask(address, patience)))
}

/// Asks the agent at `address` once. Ends within `patience`. Cancel safe: dropping it closes the connection.
async fn ask(address: SocketAddr, patience: Duration) -> Result<Report, String> {
    let deadline = Instant::now() + patience;
    let asked = timeout_at(deadline, async {
        let stream = TcpStream::connect(address).await.map_err(|error| in_words(&error))?;
        line(stream).await
    });
    let line = asked.await.map_err(|_| format!("no line within {}", Span(patience)))??;
    Ok(Report::parse(&line))
}

/// Reads up to the first CR or LF, or to the end of the connection.
async fn line(mut stream: TcpStream) -> Result<Vec<u8>, String> {
    let mut read = Vec::with_capacity(128);
    loop {
        match (&mut stream).take((LINE_BYTES - read.len()) as u64).read_buf(&mut read).await {
            Err(error) => return Err(in_words(&error)),
            Ok(0) if read.is_empty() => return Err("closed without a word".to_owned()),
            Ok(0) if read.len() == LINE_BYTES => {
                return Err(format!("no end of the line in {LINE_BYTES} bytes"));
            }
            Ok(count) => {
                if let Some(end) = read.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
                    read.truncate(end);
                    return Ok(read);
                }
                if count == 0 {
                    return Ok(read);
                }
            }
        }
    }
}

/// Agents that never answer, for tests of everything else.
#[cfg(test)]
pub(super) fn nobody() -> AskOne {
    Arc::new(|_, _| Box::pin(std::future::pending()))
}

#[cfg(test)]
mod tests;
