//! The thread behind the access log: takes lines from the queue and writes them in as few calls as it can.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};

use super::{AccessLogError, LogTarget};
use crate::telemetry::Telemetry;

/// What is asked of the writer.
#[derive(Debug)]
pub(super) enum Message {
    /// Write this line, newline included.
    Line(Vec<u8>),
    /// Answer when everything before has reached the target.
    Flush(Sender<()>),
    /// Look at the flag.
    Wake,
}

/// A target that is ready to be written to.
pub(super) struct Opened {
    pub(super) out: Box<dyn Write + Send>,
    /// Set for a target that can be opened anew.
    pub(super) path: Option<PathBuf>,
}

impl Opened {
    /// Opens a target.
    pub(super) fn open(target: LogTarget) -> Result<Self, AccessLogError> {
        match target {
            LogTarget::Stdout => Ok(Self { out: Box::new(io::stdout()), path: None }),
            LogTarget::Stderr => Ok(Self { out: Box::new(io::stderr()), path: None }),
            LogTarget::File(path) => match append_to(&path) {
                Ok(file) => Ok(Self { out: Box::new(file), path: Some(path) }),
                Err(source) => Err(AccessLogError::Open { path, source }),
            },
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Writes until the last sender is gone.
pub(super) struct Writer {
    target: Opened,
    reopen: Arc<AtomicBool>,
    telemetry: Arc<Telemetry>,
    /// Whole lines that wait to be written together.
    buffer: Vec<u8>,
    lines: u64,
    failing: bool,
}

impl Writer {
    /// Lines are written together up to this many bytes.
    const BUFFER: usize = 64 * 1024;

    pub(super) fn new(target: Opened, reopen: Arc<AtomicBool>, telemetry: Arc<Telemetry>) -> Self {
        Self { target, reopen, telemetry, buffer: Vec::with_capacity(Self::BUFFER), lines: 0, failing: false }
    }

    /// Takes what is there, writes it together, and waits for more.
    pub(super) fn run(mut self, queue: &Receiver<Message>) {
        while let Ok(first) = queue.recv() {
            self.take(first);
            while let Ok(next) = queue.try_recv() {
                self.take(next);
            }
            self.write_out();
        }
    }

    fn take(&mut self, message: Message) {
        if self.reopen.swap(false, Ordering::Acquire) {
            self.write_out();
            self.open_anew();
        }
        match message {
            Message::Line(line) => {
                if self.buffer.len() + line.len() > Self::BUFFER {
                    self.write_out();
                }
                self.buffer.extend_from_slice(&line);
                self.lines += 1;
            }
            Message::Flush(done) => {
                self.write_out();
                // Whoever asked may have run out of patience.
                let _ = done.send(());
            }
            Message::Wake => {}
        }
    }

    fn write_out(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        if lines == 0 {
            return;
        }
        let written = self.target.out.write_all(&self.buffer).and_then(|()| self.target.out.flush());
        self.buffer.clear();
        match written {
            Ok(()) => {
                self.telemetry.process().access_log_lines.add(lines);
                self.failing = false;
            }
            Err(error) => {
                self.telemetry.process().access_log_dropped.add(lines);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(%error, "cannot write the access log; dropping lines until it works again");
                }
            }
        }
    }

    fn open_anew(&mut self) {
        let Some(path) = &self.target.path else { return };
        match append_to(path) {
            Ok(file) => self.target.out = Box::new(file),
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "cannot reopen the access log; keeping the old file");
            }
        }
    }
}
