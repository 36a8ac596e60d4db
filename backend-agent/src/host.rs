//! The whole machine, from `/proc/stat` and `/proc/meminfo`.
//!
//! Read here and not by sysinfo, which gives the percentage of a host but not the CPU time behind it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::param::clock_ticks_per_second;

use crate::reading::{ReadError, Reading, Target, text, text_if_any};

/// The machine as a target.
pub(crate) struct Host {
    stat: PathBuf,
    memory: PathBuf,
}

impl Host {
    /// Makes the machine whose `/proc` is under `root`.
    pub(crate) fn new(root: &Path) -> Self {
        Self { stat: root.join("proc/stat"), memory: root.join("proc/meminfo") }
    }
}

impl Target for Host {
    fn kind(&self) -> &'static str {
        "host"
    }

    fn read(&mut self) -> Result<Reading, ReadError> {
        let stat = text(&self.stat)?;
        let busy_ticks =
            busy_ticks(&stat).ok_or_else(|| ReadError::unclear(&self.stat, "the CPU time in use"))?;
        Ok(Reading {
            cpu: Duration::from_secs_f64(busy_ticks as f64 / clock_ticks_per_second() as f64),
            capacity_cores: count_cores(&stat) as f64,
            memory_bytes: text_if_any(&self.memory)?.as_deref().and_then(memory_in_use),
        })
    }
}

/// Returns how many CPUs of the machine are online.
pub(crate) fn cores(root: &Path) -> Result<usize, ReadError> {
    let stat = root.join("proc/stat");
    match count_cores(&text(&stat)?) {
        0 => Err(ReadError::unclear(&stat, "the number of CPUs")),
        cores => Ok(cores),
    }
}

fn count_cores(stat: &str) -> usize {
    stat.lines()
        .filter_map(|line| line.strip_prefix("cpu"))
        .filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        .count()
}

/// Returns the ticks that all CPUs spent on anything but waiting.
///
/// Time that the hypervisor took (steal) counts as busy, because it is not there for this machine to use. Time given
/// to guests is contained in user and nice time already (proc_stat(5)).
fn busy_ticks(stat: &str) -> Option<u64> {
    let all = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = all.split_whitespace().map_while(|field| field.parse().ok()).collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = ticks[..] else { return None };
    [user, nice, system, irq, softirq, steal].iter().try_fold(0, |sum: u64, ticks| sum.checked_add(*ticks))
}

/// Returns the bytes that are neither free nor could be freed at once.
fn memory_in_use(meminfo: &str) -> Option<u64> {
    let kib = |key: &str| -> Option<u64> {
        let value = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        value.trim().strip_suffix(" kB")?.trim().parse().ok()
    };
    kib("MemTotal")?.checked_sub(kib("MemAvailable")?)?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const STAT: &str = "\
cpu  100 20 30 9999 500 4 5 6 70 80
cpu0 50 10 15 5000 250 2 2 3 35 40
cpu1 50 10 15 4999 250 2 3 3 35 40
intr 12345
ctxt 1
";

    #[test]
    fn time_that_is_not_idle_is_busy() {
        assert_eq!(busy_ticks(STAT), Some(100 + 20 + 30 + 4 + 5 + 6));
        assert_eq!(count_cores(STAT), 2);
    }

    #[test]
    fn what_the_kernel_never_writes_is_an_error_and_no_panic() {
        let max = u64::MAX;
        for stat in ["", "cpu", "cpu  1 2 3", "cpu  a b c d e f g h", &format!("cpu  {max} 1 1 1 1 1 1 1")] {
            assert_eq!(busy_ticks(stat), None, "{stat:?}");
        }
        for meminfo in ["", "MemTotal: 1 kB", "MemTotal: 1 kB\nMemAvailable: 2 kB", "MemTotal: x kB"] {
            assert_eq!(memory_in_use(meminfo), None, "{meminfo:?}");
        }
    }

    #[test]
    fn a_machine_is_read_from_its_files() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("proc")).unwrap();
        fs::write(root.path().join("proc/stat"), STAT).unwrap();
        let mut host = Host::new(root.path());
        assert_eq!(host.read().unwrap().memory_bytes, None, "memory is extra");
        fs::write(
            root.path().join("proc/meminfo"),
            "MemTotal:  100 kB\nMemFree: 1 kB\nMemAvailable:  60 kB\n",
        )
        .unwrap();
        let reading = host.read().unwrap();
        assert_eq!(reading.memory_bytes, Some(40 * 1024));
        assert_eq!((cores(root.path()).unwrap(), reading.capacity_cores), (2, 2.0));
        fs::remove_file(root.path().join("proc/stat")).unwrap();
        assert!(host.read().unwrap_err().to_string().contains("proc/stat"));
    }

    #[test]
    fn this_machine_can_be_read() {
        let reading = Host::new(Path::new("/")).read().unwrap();
        assert!(reading.cpu > Duration::ZERO && reading.capacity_cores >= 1.0, "{reading:?}");
    }
}
