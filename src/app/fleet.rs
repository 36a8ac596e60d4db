//! The worker threads: started together, commanded together, waited for together.

use std::io;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::AppError;
use super::sockets::Opening;
use crate::control_plane::admin::PastExchanges;
use crate::data_plane::commands::{self, Command};
use crate::data_plane::worker::Shared;
use crate::telemetry::WorkerId;

/// All workers of the process.
#[derive(Debug)]
pub(super) struct WorkerFleet {
    commands: Vec<mpsc::UnboundedSender<Command>>,
    /// Closed when the last worker has ended: each holds a receiver.
    alive: watch::Sender<()>,
}

impl WorkerFleet {
    /// Starts the threads and waits until each obeys; they accept nothing yet.
    ///
    /// # Errors
    /// When the system refuses a thread, or what a worker needs. Those that run end when the fleet is dropped.
    pub(super) async fn start(workers: usize, shared: &Shared) -> Result<Self, AppError> {
        let (alive, living) = watch::channel(());
        let mut commands = Vec::with_capacity(workers);
        let mut starting = Vec::with_capacity(workers);
        for index in 0..workers {
            let (sender, receiver) = mpsc::unbounded_channel();
            let (started, answer) = oneshot::channel();
            let (shared, living) = (shared.clone(), living.clone());
            let body = move || {
                commands::run(WorkerId(index), shared, receiver, started);
                drop(living);
            };
            std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(body)
                .map_err(|source| AppError::System { doing: "start a worker thread", source })?;
            commands.push(sender);
            starting.push(answer);
        }
        for (worker, answer) in starting.into_iter().enumerate() {
            answered(answer).await.map_err(|source| AppError::Worker { worker, source })?;
        }
        Ok(Self { commands, alive })
    }

    /// Returns the number of workers.
    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    /// Gives each worker its socket of each listener; returns what went wrong, nothing when all of them accept.
    pub(super) async fn open(&self, openings: Vec<Opening>) -> Vec<AppError> {
        let mut opening = Vec::new();
        for Opening { name, sockets } in openings {
            for ((worker, commands), socket) in self.commands.iter().enumerate().zip(sockets) {
                let (opened, answer) = oneshot::channel();
                // To a worker that has ended the answer fails.
                let _ = commands.send(Command::Listen { name: name.clone(), socket, opened });
                opening.push((name.clone(), worker, answer));
            }
        }
        let mut failures = Vec::new();
        for (listener, worker, answer) in opening {
            if let Err(source) = answered(answer).await {
                failures.push(AppError::Accept { listener, worker, source });
            }
        }
        failures
    }

    /// Stops accepting for these listeners.
    pub(super) fn close(&self, names: &[Box<str>]) {
        for name in names {
            self.command(|| Command::Close(name.clone()));
        }
    }

    /// Ends each connection after its next exchange, and still takes new ones.
    pub(super) fn last_exchanges(&self) {
        self.command(|| Command::LastExchanges);
    }

    /// Stops accepting, and ends each worker after its last exchange.
    pub(super) fn drain(&self) {
        self.command(|| Command::Drain);
    }

    /// Ends each worker now.
    pub(super) fn stop(&self) {
        self.command(|| Command::Stop);
    }

    /// Waits until every worker has ended. Cancel safe.
    pub(super) async fn ended(&self) {
        self.alive.closed().await;
    }

    /// Returns a way to ask the workers what they remember of their latest exchanges: one answer from each, in their order.
    /// It does not keep a worker that nobody commands any more from ending.
    pub(super) fn past_exchanges(&self) -> PastExchanges {
        let workers: Vec<_> = self.commands.iter().map(mpsc::UnboundedSender::downgrade).collect();
        Arc::new(move || {
            let ask = |worker: &mpsc::WeakUnboundedSender<Command>| {
                let (asker, answer) = oneshot::channel();
                // For a worker that has ended the answer fails.
                let _ = worker.upgrade().map(|commands| commands.send(Command::Decisions(asker)));
                answer
            };
            workers.iter().map(ask).collect()
        })
    }

    fn command(&self, command: impl Fn() -> Command) {
        for worker in &self.commands {
            // A worker that has ended needs no command.
            let _ = worker.send(command());
        }
    }
}

async fn answered(answer: oneshot::Receiver<io::Result<()>>) -> io::Result<()> {
    answer.await.unwrap_or_else(|_ended| Err(io::Error::other("its thread has ended")))
}
