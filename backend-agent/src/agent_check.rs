//! Answers HAProxy's agent checks over TCP: whoever connects gets one line that says how the target is.
//!
//! The protocol is that of HAProxy's configuration manual (section 5.2, `agent-check`), which plimsoll's checks speak
//! too: the line is all there is, and the connection closes.
//!
//! | line | when |
//! |---|---|
//! | `up 85%` | the target can be read; the percentage of its weight falls as its CPU gets busy, see [`Weight`] |
//! | `up ready 85%` | the same, in the first 5 s in which an address asks |
//! | `up` | nothing is known about the CPU, now or yet |
//! | `drain` | the agent was asked to end, and the program beside it still runs |
//! | `down # …` | the process that is measured is gone |
//!
//! `ready` ends a drain in HAProxy, which would otherwise outlive the one who asked for it: a backend that drained, ended
//! and was started again would get no work. It is not said for good, because it would also end a drain that an operator
//! asked HAProxy for.

mod peers;
mod weight;

pub(crate) use weight::Weight;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::ending::Ending;
use peers::Peers;

/// How many are answered at once; more wait for their turn.
const ANSWERS_MAX: usize = 32;
/// How long one answer may take, of which all but a moment is up to the other side.
const PATIENCE: Duration = Duration::from_secs(2);
/// How much is read of what the other side sends, in bytes; nothing of it matters.
const READ_MAX: u64 = 4096;

/// What is known about the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// Nothing, now or yet.
    Unknown,
    /// The process is not there any more.
    Gone,
    /// It takes this much of its weight, in percent.
    Weight(u8),
}

/// Answers for ever whoever connects to `listener`.
///
/// Cancel safety: may be dropped at any time; answers under way may still be sent.
pub(crate) async fn answer(
    listener: TcpListener,
    outlook: watch::Receiver<Outlook>,
    ending: Ending,
) -> Infallible {
    let places = Arc::new(Semaphore::new(ANSWERS_MAX));
    let mut peers = Peers::default();
    loop {
        let place =
            Arc::clone(&places).acquire_owned().await.expect("invariant: the places are never closed");
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Most likely too many open files: somebody has to close one first.
                tracing::debug!(%error, "cannot accept an agent check");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let new = peers.is_new(peer.ip().to_canonical(), Instant::now());
        let line = line(*outlook.borrow(), ending.is_asked(), new);
        tokio::spawn(async move {
            // Whoever does not take its answer asks again.
            let _ = timeout(PATIENCE, tell(stream, line)).await;
            drop(place);
        });
    }
}

/// What is said to somebody who has asked for a short time only, if `new`, or for longer.
fn line(outlook: Outlook, ending: bool, new: bool) -> String {
    let up = if new { "up ready" } else { "up" };
    match outlook {
        Outlook::Gone => "down # the process is gone\n".to_owned(),
        _ if ending => "drain\n".to_owned(),
        Outlook::Weight(percent) => format!("{up} {percent}%\n"),
        Outlook::Unknown => format!("{up}\n"),
    }
}

async fn tell(mut stream: TcpStream, line: String) -> std::io::Result<()> {
    stream.write_all(line.as_bytes()).await?;
    stream.shutdown().await?;
    // HAProxy may send something (`agent-send`). A connection that is closed before that was read is reset, and the
    // line may be lost with it.
    tokio::io::copy(&mut (&mut stream).take(READ_MAX), &mut tokio::io::sink()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_says_what_the_table_says() {
        for (outlook, ending, new, said) in [
            (Outlook::Weight(85), false, false, "up 85%\n"),
            (Outlook::Weight(85), false, true, "up ready 85%\n"),
            (Outlook::Weight(85), true, true, "drain\n"),
            (Outlook::Unknown, false, false, "up\n"),
            (Outlook::Unknown, false, true, "up ready\n"),
            (Outlook::Unknown, true, false, "drain\n"),
            (Outlook::Gone, false, true, "down # the process is gone\n"),
            (Outlook::Gone, true, false, "down # the process is gone\n"),
        ] {
            assert_eq!(line(outlook, ending, new), said, "{outlook:?} {ending} {new}");
        }
    }
}
