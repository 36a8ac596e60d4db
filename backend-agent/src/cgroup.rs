//! The control group that this process runs in, which is what a container is to the kernel: version 1 and version 2.
//!
//! See cgroups(7), and the kernel's documents `admin-guide/cgroup-v2` and `scheduler/sched-bwc`.

mod place;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::reading::{ReadError, Reading, Target, text, text_if_any};
use place::{Place, Places};

/// A control group as a target.
#[derive(Debug)]
pub(crate) struct Cgroup {
    version: Version,
    /// The file that accounts for CPU time.
    usage: PathBuf,
    /// The folders that may hold a quota: the group's own and those above it, as far as they can be seen.
    limits: Vec<PathBuf>,
    /// The file that accounts for memory.
    memory: Option<PathBuf>,
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
        Self::version_1(&places, cores).or_else(|| Self::version_2(&places, cores)).ok_or_else(|| {
            ReadError::unclear(&root.join("proc/self/mountinfo"), "where CPU time is accounted for")
        })
    }

    fn version_1(places: &Places, cores: usize) -> Option<Self> {
        let holding = |controller, file| places.version_1(controller)?.holding(file);
        let accounts = holding("cpuacct", "cpuacct.usage")?;
        Some(Self {
            version: Version::One,
            usage: accounts.folder.join("cpuacct.usage"),
            limits: holding("cpu", "cpu.cfs_quota_us").as_ref().map(folders_upwards).unwrap_or_default(),
            memory: holding("memory", "memory.usage_in_bytes")
                .map(|place| place.folder.join("memory.usage_in_bytes")),
            cores,
            in_container: accounts.partly_mounted,
        })
    }

    fn version_2(places: &Places, cores: usize) -> Option<Self> {
        let group = places.version_2()?.holding("cpu.stat")?;
        Some(Self {
            version: Version::Two,
            usage: group.folder.join("cpu.stat"),
            limits: folders_upwards(&group),
            memory: Some(group.folder.join("memory.current")),
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
        Ok(Reading {
            cpu: self.cpu()?,
            // Read each time, because a quota can be changed while the container runs.
            capacity_cores: self.quota_cores()?.map_or(cores, |quota| quota.min(cores)),
            memory_bytes: match &self.memory {
                Some(file) => text_if_any(file)?.and_then(|text| text.trim().parse().ok()),
                None => None,
            },
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
