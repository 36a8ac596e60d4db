//! Bytes in both directions until both sides have ended, or nothing moves any more: after a `101 Switching Protocols`,
//! and of connections that are relayed as they are.
//!
//! An idle direction holds nothing: a buffer is taken when there is something to read. Where much comes at a time, the
//! kernel moves it from one socket to the other ([`pipe`]), which spares both copies; little is cheaper to copy.

pub(super) mod pipe;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::ioctl_fionread;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use self::pipe::Pipe;
use super::buffer::Buffer;
use super::deadline::Deadline;
use super::worker::Worker;

/// A direction in which so much came at once is bulky: splicing pays from about here on.
const BULKY: usize = 32 * 1024;

/// How many reads a direction stays bulky: answers of which the head comes by itself are large all the same.
const BULKY_READS: u8 = 8;

/// What went through a tunnel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Bytes from the client to the backend.
    pub up: u64,
    /// Bytes from the backend to the client.
    pub down: u64,
}

/// Why a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Both sides have ended their streams.
    Finished,
    /// The client's connection broke.
    ClientBroke,
    /// The backend's connection broke.
    BackendBroke,
    /// Nothing moved for too long.
    Idle,
    /// It was cut.
    Cut,
}

/// The two ends of a tunnel, and what it works with.
#[derive(Debug)]
pub struct Tunnel<'x> {
    /// The worker, for buffers and pipes.
    pub worker: &'x Worker,
    /// The deadline of the client's task.
    pub deadline: &'x Deadline,
    /// How long nothing may move.
    pub idle: Duration,
    /// The client's connection.
    pub client: &'x mut TcpStream,
    /// The backend's connection.
    pub backend: &'x mut TcpStream,
    /// Whether a stream that is broken off is to look so to the other side: its connection is reset.
    pub resets: bool,
}

/// Which connection of a direction broke.
enum Broken {
    /// The one that is read.
    From,
    /// The one that is written to.
    To,
}

impl Tunnel<'_> {
    /// Relays until both sides have ended their streams, one of them fails, nothing moves for too long, or `cut` is ready.
    ///
    /// `ahead` is what goes to the backend first. What moves is told to `moved` as it does. A side that ends its stream is
    /// passed on as the end of that direction alone, so that the other may finish.
    pub async fn run(
        self,
        ahead: Option<Buffer>,
        cut: impl Future<Output = ()>,
        mut moved: impl FnMut(Carried),
    ) -> (Carried, End) {
        let Self { worker, deadline, idle, client, backend, resets } = self;
        let mut up = Direction { held: ahead, ..Direction::default() };
        let mut down = Direction { unknown: true, ..Direction::default() };
        let mut cut = pin!(cut);
        let mut before = Carried::default();
        let mut finished = End::Finished;
        deadline.arm(idle);
        let end = poll_fn(|cx| {
            let first = up.poll(cx, worker, client, backend);
            let second = down.poll(cx, worker, backend, client);
            let after = Carried { up: up.carried, down: down.carried };
            if after != before {
                moved(Carried { up: after.up - before.up, down: after.down - before.down });
                before = after;
                deadline.arm(idle);
            }
            match (first, second) {
                (Err(Broken::From), _) | (_, Err(Broken::To)) => return Poll::Ready(End::ClientBroke),
                (_, Err(Broken::From)) => return Poll::Ready(End::BackendBroke),
                (Err(Broken::To), Ok(())) => {
                    // What it has sent before it broke is still to be read.
                    up.release(worker);
                    up.ended = true;
                    finished = End::BackendBroke;
                }
                (Ok(()), Ok(())) => {}
            }
            if up.ended && down.ended {
                return Poll::Ready(finished);
            }
            if cut.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::Cut);
            }
            deadline.poll_passed(cx).map(|()| End::Idle)
        })
        .await;
        // Who has been told the end of the stream has all of it, or will.
        for (direction, to) in [(&mut up, backend), (&mut down, client)] {
            direction.release(worker);
            if resets && !direction.ended {
                let _ = to.set_zero_linger();
            }
        }
        (before, end)
    }
}

