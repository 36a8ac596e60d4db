//! The access log: one line for each exchange, or for a sample of them, with the time of every stage.
//!
//! It **never blocks a worker**. A worker writes its lines into a [`LogBatch`] of its own and hands it over when it is
//! full, or after a quarter of a second; batches go through a bounded queue to a thread of the log. When the target (a
//! full disk, a stopped terminal, a syslog daemon that is away) cannot keep up, lines are dropped and counted in
//! `plimsoll_access_log_dropped_total`; traffic goes on.
//!
//! Bytes from the network are escaped in every format, so that whatever a client sends, one exchange is one line, and
//! each field ends where it seems to.

mod batch;
mod entry;
mod fields;
mod httplog;
mod json;
mod logfmt;
mod stamp;
mod syslog;
mod termination;
mod text;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread::Thread;
use std::time::Duration;

pub use batch::LogBatch;
pub use entry::{Entry, Load, LoggedTry, RELAYED, Timings};
pub use syslog::{Syslog, SyslogAddress};

use self::batch::Batch;
use self::stamp::Stamp;
use self::writer::{Message, Opened, Wishes};
use super::Telemetry;
use super::hand_over::hand_over;

/// Batches that may wait for the writer, each of at most [`batch::FULL`] bytes and a line: 8 MiB, enough for a disk that
/// stops for a moment at full load.
const QUEUE: usize = 128;

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file; lines are appended, and it is made if it does not exist.
    File(PathBuf),
    /// A syslog daemon, one message for each line.
    Syslog(Syslog),
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// One JSON object, always with the same fields.
    Json,
    /// `key=value` pairs, without those that are absent.
    Logfmt,
    /// The line of HAProxy's `option httplog`.
    Httplog,
}

impl LineFormat {
    /// Appends an entry as one line, newline included.
    fn write(self, entry: &Entry<'_>, stamp: &mut Stamp, out: &mut Vec<u8>) {
        match self {
            Self::Json => json::line(entry, stamp, out),
            Self::Logfmt => logfmt::line(entry, stamp, out),
            Self::Httplog => httplog::line(entry, stamp, out),
        }
        out.push(b'\n');
    }
}

/// What is written, how and where to.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLogSettings {
    /// Where lines go.
    pub target: LogTarget,
    /// How a line looks.
    pub format: LineFormat,
    /// The share of the exchanges that is written, 1 for all; every failed one is.
    pub share: f64,
    /// Whether connections on which nothing came have a line as well.
    pub nulls: bool,
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
    format: LineFormat,
    nulls: bool,
    queue: SyncSender<Message>,
    wishes: Arc<Wishes>,
    /// To be woken after something was put into the queue. Not by the queue itself, whose receiver looks for a while
    /// before it sleeps: time that a worker on the same core wants.
    writer: Thread,
    telemetry: Arc<Telemetry>,
}

impl AccessLog {
    /// Makes an access log that wants nothing and writes nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// Starts an access log. A syslog daemon need not be there: its lines are lost and counted until it is.
    ///
    /// # Errors
    /// When the file cannot be opened, or the thread cannot be started.
    pub fn start(settings: AccessLogSettings, telemetry: &Arc<Telemetry>) -> Result<Self, AccessLogError> {
        let AccessLogSettings { target, format, share, nulls } = settings;
        Self::begin(Opened::open(target)?, (share, format, nulls), QUEUE, telemetry)
    }

    fn begin(
        target: Opened,
        (share, format, nulls): (f64, LineFormat, bool),
        capacity: usize,
        telemetry: &Arc<Telemetry>,
    ) -> Result<Self, AccessLogError> {
        let (queue, messages) = mpsc::sync_channel(capacity);
        let wishes = Arc::<Wishes>::default();
        let writer = writer::Writer::new(target, Arc::clone(&wishes), Arc::clone(telemetry));
        let thread = std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || writer.run(&messages))
            .map_err(AccessLogError::Thread)?;
        let (writer, telemetry) = (thread.thread().clone(), Arc::clone(telemetry));
        Ok(Self(Some(Running { share, format, nulls, queue, wishes, writer, telemetry })))
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

    /// Says whether connections on which nothing came are to be written.
    pub fn wants_nulls(&self) -> bool {
        self.0.as_ref().is_some_and(|running| running.nulls)
    }

    /// Says whether its lines tell the load of the moment: [`Entry::load`], which is not for nothing.
    pub fn tells_load(&self) -> bool {
        self.0.as_ref().is_some_and(|running| running.format == LineFormat::Httplog)
    }

    /// Takes a batch, or drops it and counts its lines when the queue is full. Never blocks.
    fn take(&self, batch: Batch) {
        let Some(running) = &self.0 else { return };
        let lines = batch.lines;
        if running.queue.try_send(Message::Batch(batch)).is_err() {
            running.telemetry.process().access_log_dropped.add(lines);
        }
        running.writer.unpark();
    }

    /// Opens the file anew before the next line, for a log that was moved away by rotation; with syslog, looks the host up
    /// and connects anew; without effect on other targets. When the file cannot be opened, the old one stays in use.
    pub fn reopen(&self) {
        let Some(running) = &self.0 else { return };
        running.wishes.reopen();
        running.writer.unpark();
    }

    /// Waits until everything handed over so far has reached the target, at most `patience`; returns whether it has.
    ///
    /// Blocks the calling thread: for the end of the process, after the workers have ended.
    pub fn flush(&self, patience: Duration) -> bool {
        let Some(running) = &self.0 else { return true };
        let (done, is_done) = mpsc::channel();
        let try_send = |message| {
            running.queue.try_send(message).map_err(|refused| match refused {
                TrySendError::Full(message) => Some(message),
                TrySendError::Disconnected(_) => None,
            })
        };
        let Some(left) = hand_over(Message::Flush(done), patience, try_send) else { return false };
        running.writer.unpark();
        is_done.recv_timeout(left).is_ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.wishes.end();
        self.writer.unpark();
    }
}

#[cfg(test)]
mod tests;
