//! The lines of one worker on their way to the log.
//!
//! A line by itself would cost an allocation, a place in the queue, mostly a wake-up of the writer, and a system call:
//! more than the line is worth. So a worker hands over many at once.

use std::sync::Arc;

use super::stamp::Stamp;
use super::{AccessLog, Entry};

/// Lines are handed over when they are this many bytes: a hundred or more, so that what it costs to wake the writer does
/// not matter.
pub(super) const FULL: usize = 64 * 1024;

/// Whole lines that are written together.
#[derive(Debug)]
pub(super) struct Batch {
    /// The lines, each with its newline and no other.
    pub(super) text: Box<[u8]>,
    /// How many they are.
    pub(super) lines: u64,
}

/// Where a worker writes its lines. What it holds is handed over when it is dropped.
#[derive(Debug, Default)]
pub struct LogBatch {
    /// Whose lines these are; `None` while there are none, so that a log that was replaced can end.
    log: Option<Arc<AccessLog>>,
    text: Vec<u8>,
    lines: u64,
    stamp: Stamp,
}

impl LogBatch {
    /// Adds one line for `log`, and hands over what is full. Never blocks.
    pub fn write(&mut self, log: &Arc<AccessLog>, entry: &Entry<'_>) {
        let Some(running) = &log.0 else { return };
        if !self.log.as_ref().is_some_and(|known| Arc::ptr_eq(known, log)) {
            // Another configuration is in force: what was written under the old one goes where it was to go.
            self.hand_over();
            self.log = Some(Arc::clone(log));
            self.stamp = Stamp::default();
        }
        running.format.write(entry, &mut self.stamp, &mut self.text);
        self.lines += 1;
        if self.text.len() >= FULL {
            self.hand_over();
        }
    }

    /// Hands over what there is; cheap when there is nothing.
    pub fn hand_over(&mut self) {
        let Some(log) = self.log.take() else { return };
        // A copy, so that a few lines take no more room in the queue than they need, and this buffer stays in the cache.
        log.take(Batch { text: self.text.as_slice().into(), lines: std::mem::take(&mut self.lines) });
        self.text.clear();
    }
}

impl Drop for LogBatch {
    fn drop(&mut self) {
        self.hand_over();
    }
}
