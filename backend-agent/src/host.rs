//! The whole machine, from files under `/proc`.
//!
//! Read here and not by sysinfo, which gives the percentage of a host but not the CPU time behind it, and reads `/proc`
//! where it always is, not where it is mounted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::param::clock_ticks_per_second;

use crate::disk::Disks;
use crate::network::Network;
use crate::reading::{ReadError, Reading, Target, text, text_if_any};

/// The machine as a target.
pub(crate) struct Host {
    root: PathBuf,
    network: Network,
    disks: Disks,
}

impl Host {
    /// Makes the machine whose `/proc` is under `root`.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), network: Network::new(root), disks: Disks::new(root) }
    }
}

impl Target for Host {
    fn kind(&self) -> &'static str {
        "host"
    }

    fn read(&mut self) -> Result<Reading, ReadError> {
        let path = self.root.join("proc/stat");
        let stat = text(&path)?;
        let busy = busy(&stat, "cpu ").ok_or_else(|| ReadError::unclear(&path, "the CPU time in use"))?;
        let memory = Memory::read(&self.root)?;
        Ok(Reading {
            cpu: busy,
            capacity_cores: cores_of(&stat).count() as f64,
            cores: cores_of(&stat)
                .filter_map(|core| Some((core, self::busy(&stat, &format!("cpu{core} "))?)))
                .collect(),
            memory_bytes: memory.and_then(|memory| memory.total_bytes.checked_sub(memory.available_bytes)),
            memory_limit_bytes: memory.map(|memory| memory.total_bytes),
            network: self.network.traffic()?,
            disk: self.disks.of_machine()?,
            load: load(&self.root)?,
        })
    }
}

/// Returns how many CPUs of the machine are online.
pub(crate) fn cores(root: &Path) -> Result<usize, ReadError> {
    let stat = root.join("proc/stat");
    match cores_of(&text(&stat)?).count() {
        0 => Err(ReadError::unclear(&stat, "the number of CPUs")),
        cores => Ok(cores),
    }
}

/// Returns the load averages over 1, 5 and 15 minutes, `None` where there are none.
pub(crate) fn load(root: &Path) -> Result<Option<[f64; 3]>, ReadError> {
    let text = text_if_any(&root.join("proc/loadavg"))?;
    Ok(text.and_then(|text| {
        let mut averages = text.split(' ').map(|average| average.parse().ok());
        Some([averages.next()??, averages.next()??, averages.next()??])
    }))
}

/// The memory of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) total_bytes: u64,
    /// What is free or could be freed at once.
    pub(crate) available_bytes: u64,
}

impl Memory {
    /// Reads `/proc/meminfo` under `root`; `None` where there is none.
    pub(crate) fn read(root: &Path) -> Result<Option<Self>, ReadError> {
        Ok(text_if_any(&root.join("proc/meminfo"))?.as_deref().and_then(Self::parse))
    }

    fn parse(meminfo: &str) -> Option<Self> {
        let bytes = |key: &str| -> Option<u64> {
            let value = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            value.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
        };
        Some(Self { total_bytes: bytes("MemTotal")?, available_bytes: bytes("MemAvailable")? })
    }
}

/// Returns the numbers of the CPUs that are online.
fn cores_of(stat: &str) -> impl Iterator<Item = u32> {
    stat.lines().filter_map(|line| line.strip_prefix("cpu")?.split(' ').next()?.parse().ok())
}

/// Returns the time that the CPUs of a line of `/proc/stat` spent on anything but waiting.
///
/// Time that the hypervisor took (steal) counts as busy, because it is not there for this machine to use. Time given
/// to guests is contained in user and nice time already (proc_stat(5)).
fn busy(stat: &str, line: &str) -> Option<Duration> {
    let numbers = stat.lines().find_map(|text| text.strip_prefix(line))?;
    let mut numbers = numbers.split_whitespace().map_while(|number| number.parse::<u64>().ok());
    let mut ticks = [0; 8];
    for field in &mut ticks {
        *field = numbers.next()?;
    }
    let [user, nice, system, _idle, _iowait, irq, softirq, steal] = ticks;
    let busy = [user, nice, system, irq, softirq, steal];
    let ticks = busy.iter().try_fold(0, |sum: u64, ticks| sum.checked_add(*ticks))?;
    Some(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64))
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

    fn ticks(count: u64) -> Duration {
        Duration::from_secs_f64(count as f64 / clock_ticks_per_second() as f64)
    }

    #[test]
    fn time_that_is_not_idle_is_busy() {
        assert_eq!(busy(STAT, "cpu "), Some(ticks(100 + 20 + 30 + 4 + 5 + 6)));
        assert_eq!(busy(STAT, "cpu1 "), Some(ticks(50 + 10 + 15 + 2 + 3 + 3)));
        assert_eq!(cores_of(STAT).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn what_the_kernel_never_writes_is_an_error_and_no_panic() {
        let max = u64::MAX;
        for stat in ["", "cpu", "cpu  1 2 3", "cpu  a b c d e f g h", &format!("cpu  {max} 1 1 1 1 1 1 1")] {
            assert_eq!(busy(stat, "cpu "), None, "{stat:?}");
        }
        let too_much = format!("MemTotal: {max} kB\nMemAvailable: 1 kB");
        for meminfo in ["", "MemTotal: 1 kB", "MemTotal: x kB\nMemAvailable: 1 kB", &too_much] {
            assert_eq!(Memory::parse(meminfo), None, "{meminfo:?}");
        }
    }

    #[test]
    fn a_machine_is_read_from_its_files() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| fs::write(root.path().join(path), text).unwrap();
        fs::create_dir(root.path().join("proc")).unwrap();
        write("proc/stat", STAT);
        let mut host = Host::new(root.path());
        let bare = Reading {
            cpu: ticks(165),
            capacity_cores: 2.0,
            cores: vec![(0, ticks(82)), (1, ticks(83))],
            ..Reading::default()
        };
        assert_eq!(host.read().unwrap(), bare, "everything else is extra");
        write("proc/meminfo", "MemTotal:  100 kB\nMemFree: 1 kB\nMemAvailable:  60 kB\n");
        write("proc/loadavg", "1.50 0.25 12.00 1/311 5313\n");
        let (memory_bytes, memory_limit_bytes) = (Some(40 * 1024), Some(100 * 1024));
        let load = Some([1.5, 0.25, 12.0]);
        assert_eq!(host.read().unwrap(), Reading { memory_bytes, memory_limit_bytes, load, ..bare.clone() });
        write("proc/meminfo", "MemTotal: 1 kB\nMemAvailable: 2 kB\n");
        write("proc/loadavg", "1.50 x\n");
        let memory_limit_bytes = Some(1024);
        assert_eq!(host.read().unwrap(), Reading { memory_limit_bytes, ..bare }, "more free than there is");
        assert_eq!(cores(root.path()).unwrap(), 2);
        fs::remove_file(root.path().join("proc/stat")).unwrap();
        assert!(host.read().unwrap_err().to_string().contains("proc/stat"));
    }

    #[test]
    fn this_machine_can_be_read() {
        let reading = Host::new(Path::new("/")).read().unwrap();
        assert!(reading.cpu > Duration::ZERO && reading.capacity_cores >= 1.0, "{reading:?}");
        assert_eq!(reading.cores.len() as f64, reading.capacity_cores);
        assert!(reading.memory_bytes < reading.memory_limit_bytes, "{reading:?}");
        assert!(reading.load.is_some() && reading.network.is_some() && reading.disk.is_some(), "{reading:?}");
    }
}
