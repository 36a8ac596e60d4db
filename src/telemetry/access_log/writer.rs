//! The thread behind the access log: takes batches of lines from the queue and brings them to their target.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError};

use rustix::fs::OFlags;

use super::batch::Batch;
use super::{AccessLogError, LogTarget, syslog};
use crate::telemetry::Telemetry;

/// What is asked of the writer.
#[derive(Debug)]
pub(super) enum Message {
    /// Write these lines.
    Batch(Batch),
    /// Answer when everything before has reached the target.
    Flush(Sender<()>),
}

/// What is asked of the writer whether its queue is full or not. It is woken after each.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    reopen: AtomicBool,
    end: AtomicBool,
}

impl Wishes {
    /// Asks for the target to be opened anew.
    pub(super) fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
    }

    /// Asks it to end after what is in the queue; nothing may be put there any more.
    pub(super) fn end(&self) {
        self.end.store(true, Ordering::Release);
    }
}

/// A target that is ready to be written to.
pub(super) enum Opened {
    /// A file, a terminal or a pipe.
    Stream(Stream),
    /// A syslog daemon.
    Syslog(syslog::Sender),
}

/// Where lines go one after the other.
pub(super) struct Stream {
    out: Box<dyn Write + Send>,
    /// Set for one that can be opened anew.
    path: Option<PathBuf>,
    /// Whether the last line has no end: the target took a part of it only.
    is_torn: bool,
}

impl Opened {
    /// Opens a target.
    pub(super) fn open(target: LogTarget) -> Result<Self, AccessLogError> {
        match target {
            LogTarget::Stdout => Ok(Self::stream(io::stdout(), None)),
            LogTarget::Stderr => Ok(Self::stream(io::stderr(), None)),
            LogTarget::File(path) => match append_to(&path) {
                Ok(file) => Ok(Self::stream(file, Some(path))),
                Err(source) => Err(AccessLogError::Open { path, source }),
            },
            LogTarget::Syslog(syslog) => Ok(Self::Syslog(syslog::Sender::new(syslog))),
        }
    }

    /// Makes a target of whatever can be written to.
    pub(super) fn stream(out: impl Write + Send + 'static, path: Option<PathBuf>) -> Self {
        Self::Stream(Stream { out: Box::new(out), path, is_torn: false })
    }

    /// Writes whole lines; returns how many of them are there, and why not all of them.
    fn write(&mut self, batch: &Batch) -> (u64, Option<io::Error>) {
        match self {
            Self::Stream(stream) => stream.write(batch),
            Self::Syslog(sender) => sender.send(&batch.text),
        }
    }

    fn reopen(&mut self) {
        match self {
            Self::Stream(stream) => stream.reopen(),
            Self::Syslog(sender) => sender.reopen(),
        }
    }
}

impl Stream {
    fn write(&mut self, batch: &Batch) -> (u64, Option<io::Error>) {
        let mut rest = &*batch.text;
        let result = self.end_torn_line().and_then(|()| {
            while !rest.is_empty() {
                match self.out.write(rest) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => rest = &rest[count..],
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            self.out.flush()
        });
        if rest.is_empty() {
            return (batch.lines, result.err());
        }
        let written = &batch.text[..batch.text.len() - rest.len()];
        self.is_torn |= !matches!(written.last(), None | Some(b'\n'));
        (memchr::memchr_iter(b'\n', written).count() as u64, result.err())
    }

    /// Ends a line that a full disk has cut, so that it does not become a part of the next one.
    fn end_torn_line(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.out.write_all(b"\n")?;
            self.is_torn = false;
        }
        Ok(())
    }

    fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match append_to(path) {
            Ok(file) => {
                self.out = Box::new(file);
                self.is_torn = false;
            }
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "cannot reopen the access log; keeping the old file");
            }
        }
    }
}

/// Opens a file without waiting: for a pipe that nobody reads the system would wait for somebody, and we with it.
fn append_to(path: &Path) -> io::Result<File> {
    let options =
        OpenOptions::new().create(true).append(true).custom_flags(OFlags::NONBLOCK.bits() as i32).to_owned();
    let file = options.open(path)?;
    // Writing has a thread of its own, which may wait.
    rustix::fs::fcntl_setfl(&file, rustix::fs::fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

/// Writes until it is to end.
pub(super) struct Writer {
    target: Opened,
    wishes: Arc<Wishes>,
    telemetry: Arc<Telemetry>,
    /// How many lines had been lost before the target began to fail; `None` while it takes them.
    lost_before: Option<u64>,
}

impl Writer {
    pub(super) fn new(target: Opened, wishes: Arc<Wishes>, telemetry: Arc<Telemetry>) -> Self {
        Self { target, wishes, telemetry, lost_before: None }
    }

    pub(super) fn run(mut self, queue: &Receiver<Message>) {
        loop {
            // Read before the queue is, so that what was put there before the end is written.
            let is_last = self.wishes.end.load(Ordering::Acquire);
            if self.wishes.reopen.swap(false, Ordering::Acquire) {
                self.target.reopen();
            }
            match queue.try_recv() {
                Ok(Message::Batch(batch)) => self.write(&batch),
                // Whoever asked may have run out of patience.
                Ok(Message::Flush(done)) => drop(done.send(())),
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) if is_last => return,
                // Returns at once when somebody has woken it since it last slept.
                Err(TryRecvError::Empty) => std::thread::park(),
            }
        }
    }

    fn write(&mut self, batch: &Batch) {
        let (written, failure) = self.target.write(batch);
        let process = self.telemetry.process();
        let lost_before = process.access_log_dropped.get();
        process.access_log_lines.add(written);
        process.access_log_dropped.add(batch.lines - written);
        match (failure, self.lost_before) {
            (Some(error), None) => {
                self.lost_before = Some(lost_before);
                tracing::warn!(%error, "cannot write the access log; its lines are lost until it works again");
            }
            (None, Some(before)) => {
                self.lost_before = None;
                let lost = lost_before - before;
                tracing::info!(lost, "the access log is written again");
            }
            _ => {}
        }
    }
}
