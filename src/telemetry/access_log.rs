//! The access log: one JSON line for each exchange, or for a sample of them, with the time of every stage.
//!
//! It **never blocks a worker**: lines go through a bounded queue to a thread of their own. When the target (a full
//! disk, a stopped terminal) cannot keep up, lines are dropped and counted in `plimsoll_access_log_dropped_total`;
//! traffic goes on.

mod entry;
mod text;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::time::Duration;

pub use entry::{Entry, LoggedTry, Timings};

use super::Telemetry;
use writer::{Message, Opened};

/// Lines that may wait for the writer: enough for a disk that stops for a moment at full load.
const QUEUE: usize = 4096;

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file; lines are appended, and it is made if it does not exist.
    File(PathBuf),
}

/// Why an access log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum AccessLogError {
    /// The file cannot be appended to.
    #[error("cannot open the access log {}: {source}; check that its directory exists and is writable", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The writer's thread cannot be started.
    #[error("cannot start the access log's thread: {0}; check the limit of threads")]
    Thread(std::io::Error),
}

/// The way into the access log; shared by all workers.
#[derive(Debug)]
pub struct AccessLog(Option<Running>);

#[derive(Debug)]
struct Running {
    share: f64,
    queue: SyncSender<Message>,
    reopen: Arc<AtomicBool>,
    telemetry: Arc<Telemetry>,
}

impl AccessLog {
    /// Makes an access log that wants nothing and writes nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// Starts an access log that takes this share of the exchanges (1 for all), and every failed one.
    ///
    /// # Errors
    /// When the target cannot be opened, or the thread cannot be started.
    pub fn to(target: LogTarget, share: f64, telemetry: &Arc<Telemetry>) -> Result<Self, AccessLogError> {
        Self::start(Opened::open(target)?, share, QUEUE, telemetry)
    }

    fn start(
        target: Opened,
        share: f64,
        capacity: usize,
        telemetry: &Arc<Telemetry>,
    ) -> Result<Self, AccessLogError> {
        let (queue, lines) = mpsc::sync_channel(capacity);
        let reopen = Arc::new(AtomicBool::new(false));
        let writer = writer::Writer::new(target, Arc::clone(&reopen), Arc::clone(telemetry));
        std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || writer.run(&lines))
            .map_err(AccessLogError::Thread)?;
        Ok(Self(Some(Running { share, queue, reopen, telemetry: Arc::clone(telemetry) })))
    }

    /// Says whether the exchange that has just ended is to be written; cheap. Asked once per exchange: of those that
    /// did not fail each is taken with the same probability, so a sample is fair for any pattern of traffic.
    ///
    /// ```
    /// assert!(!plimsoll::telemetry::AccessLog::off().wants(true));
    /// ```
    pub fn wants(&self, failed: bool) -> bool {
        let Some(running) = &self.0 else { return false };
        failed || running.share >= 1.0 || fastrand::f64() < running.share
    }

    /// Writes one line, or drops and counts it when the queue is full. Never blocks.
    pub fn write(&self, entry: &Entry<'_>) {
        let Some(running) = &self.0 else { return };
        if running.queue.try_send(Message::Line(entry.to_line())).is_err() {
            running.telemetry.process().access_log_dropped.inc();
        }
    }

    /// Opens the file anew before the next line, for a log that was moved away by rotation; without effect on other
    /// targets. When it cannot be opened, the old one stays in use.
    pub fn reopen(&self) {
        let Some(running) = &self.0 else { return };
        running.reopen.store(true, Ordering::Release);
        // Wakes an idle writer; a busy one, whose queue is full, looks at the flag by itself.
        let _ = running.queue.try_send(Message::Wake);
    }

    /// Waits until everything written so far has reached the target, at most `patience`; returns whether it has.
    ///
    /// Blocks the calling thread: for the end of the process, after the workers have ended.
    pub fn flush(&self, patience: Duration) -> bool {
        /// How long a full queue is left alone before the next try.
        const PAUSE: Duration = Duration::from_millis(1);
        let Some(running) = &self.0 else { return true };
        let (done, is_done) = mpsc::channel();
        let mut message = Message::Flush(done);
        let mut left = patience;
        while let Err(refused) = running.queue.try_send(message) {
            let (TrySendError::Full(same), false) = (refused, left.is_zero()) else { return false };
            message = same;
            std::thread::park_timeout(PAUSE);
            left = left.saturating_sub(PAUSE);
        }
        is_done.recv_timeout(left).is_ok()
    }
}

#[cfg(test)]
mod tests;
