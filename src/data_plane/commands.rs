//! The life of a worker: a thread with a runtime of its own that opens and closes listeners as it is told, until it has
//! drained.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::deadline::TICK;
use super::listener;
use super::worker::{Shared, Worker};
use crate::telemetry::{PastExchange, WorkerId};

/// Idle connections are looked at once in so many ticks.
const POOL_SWEEP_TICKS: u32 = 4;

/// What the control path asks of a worker.
#[derive(Debug)]
pub enum Command {
    /// Accept connections for a listener.
    Listen {
        /// The listener's name.
        name: Box<str>,
        /// Where to accept.
        socket: std::net::TcpListener,
        /// Is told whether connections are accepted now.
        opened: oneshot::Sender<io::Result<()>>,
    },
    /// Stop accepting for this listener; its open connections end after their exchange.
    Close(Box<str>),
    /// Tell what is remembered of the latest exchanges.
    Decisions(oneshot::Sender<Vec<Arc<PastExchange>>>),
    /// Go on accepting, but end each connection after its next exchange.
    LastExchanges,
    /// Stop accepting, end idle connections, let exchanges finish.
    Drain,
    /// Cut what is left; each exchange is recorded as interrupted.
    Stop,
}

/// Runs a worker on this thread until it has drained; blocks.
///
/// `started` is told when it obeys, or why it cannot: its runtime cannot be made (out of descriptors).
pub fn run(
    id: WorkerId,
    shared: Shared,
    commands: mpsc::UnboundedReceiver<Command>,
    started: oneshot::Sender<io::Result<()>>,
) {
    let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => return drop(started.send(Err(error))),
    };
    runtime.block_on(async {
        let worker = Rc::new(Worker::new(id, shared));
        worker.shared.telemetry.process().worker_started(id);
        // Nobody may be waiting any more: then nobody is left to command either, and it ends.
        let _ = started.send(Ok(()));
        obey(&worker, commands).await;
    });
}

/// Carries out commands until the worker has drained or is stopped, or nobody is left to command.
async fn obey(worker: &Rc<Worker>, mut commands: mpsc::UnboundedReceiver<Command>) {
    let sweeper = tokio::task::spawn_local(sweep(Rc::clone(worker)));
    let alarmed = tokio::task::spawn_local(pass_on_alarms(Rc::clone(worker)));
    let mut open: Vec<(Box<str>, listener::Closer)> = Vec::new();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Listen { name, socket, opened } => {
                let closer = listener::open(worker, &name, socket);
                let _ = opened.send(closer.map(|closer| open.push((name, closer))));
            }
            Command::Close(name) => open.retain(|(known, _)| *known != name),
            Command::Decisions(asker) => tell(worker, asker),
            Command::LastExchanges => worker.last_exchanges(),
            Command::Drain => break,
            Command::Stop => return,
        }
    }
    open.clear();
    worker.drain();
    loop {
        tokio::select! {
            () = worker.let_go() => break,
            command = commands.recv() => match command {
                Some(Command::Decisions(asker)) => tell(worker, asker),
                Some(Command::LastExchanges | Command::Drain) => {}
                _ => break,
            },
        }
    }
    sweeper.abort();
    alarmed.abort();
}

fn tell(worker: &Worker, asker: oneshot::Sender<Vec<Arc<PastExchange>>>) {
    // Whoever asked may have run out of patience.
    let _ = asker.send(worker.decisions.borrow().to_vec());
}

/// Wakes the worker's connections after each alarm of a backend, so that those which wait for it look at it.
async fn pass_on_alarms(worker: Rc<Worker>) {
    let mut alarms = worker.shared.alarms.subscribe();
    while alarms.changed().await.is_ok() {
        worker.deadlines.wake_all();
    }
}

async fn sweep(worker: Rc<Worker>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut count = 0_u32;
    loop {
        ticks.tick().await;
        worker.deadlines.tick();
        worker.log_batch.borrow_mut().hand_over();
        count = count.wrapping_add(1);
        if count.is_multiple_of(POOL_SWEEP_TICKS) {
            worker.pool.sweep(Instant::now());
        }
    }
}
