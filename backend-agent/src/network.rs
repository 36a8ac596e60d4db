//! What went over the network interfaces: of a container, those of its network namespace; of a host, the physical ones.

use std::path::{Path, PathBuf};

use crate::reading::{ReadError, Traffic, text_if_any};

/// The network interfaces that this process sees.
#[derive(Debug)]
pub(crate) struct Network {
    /// Counters of each interface in the network namespace of whoever reads it (proc_pid_net(5)).
    counters: PathBuf,
    /// A folder for each interface.
    interfaces: PathBuf,
}

impl Network {
    /// Makes the interfaces of the machine whose `/proc` and `/sys` are under `root`.
    pub(crate) fn new(root: &Path) -> Self {
        Self { counters: root.join("proc/net/dev"), interfaces: root.join("sys/class/net") }
    }

    /// Returns what went over the interfaces since the machine or the container began, `None` when nobody counts it.
    ///
    /// Of a host only interfaces with a device count, as long as there is one: what goes over bridges, bonds and the
    /// near ends of containers goes over a device too, or never leaves the machine. `lo` never counts.
    pub(crate) fn traffic(&self) -> Result<Option<Traffic>, ReadError> {
        let Some(counters) = text_if_any(&self.counters)? else { return Ok(None) };
        let all: Vec<_> = counters.lines().filter_map(parse).filter(|(name, _)| *name != "lo").collect();
        let has_device = |name: &str| self.interfaces.join(name).join("device").exists();
        let physical: Vec<_> = all.iter().filter(|(name, _)| has_device(name)).collect();
        Ok(Some(if physical.is_empty() {
            all.iter().map(|(_, traffic)| *traffic).sum()
        } else {
            physical.into_iter().map(|(_, traffic)| *traffic).sum()
        }))
    }
}

/// Reads a line of `/proc/net/dev`: a name, eight numbers about what was received, eight about what was sent; bytes come
/// first. The two lines of headings are none.
fn parse(line: &str) -> Option<(&str, Traffic)> {
    let (name, numbers) = line.split_once(':')?;
    let mut numbers = numbers.split_whitespace().map(str::parse);
    let inward = numbers.next()?.ok()?;
    let outward = numbers.nth(7)?.ok()?;
    Some((name.trim(), Traffic { inward, outward }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const HEADINGS: &str = "Inter-|   Receive  |  Transmit\n face |bytes packets errs|bytes packets\n";

    fn traffic(lines: &str, physical: &[&str]) -> Option<Traffic> {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc/net")).unwrap();
        fs::write(root.path().join("proc/net/dev"), format!("{HEADINGS}{lines}")).unwrap();
        for name in physical {
            fs::create_dir_all(root.path().join("sys/class/net").join(name).join("device")).unwrap();
        }
        Network::new(root.path()).traffic().unwrap()
    }

    const LINES: &str = "    lo: 1000 1 0 0 0 0 0 0 1000 1 0 0 0 0 0 0\n  \
                         eth0:  200 1 0 0 0 0 0 0   30 1 0 0 0 0 0 0\n\
                         docker0:10 1 0 0 0 0 0 0    7 1 0 0 0 0 0 0\n";

    #[test]
    fn in_a_container_every_interface_counts_but_the_loopback() {
        assert_eq!(traffic(LINES, &[]), Some(Traffic { inward: 210, outward: 37 }));
    }

    #[test]
    fn on_a_host_only_devices_count() {
        assert_eq!(traffic(LINES, &["eth0"]), Some(Traffic { inward: 200, outward: 30 }));
    }

    #[test]
    fn lines_that_the_kernel_never_writes_are_passed_over() {
        assert_eq!(traffic("eth0:\neth0: x\neth0: 1 2 3\nnonsense\n", &[]), Some(Traffic::default()));
        let nothing = tempfile::tempdir().unwrap();
        assert_eq!(Network::new(nothing.path()).traffic().unwrap(), None);
    }
}
