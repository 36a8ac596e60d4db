//! The control group that this process runs in, which is what a container is to the kernel: version 1 and version 2.
//!
//! See cgroups(7), and the kernel's documents `admin-guide/cgroup-v2`, `scheduler/sched-bwc` and
//! `admin-guide/cgroup-v1/blkio-controller`. Version 2 does not say which core the time was spent on; version 1 does not
//! count what is written to disk later, from the page cache.

mod memory;
mod place;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::disk::Disks;
use crate::host;
use crate::network::Network;
use crate::reading::{ReadError, Reading, Target, Traffic, text, text_if_any};
use memory::Memory;
use place::{Place, Places};

/// A control group as a target.
#[derive(Debug)]
pub(crate) struct Cgroup {
    version: Version,
    /// The file that accounts for CPU time.
    usage: PathBuf,
    /// The folders that may hold a quota: the group's own and those above it, as far as they can be seen.
    limits: Vec<PathBuf>,
    memory: Memory,
    /// The file that accounts for what went from and to disks.
    io: Option<PathBuf>,
    network: Network,
    disks: Disks,
    root: PathBuf,
    /// How many CPUs the machine has.
    cores: usize,
    in_container: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Cgroup {
    /// Finds the control group of this process, with `/proc` and `/sys` under `root`, on a machine with `cores` CPUs.
    ///
    /// # Errors
    /// When no mounted hierarchy accounts for the CPU time of this process.
    pub(crate) fn find(root: &Path, cores: usize) -> Result<Self, ReadError> {
        let places = Places::read(root)?;
        // Version 1 first: where both are mounted, version 2 has a `cpu.stat` but controls nothing.
        let found = Self::version_1(&places, root, cores).or_else(|| Self::version_2(&places, root, cores));
        found.ok_or_else(|| {
            ReadError::unclear(&root.join("proc/self/mountinfo"), "where CPU time is accounted for")
        })
    }

    fn version_1(places: &Places, root: &Path, cores: usize) -> Option<Self> {
        let holding = |controller, file| places.version_1(controller)?.holding(file);
        let folders = |controller, file| holding(controller, file).as_ref().map(folders_upwards);
        let accounts = holding("cpuacct", "cpuacct.usage")?;
        // The second is that of kernels before 4.16, which leaves out the groups below.
        let io = ["blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"];
        Some(Self {
            version: Version::One,
            usage: accounts.folder.join("cpuacct.usage"),
            limits: folders("cpu", "cpu.cfs_quota_us").unwrap_or_default(),
            memory: Memory::new(Version::One, folders("memory", "memory.usage_in_bytes").unwrap_or_default()),
            io: io.into_iter().find_map(|file| Some(holding("blkio", file)?.folder.join(file))),
            network: Network::new(root),
            disks: Disks::new(root),
            root: root.to_owned(),
            cores,
            in_container: accounts.partly_mounted,
        })
    }

    fn version_2(places: &Places, root: &Path, cores: usize) -> Option<Self> {
        let group = places.version_2()?.holding("cpu.stat")?;
        Some(Self {
            version: Version::Two,
            usage: group.folder.join("cpu.stat"),
            limits: folders_upwards(&group),
            memory: Memory::new(Version::Two, folders_upwards(&group)),
            io: Some(group.folder.join("io.stat")),
            network: Network::new(root),
            disks: Disks::new(root),
            root: root.to_owned(),
            cores,
            // The group at the very top has no limits to set; one that has them and still seems to be at the top is
            // at the top of a container's own view.
            in_container: group.partly_mounted || group.at_top && group.folder.join("cpu.max").exists(),
        })
    }

    /// Tells whether the group is one that a container runtime made, or one with a CPU quota.
    pub(crate) fn confines(&self) -> bool {
        self.in_container || matches!(self.quota_cores(), Ok(Some(_)))
    }

    fn cpu(&self) -> Result<Duration, ReadError> {
        let text = text(&self.usage)?;
        let cpu = match self.version {
            Version::One => text.trim().parse().ok().map(Duration::from_nanos),
            Version::Two => text
                .lines()
                .find_map(|line| line.strip_prefix("usage_usec ")?.trim().parse().ok())
                .map(Duration::from_micros),
        };
        cpu.ok_or_else(|| ReadError::unclear(&self.usage, "the CPU time in use"))
    }

    /// Returns the CPU time on each core, in the order of their numbers; nothing where nobody counts it.
    fn cpu_of_cores(&self) -> Result<Vec<(u32, Duration)>, ReadError> {
        if self.version == Version::Two {
            return Ok(Vec::new());
        }
        let times = text_if_any(&self.usage.with_file_name("cpuacct.usage_percpu"))?.unwrap_or_default();
        let times = times.split_whitespace().map_while(|time| time.parse().ok().map(Duration::from_nanos));
        // There is one for each core that the machine could have, up to as many as it has.
        Ok((0..).zip(times).take(self.cores).collect())
    }

    fn disk(&self) -> Result<Option<Traffic>, ReadError> {
        let Some(file) = &self.io else { return Ok(None) };
        Ok(text_if_any(file)?.map(|text| match self.version {
            Version::One => self.disks.of_version_1(&text),
            Version::Two => self.disks.of_version_2(&text),
        }))
    }

    /// Returns the smallest quota of the group and those above it, in cores; `None` when there is none.
    fn quota_cores(&self) -> Result<Option<f64>, ReadError> {
        let mut smallest: Option<f64> = None;
        for folder in &self.limits {
            if let Some(quota) = self.version.quota_cores(folder)? {
                smallest = Some(smallest.map_or(quota, |other| other.min(quota)));
            }
        }
        Ok(smallest)
    }
}

impl Target for Cgroup {
    fn kind(&self) -> &'static str {
        "container"
    }

