//! After a `101 Switching Protocols`: bytes in both directions until both sides have ended, or nothing moves any more.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use super::buffer::{Buffer, Buffers};
use super::deadline::Deadline;

/// How long nothing may move in a tunnel.
pub const IDLE: Duration = Duration::from_secs(3600);

/// What went through a tunnel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Bytes from the client to the backend.
    pub up: u64,
    /// Bytes from the backend to the client.
    pub down: u64,
}

/// Relays until both sides have ended their stream, one of them fails, neither sends for [`IDLE`], or `cut` is ready.
///
/// `ahead` is what the client sent before the backend agreed. A side that ends its stream is passed on as the end of
/// that direction alone, so that the other may finish.
pub async fn run(
    client: &mut TcpStream,
    backend: &mut TcpStream,
    ahead: Option<Buffer>,
    buffers: &Buffers,
    deadline: &Deadline,
    cut: impl Future<Output = ()>,
) -> Carried {
    let mut up = Direction { held: ahead, ..Direction::default() };
    let mut down = Direction::default();
    let mut cut = pin!(cut);
    deadline.arm(IDLE);
    poll_fn(|cx| {
        let before = up.carried + down.carried;
        let first = up.poll(cx, buffers, client, backend);
        let second = down.poll(cx, buffers, backend, client);
        let over = first.is_err() || second.is_err() || (up.ended && down.ended);
        if over || cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if up.carried + down.carried != before {
            deadline.arm(IDLE);
        }
        deadline.poll_passed(cx)
    })
    .await;
    let carried = Carried { up: up.carried, down: down.carried };
    for held in [up.held, down.held].into_iter().flatten() {
        buffers.put(held);
    }
    carried
}

#[derive(Debug, Default)]
struct Direction {
    held: Option<Buffer>,
    carried: u64,
    ended: bool,
}

impl Direction {
    /// Moves what can be moved without waiting.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &Buffers,
        from: &mut TcpStream,
        to: &mut TcpStream,
    ) -> io::Result<()> {
        match self.poll_all(cx, buffers, from, to) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        }
    }

    fn poll_all(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &Buffers,
        from: &mut TcpStream,
        to: &mut TcpStream,
    ) -> Poll<io::Result<()>> {
        while !self.ended {
            while let Some(buffer) = self.held.as_mut().filter(|buffer| !buffer.filled().is_empty()) {
                let count = ready!(Pin::new(&mut *to).poll_write(cx, buffer.filled()))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                buffer.consume(count);
                self.carried += count as u64;
            }
            if let Some(empty) = self.held.take() {
                buffers.put(empty);
            }
            let (buffer, count) = ready!(buffers.poll_read(cx, from))?;
            if count == 0 {
                buffers.put(buffer);
                self.ended = true;
                ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
            } else {
                self.held = Some(buffer);
            }
        }
        Poll::Ready(Ok(()))
    }
}
