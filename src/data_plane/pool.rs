//! Idle connections of one worker to the backends, last in, first out.
//!
//! Per worker, so that taking and giving back needs no lock and a connection's socket stays registered with the runtime
//! that polls it. The last one given back is the warmest; the others age at the bottom until the sweep closes them.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::task::{Context, Waker};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::net::TcpStream;
use tokio::task::coop::unconstrained;
use tokio::time::Instant;

use crate::telemetry::{BackendShard, WorkerId};
use crate::upstream::Backend;

/// The idle connections of one worker, by backend.
#[derive(Debug)]
pub struct Pool {
    worker: WorkerId,
    shelves: RefCell<Vec<Shelf>>,
}

/// The idle connections to one backend.
#[derive(Debug, Default)]
struct Shelf {
    backend: Option<std::sync::Arc<Backend>>,
    idle: Vec<Idle>,
}

#[derive(Debug)]
struct Idle {
    stream: TcpStream,
    since: Instant,
}

impl Pool {
    /// Makes an empty pool for one worker.
    #[must_use]
    pub fn new(worker: WorkerId) -> Self {
        Self { worker, shelves: RefCell::default() }
    }

    /// Takes the connection to `backend` that was given back last, passing over those that the backend has closed.
    ///
    /// `None` when there is none. That a connection was closed is known from an event that the runtime has already
    /// seen: no system call is made. One that closes a moment later turns out stale when it is used. For a request that
    /// could not be sent again then, `ask_kernel` asks the kernel as well, at the price of a system call.
    #[must_use]
    pub fn take(&self, backend: &Backend, ask_kernel: bool) -> Option<TcpStream> {
        let mut shelves = self.shelves.borrow_mut();
        let shelf = shelves.get_mut(backend.id.index())?;
        let shard = backend.series.shard(self.worker);
        while let Some(mut idle) = shelf.idle.pop() {
            shard.connections_idle.dec();
            if is_silent(&mut idle.stream) && !(ask_kernel && has_input(&idle.stream)) {
                return Some(idle.stream);
            }
            shard.connections_stale.inc();
        }
        None
    }

    /// Gives back a connection on which the last exchange ended cleanly; closes it when `capacity` are idle already.
    pub fn put(&self, backend: &std::sync::Arc<Backend>, stream: TcpStream, now: Instant, capacity: usize) {
        let mut shelves = self.shelves.borrow_mut();
        let index = backend.id.index();
        if shelves.len() <= index {
            shelves.resize_with(index + 1, Shelf::default);
        }
        let shelf = &mut shelves[index];
        if shelf.idle.len() < capacity {
            shelf.backend.get_or_insert_with(|| std::sync::Arc::clone(backend));
            shelf.idle.push(Idle { stream, since: now });
            backend.series.shard(self.worker).connections_idle.inc();
        }
    }

    /// Closes connections that have been idle too long or that the backend has closed, and forgets backends that are no
    /// longer configured.
    pub fn sweep(&self, now: Instant) {
        for shelf in self.shelves.borrow_mut().iter_mut() {
            let Some(backend) = &shelf.backend else { continue };
            let retired = backend.is_retired();
            let patience: Duration = backend.idle_timeout();
            let before = shelf.idle.len();
            shelf.idle.retain_mut(|idle| {
                !retired && now.duration_since(idle.since) < patience && is_silent(&mut idle.stream)
            });
            closed(backend.series.shard(self.worker), before - shelf.idle.len());
            if shelf.idle.is_empty() {
                *shelf = Shelf::default();
            }
        }
    }
}

fn closed(shard: &BackendShard, count: usize) {
    for _ in 0..count {
        shard.connections_idle.dec();
    }
}

/// Whether nothing has arrived on an idle connection. Anything that did is its end, or an answer to no request; neither
/// may meet the next one.
///
/// Outside the task's budget: a task that has spent it would be told that nothing is ready, and take that for silence.
fn is_silent(stream: &mut TcpStream) -> bool {
    let ready = std::pin::pin!(unconstrained(poll_fn(|cx| stream.poll_read_ready(cx))));
    if ready.poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        return true;
    }
    // The event may have told of bytes that were read long ago: the kernel knows.
    !has_input(stream)
}

/// Asks the kernel whether bytes, the end of the stream or an error wait to be read.
fn has_input(stream: &TcpStream) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    !matches!(recv(stream, &mut [0_u8], flags), Err(Errno::AGAIN))
}