#[derive(Debug, Default)]
struct Direction {
    held: Option<Buffer>,
    pipe: Option<Pipe>,
    /// For how many reads more it counts as bulky, so that they are spliced.
    bulky: u8,
    /// Whether the kernel is to be asked how much has come first: an answer may be large and the only one.
    unknown: bool,
    carried: u64,
    /// Whether the end of the stream was read, and passed on.
    ended: bool,
}

impl Direction {
    /// Moves what can be moved without waiting.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        from: &mut TcpStream,
        to: &mut TcpStream,
    ) -> Result<(), Broken> {
        match self.poll_all(cx, worker, from, to) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        }
    }

    fn poll_all(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        from: &mut TcpStream,
        to: &mut TcpStream,
    ) -> Poll<Result<(), Broken>> {
        while !self.ended {
            ready!(self.poll_flush(cx, worker, to))?;
            if self.unknown {
                ready!(from.poll_read_ready(cx)).map_err(|_| Broken::From)?;
                self.came(ioctl_fionread(&*from).map_or(0, |come| come as usize));
                self.unknown = false;
            }
            let count = if self.bulky > 0 {
                self.poll_splice(cx, worker, from)
            } else {
                self.poll_copy(cx, worker, from)
            };
            let count = ready!(count).map_err(|_| Broken::From)?;
            if count == 0 {
                self.release(worker);
                self.ended = true;
                // What cannot be told any more is not worth a word: the other direction finds out.
                let _ = ready!(Pin::new(&mut *to).poll_shutdown(cx));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what was read.
    fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        to: &mut TcpStream,
    ) -> Poll<Result<(), Broken>> {
        while let Some(buffer) = self.held.as_mut().filter(|buffer| !buffer.filled().is_empty()) {
            match ready!(Pin::new(&mut *to).poll_write(cx, buffer.filled())) {
                Ok(0) | Err(_) => return Poll::Ready(Err(Broken::To)),
                Ok(count) => {
                    buffer.consume(count);
                    self.carried += count as u64;
                }
            }
        }
        while let Some(pipe) = self.pipe.as_mut().filter(|pipe| !pipe.is_empty()) {
            match ready!(pipe.poll_drain(cx, to)) {
                Ok(0) | Err(_) => return Poll::Ready(Err(Broken::To)),
                Ok(count) => self.carried += count as u64,
            }
        }
        self.release(worker);
        Poll::Ready(Ok(()))
    }

    fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        from: &mut TcpStream,
    ) -> Poll<std::io::Result<usize>> {
        let (buffer, count) = ready!(worker.buffers.poll_read(cx, from))?;
        self.held = Some(buffer);
        self.came(count);
        Poll::Ready(Ok(count))
    }

    fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        from: &mut TcpStream,
    ) -> Poll<std::io::Result<usize>> {
        ready!(from.poll_read_ready(cx))?;
        let Ok(mut pipe) = worker.pipes.take() else {
            // There are enough, or no descriptors are left: it goes without.
            self.bulky = 0;
            return self.poll_copy(cx, worker, from);
        };
        match pipe.poll_fill(cx, from) {
            Poll::Ready(Ok(count)) => {
                self.pipe = Some(pipe);
                self.came(count);
                Poll::Ready(Ok(count))
            }
            other => {
                worker.pipes.put(pipe);
                other
            }
        }
    }

    /// Learns from how much came at once.
    fn came(&mut self, count: usize) {
        self.bulky = if count >= BULKY { BULKY_READS } else { self.bulky.saturating_sub(1) };
    }

    /// Gives back what it holds.
    fn release(&mut self, worker: &Worker) {
        if let Some(held) = self.held.take() {
            worker.buffers.put(held);
        }
        if let Some(pipe) = self.pipe.take() {
            worker.pipes.put(pipe);
        }
    }
}
