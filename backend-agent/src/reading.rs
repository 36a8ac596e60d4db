//! What one look at a target yields, and how two of them become a percentage.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use tokio::time::Instant;

/// Something whose CPU time can be read: the host, a container, a process with its descendants.
pub(crate) trait Target: Send {
    /// Returns what kind of target this is, for the label `source`.
    fn kind(&self) -> &'static str;

    /// Looks at the target once. It reads a few small files of the kernel and does not wait for anything.
    ///
    /// # Errors
    /// When the target is gone, or a file cannot be read or understood.
    fn read(&mut self) -> Result<Reading, ReadError>;
}

/// One look at a target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reading {
    /// The CPU time that the target has used since it began.
    pub(crate) cpu: Duration,
    /// How many cores the target could use at most; what 100 percent are.
    pub(crate) capacity_cores: f64,
    /// The memory that the target uses, in bytes; `None` when nobody counts it.
    pub(crate) memory_bytes: Option<u64>,
}

/// Why a look at a target yields nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The process has ended, or there never was one with this id.
    #[error("process {pid} is gone")]
    Gone {
        /// The id of the process.
        pid: u32,
    },
    /// A file of the kernel cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why it cannot be read.
        #[source]
        cause: io::Error,
    },
    /// A file of the kernel does not say what it should.
    #[error("{path} does not tell {what}")]
    Unclear {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
}

impl ReadError {
    /// Makes the error that `path` does not tell `what`.
    pub(crate) fn unclear(path: &Path, what: &'static str) -> Self {
        Self::Unclear { path: path.to_owned(), what }
    }
}

/// Reads a small file.
pub(crate) fn text(path: &Path) -> Result<String, ReadError> {
    fs::read_to_string(path).map_err(|cause| ReadError::Unreadable { path: path.to_owned(), cause })
}

/// Reads a small file that some kernels and some groups do not have: `None` when it does not exist.
pub(crate) fn text_if_any(path: &Path) -> Result<Option<String>, ReadError> {
    match text(path) {
        Ok(text) => Ok(Some(text)),
        Err(ReadError::Unreadable { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a percentage out of each reading and the one before.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    previous: Option<(Instant, Duration)>,
}

impl Meter {
    /// Returns how much of its capacity the target used since the reading before, from 0 to 100.
    ///
    /// `None` for the first reading, and when no time has passed or the CPU time went backwards, as it does when
    /// something else has taken the place of the target.
    pub(crate) fn percent(&mut self, now: Instant, reading: &Reading) -> Option<f64> {
        let (then, cpu_then) = self.previous.replace((now, reading.cpu))?;
        let elapsed = now.duration_since(then).as_secs_f64();
        let used = reading.cpu.checked_sub(cpu_then)?.as_secs_f64();
        let available = elapsed * reading.capacity_cores;
        // More than 100 happens: the kernel counts in steps, and a group may use up what it saved before.
        (available > 0.0).then(|| (100.0 * used / available).clamp(0.0, 100.0))
    }

    /// Forgets the last reading, so that the next one is a first one.
    pub(crate) fn clear(&mut self) {
        self.previous = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(cpu_ms: u64, capacity_cores: f64) -> Reading {
        Reading { cpu: Duration::from_millis(cpu_ms), capacity_cores, memory_bytes: None }
    }

    #[test]
    fn the_percentage_is_that_of_the_capacity() {
        let start = Instant::now();
        let mut meter = Meter::default();
        assert_eq!(meter.percent(start, &at(5_000, 4.0)), None, "one reading is no span");
        let second = start + Duration::from_secs(1);
        assert_eq!(meter.percent(second, &at(6_000, 4.0)), Some(25.0));
        let third = second + Duration::from_millis(500);
        assert_eq!(meter.percent(third, &at(6_250, 0.5)), Some(100.0));
    }

    #[test]
    fn what_cannot_be_is_no_percentage() {
        let start = Instant::now();
        let later = start + Duration::from_secs(1);
        let mut meter = Meter::default();
        meter.percent(start, &at(1_000, 1.0));
        assert_eq!(meter.percent(start, &at(1_100, 1.0)), None, "no time has passed");
        assert_eq!(meter.percent(later, &at(100, 1.0)), None, "CPU time went backwards");
        assert_eq!(meter.percent(later + Duration::from_secs(1), &at(9_000, 1.0)), Some(100.0));
        assert_eq!(meter.percent(later + Duration::from_secs(2), &at(9_001, 0.0)), None, "no capacity");
        meter.clear();
        assert_eq!(meter.percent(later + Duration::from_secs(3), &at(9_500, 1.0)), None);
    }
}
