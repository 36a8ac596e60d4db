//! What the tasks of one worker share: buffers, idle connections, deadlines, the configuration, its part of the metrics.
//!
//! A worker is one thread. Nothing on the way of a request is locked, because nothing on it is shared with another.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

use super::buffer::Buffers;
use super::deadline::Deadlines;
use super::pool::Pool;
use super::snapshot::{Snapshot, SnapshotReader};
use super::tunnel::pipe::Pipes;
use crate::telemetry::{AccessLog, Decisions, LogBatch, SharedTraces, Telemetry, WorkerId};

/// What a worker shares with the rest of the process.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The published snapshot.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// All series.
    pub telemetry: Arc<Telemetry>,
    /// Where lines of the access log go.
    pub access_log: Arc<ArcSwap<AccessLog>>,
    /// Where traces go.
    pub traces: SharedTraces,
    /// Wakes who waits for a backend, after its [alarm](crate::upstream::Backend::raise_alarm) was raised.
    pub alarms: Arc<watch::Sender<()>>,
}

/// The state that the tasks of one worker share.
#[derive(Debug)]
pub struct Worker {
    /// Which worker this is.
    pub id: WorkerId,
    /// Free buffers.
    pub buffers: Buffers,
    /// Free pipes.
    pub pipes: Pipes,
    /// Deadlines of all its connections.
    pub deadlines: Rc<Deadlines>,
    /// Idle connections to backends.
    pub pool: Pool,
    /// The configuration.
    pub snapshot: SnapshotReader,
    /// What it remembers of its latest exchanges.
    pub decisions: RefCell<Decisions>,
    /// Its lines for the access log that were not handed over yet.
    pub log_batch: RefCell<LogBatch>,
    /// Randomness for balancing and request ids.
    pub rng: RefCell<fastrand::Rng>,
    /// What it shares with the rest of the process.
    pub shared: Shared,
    last_exchanges: Cell<bool>,
    draining: Cell<bool>,
    held: Cell<usize>,
    released: Notify,
}

impl Worker {
    /// Makes the state of one worker; it serves nothing yet.
    #[must_use]
    pub fn new(id: WorkerId, shared: Shared) -> Self {
        Self {
            id,
            buffers: Buffers::default(),
            pipes: Pipes::default(),
            deadlines: Rc::default(),
            pool: Pool::new(id),
            snapshot: SnapshotReader::new(Arc::clone(&shared.snapshot)),
            decisions: RefCell::default(),
            log_batch: RefCell::default(),
            rng: RefCell::new(fastrand::Rng::new()),
            shared,
            last_exchanges: Cell::new(false),
            draining: Cell::new(false),
            held: Cell::new(0),
            released: Notify::new(),
        }
    }

    /// Returns whether a request that begins now is the last of its connection.
    #[must_use]
    pub fn is_last_exchange(&self) -> bool {
        self.last_exchanges.get()
    }

    /// Returns whether idle connections are to end.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Returns the access log.
    #[must_use]
    pub fn access_log(&self) -> arc_swap::Guard<Arc<AccessLog>> {
        self.shared.access_log.load()
    }

    /// Keeps the worker from ending, for as long as the value lives.
    #[must_use]
    pub fn hold(self: &Rc<Self>) -> Hold {
        self.held.set(self.held.get() + 1);
        Hold { worker: Rc::clone(self) }
    }

    /// Ends each connection after its next exchange. Idle ones stay: a request may be on its way.
    pub fn last_exchanges(&self) {
        self.last_exchanges.set(true);
    }

    /// Ends idle connections now and the others after their exchange.
    pub fn drain(&self) {
        self.last_exchanges.set(true);
        self.draining.set(true);
        self.deadlines.wake_all();
    }

    /// Waits until nothing is [held](Worker::hold) any more. Cancel safe.
    pub async fn let_go(&self) {
        while self.held.get() > 0 {
            self.released.notified().await;
        }
    }
}

/// Something that a worker must not end before: an open connection, a listener with connections in the kernel's queue.
#[derive(Debug)]
pub struct Hold {
    worker: Rc<Worker>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let left = self.worker.held.get() - 1;
        self.worker.held.set(left);
        if left == 0 {
            self.worker.released.notify_one();
        }
    }
}