    fn read(&mut self) -> Result<Reading, ReadError> {
        let cores = self.cores as f64;
        let machine = host::Memory::read(&self.root)?.map(|memory| memory.total_bytes);
        Ok(Reading {
            cpu: self.cpu()?,
            // Read each time, because a limit can be changed while the container runs.
            capacity_cores: self.quota_cores()?.map_or(cores, |quota| quota.min(cores)),
            cores: self.cpu_of_cores()?,
            memory_bytes: self.memory.used()?,
            memory_limit_bytes: self.memory.limit()?.into_iter().chain(machine).min(),
            network: self.network.traffic()?,
            disk: self.disk()?,
            load: host::load(&self.root)?,
        })
    }
}

impl Version {
    /// Returns the quota in `folder` in cores, `None` when there is none.
    fn quota_cores(self, folder: &Path) -> Result<Option<f64>, ReadError> {
        let file = folder.join(match self {
            Self::One => "cpu.cfs_quota_us",
            Self::Two => "cpu.max",
        });
        let Some(mut quota) = text_if_any(&file)? else { return Ok(None) };
        if self == Self::One {
            quota = format!("{} {}", quota.trim(), text(&folder.join("cpu.cfs_period_us"))?.trim());
        }
        parse_quota(&quota).ok_or_else(|| ReadError::unclear(&file, "a CPU quota"))
    }
}

/// Reads a quota and its period, both in microseconds: `50000 100000`, `max 100000` or `-1 100000`.
///
/// The outer `None` says that the text is none of these, the inner that there is no limit.
fn parse_quota(text: &str) -> Option<Option<f64>> {
    let (quota, period) = text.trim().split_once(' ')?;
    let period: u64 = period.parse().ok().filter(|period| *period > 0)?;
    if matches!(quota, "max" | "-1") {
        return Some(None);
    }
    let quota: u64 = quota.parse().ok().filter(|quota| *quota > 0)?;
    Some(Some(quota as f64 / period as f64))
}

fn folders_upwards(place: &Place) -> Vec<PathBuf> {
    place.with_parents().map(Path::to_owned).collect()
}

#[cfg(test)]
mod tests;
