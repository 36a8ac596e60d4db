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

/// One look at a target. What is `None` is counted by nobody.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// The CPU time that the target has used since it began.
    pub(crate) cpu: Duration,
    /// How many cores the target could use at most; what 100 percent are.
    pub(crate) capacity_cores: f64,
    /// The CPU time that the target has used on each core, by the core's number; empty when nobody counts it.
    pub(crate) cores: Vec<(u32, Duration)>,
    /// The memory that the target uses, in bytes, without what could be freed at once.
    pub(crate) memory_bytes: Option<u64>,
    /// The most memory that the target can use, in bytes.
    pub(crate) memory_limit_bytes: Option<u64>,
    /// What went over the network since the target began.
    pub(crate) network: Option<Traffic>,
    /// What went from and to disks since the target began.
    pub(crate) disk: Option<Traffic>,
    /// The load averages of the machine over 1, 5 and 15 minutes, whatever the target.
    pub(crate) load: Option<[f64; 3]>,
}

/// Bytes that came in and went out: received and sent, read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) inward: u64,
    pub(crate) outward: u64,
}

impl Traffic {
    /// Returns the traffic since `before`; none in a direction that went backwards, as it does when an interface is
    /// taken away.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            inward: self.inward.saturating_sub(before.inward),
            outward: self.outward.saturating_sub(before.outward),
        }
    }
}

impl std::ops::Add for Traffic {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            inward: self.inward.saturating_add(other.inward),
            outward: self.outward.saturating_add(other.outward),
        }
    }
}

impl std::iter::Sum for Traffic {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| sum + one)
    }
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

/// How busy a target was between two looks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Usage {
    /// How much of its capacity it used, from 0 to 100.
    pub(crate) percent: f64,
    /// How much of each core it used, from 0 to 100, by the core's number.
    pub(crate) cores: Vec<(u32, f64)>,
}

/// Makes percentages out of each reading and the one before.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    previous: Option<(Instant, Reading)>,
}

impl Meter {
    /// Returns how busy the target was since the reading before.
    ///
    /// `None` for the first reading, and when no time has passed or the CPU time went backwards, as it does when
    /// something else has taken the place of the target.
    pub(crate) fn usage(&mut self, now: Instant, reading: &Reading) -> Option<Usage> {
        let (then, before) = self.previous.replace((now, reading.clone()))?;
        let elapsed = now.duration_since(then).as_secs_f64();
        let percent = percent(reading.cpu.checked_sub(before.cpu)?, elapsed * reading.capacity_cores)?;
        let core = |(number, cpu): &(u32, Duration)| {
            let (_, cpu_before) = before.cores.iter().find(|(before, _)| before == number)?;
            Some((*number, self::percent(cpu.checked_sub(*cpu_before)?, elapsed)?))
        };
        Some(Usage { percent, cores: reading.cores.iter().filter_map(core).collect() })
    }

    /// Forgets the last reading, so that the next one is a first one.
    pub(crate) fn clear(&mut self) {
        self.previous = None;
    }
}

fn percent(used: Duration, available: f64) -> Option<f64> {
    // More than 100 happens: the kernel counts in steps, and a group may use up what it saved before.
    (available > 0.0).then(|| (100.0 * used.as_secs_f64() / available).clamp(0.0, 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(cpu_ms: u64, capacity_cores: f64) -> Reading {
        Reading { cpu: Duration::from_millis(cpu_ms), capacity_cores, ..Reading::default() }
    }

    fn percent(meter: &mut Meter, now: Instant, reading: &Reading) -> Option<f64> {
        meter.usage(now, reading).map(|usage| usage.percent)
    }

    #[test]
    fn the_percentage_is_that_of_the_capacity() {
        let start = Instant::now();
        let mut meter = Meter::default();
        assert_eq!(percent(&mut meter, start, &at(5_000, 4.0)), None, "one reading is no span");
        let second = start + Duration::from_secs(1);
        assert_eq!(percent(&mut meter, second, &at(6_000, 4.0)), Some(25.0));
        let third = second + Duration::from_millis(500);
        assert_eq!(percent(&mut meter, third, &at(6_250, 0.5)), Some(100.0));
    }

    #[test]
    fn what_cannot_be_is_no_percentage() {
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let mut meter = Meter::default();
        percent(&mut meter, start, &at(1_000, 1.0));
        assert_eq!(percent(&mut meter, start, &at(1_100, 1.0)), None, "no time has passed");
        assert_eq!(percent(&mut meter, later(1), &at(100, 1.0)), None, "CPU time went backwards");
        assert_eq!(percent(&mut meter, later(2), &at(9_000, 1.0)), Some(100.0));
        assert_eq!(percent(&mut meter, later(3), &at(9_001, 0.0)), None, "no capacity");
        meter.clear();
        assert_eq!(percent(&mut meter, later(4), &at(9_500, 1.0)), None);
    }

    #[test]
    fn each_core_has_a_percentage_of_its_own_while_it_is_there() {
        let start = Instant::now();
        let second = start + Duration::from_secs(1);
        let mut meter = Meter::default();
        let with = |cores: &[(u32, u64)]| Reading {
            cores: cores.iter().map(|(core, ms)| (*core, Duration::from_millis(*ms))).collect(),
            ..at(0, 1.0)
        };
        meter.usage(start, &with(&[(0, 100), (2, 100), (3, 100)]));
        // Core 1 was off before, core 2 is off now, and core 3 was off in between.
        let usage = meter.usage(second, &with(&[(0, 350), (1, 900), (3, 5)])).unwrap();
        assert_eq!(usage.cores, [(0, 25.0)]);
    }

    #[test]
    fn traffic_that_goes_backwards_is_none() {
        let traffic = |inward, outward| Traffic { inward, outward };
        assert_eq!(traffic(10, 5).since(traffic(7, 6)), traffic(3, 0));
        assert_eq!([traffic(1, u64::MAX), traffic(2, 1)].into_iter().sum::<Traffic>(), traffic(3, u64::MAX));
    }
}
