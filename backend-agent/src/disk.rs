//! What was read from and written to disks, as each kind of target has it accounted.

use std::path::{Path, PathBuf};

use crate::reading::{ReadError, Traffic, text_if_any};

/// The unit of `/proc/diskstats`, whatever the disk's own (kernel: `admin-guide/iostats`).
const SECTOR_BYTES: u64 = 512;

/// The block devices of the machine.
#[derive(Debug)]
pub(crate) struct Disks {
    /// The counters of each block device of the machine.
    counters: PathBuf,
    /// A folder for each, by its numbers.
    devices: PathBuf,
}

impl Disks {
    /// Makes the disks of the machine whose `/proc` and `/sys` are under `root`.
    pub(crate) fn new(root: &Path) -> Self {
        Self { counters: root.join("proc/diskstats"), devices: root.join("sys/dev/block") }
    }

    /// Returns what the machine read and wrote since it began, `None` when nobody counts it.
    pub(crate) fn of_machine(&self) -> Result<Option<Traffic>, ReadError> {
        let counters = text_if_any(&self.counters)?;
        Ok(counters.map(|text| text.lines().filter_map(|line| self.line_of_machine(line)).sum()))
    }

    /// `254 0 vda`, then reads, merged ones, sectors, milliseconds, and the same four of writes.
    fn line_of_machine(&self, line: &str) -> Option<Traffic> {
        let mut fields = line.split_whitespace();
        let (major, minor) = (fields.next()?, fields.next()?);
        let inward: u64 = fields.nth(3)?.parse().ok()?;
        let outward: u64 = fields.nth(3)?.parse().ok()?;
        let bytes = |sectors: u64| sectors.saturating_mul(SECTOR_BYTES);
        let traffic = Traffic { inward: bytes(inward), outward: bytes(outward) };
        self.is_disk(&format!("{major}:{minor}")).then_some(traffic)
    }

    /// Sums up `io.stat` of version 2: `254:0 rbytes=1 wbytes=2 rios=3 …`.
    pub(crate) fn of_version_2(&self, text: &str) -> Traffic {
        let lines = text.lines().filter_map(|line| {
            let (device, pairs) = line.split_once(' ')?;
            let value = |key: &str| {
                let found = pairs.split(' ').find_map(|pair| pair.strip_prefix(key)?.parse().ok());
                found.unwrap_or_default()
            };
            Some((device, Traffic { inward: value("rbytes="), outward: value("wbytes=") }))
        });
        self.of_disks(lines)
    }

    /// Sums up `blkio.throttle.io_service_bytes_recursive` of version 1: `254:0 Read 1` and the like, and a total.
    pub(crate) fn of_version_1(&self, text: &str) -> Traffic {
        let lines = text.lines().filter_map(|line| {
            let mut fields = line.split(' ');
            let (device, kind, bytes) = (fields.next()?, fields.next()?, fields.next()?.parse().ok()?);
            match kind {
                "Read" => Some((device, Traffic { inward: bytes, outward: 0 })),
                "Write" => Some((device, Traffic { inward: 0, outward: bytes })),
                _ => None,
            }
        });
        self.of_disks(lines)
    }

    /// Adds up what went to disks; all of it where `/sys` does not tell which devices are disks.
    fn of_disks<'a>(&self, lines: impl Iterator<Item = (&'a str, Traffic)>) -> Traffic {
        let lines: Vec<_> = lines.collect();
        if lines.iter().any(|(device, _)| self.is_disk(device)) {
            lines.iter().filter(|(device, _)| self.is_disk(device)).map(|(_, traffic)| *traffic).sum()
        } else {
            lines.iter().map(|(_, traffic)| *traffic).sum()
        }
    }

    /// Whether a device is a disk of its own: no partition of one, and no layer on others (LVM, RAID, loop), through
    /// which the same bytes would count twice.
    fn is_disk(&self, numbers: &str) -> bool {
        self.devices.join(numbers).join("device").exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A machine with one disk, 8:0, one partition on it, 8:1, and LVM on that, 253:0.
    fn machine() -> (tempfile::TempDir, Disks) {
        let root = tempfile::tempdir().unwrap();
        for folder in ["sys/dev/block/8:0/device", "sys/dev/block/8:1", "sys/dev/block/253:0", "proc"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let lines = "   8       0 sda 10 1 100 5 20 2 200 6 0 0 0 0 0 0 0\n   \
                        8       1 sda1 9 1 90 5 19 2 190 6 0 0 0\n \
                     253       0 dm-0 9 1 80 5 19 2 180 6 0 0 0\n";
        fs::write(root.path().join("proc/diskstats"), lines).unwrap();
        let disks = Disks::new(root.path());
        (root, disks)
    }

    fn traffic(inward: u64, outward: u64) -> Traffic {
        Traffic { inward, outward }
    }

    #[test]
    fn of_a_machine_whole_disks_count_once() {
        let (_root, disks) = machine();
        assert_eq!(disks.of_machine().unwrap(), Some(traffic(100 * 512, 200 * 512)));
        let nothing = tempfile::tempdir().unwrap();
        assert_eq!(Disks::new(nothing.path()).of_machine().unwrap(), None);
    }

    #[test]
    fn of_a_container_each_version_is_read() {
        let (_root, disks) = machine();
        let version_2 =
            "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n253:0 rbytes=4096 wbytes=8192\n";
        assert_eq!(disks.of_version_2(version_2), traffic(4096, 8192));
        let version_1 =
            "8:0 Read 1\n8:0 Write 2\n8:0 Sync 3\n8:0 Total 3\n253:0 Read 1\n253:0 Write 2\nTotal 6\n";
        assert_eq!(disks.of_version_1(version_1), traffic(1, 2));
        assert_eq!((disks.of_version_2(""), disks.of_version_1("Total 0\n")), (traffic(0, 0), traffic(0, 0)));
    }

    #[test]
    fn where_no_device_is_known_all_of_them_count() {
        let (_root, disks) = machine();
        assert_eq!(disks.of_version_2("9:0 rbytes=1 wbytes=2\n9:1 rbytes=10 wbytes=20\n"), traffic(11, 22));
    }

    #[test]
    fn what_the_kernel_never_writes_counts_nothing() {
        let (_root, disks) = machine();
        assert_eq!(disks.of_version_2("8:0\n8:0 rbytes= wbytes=x\n\n"), traffic(0, 0));
        assert_eq!(disks.of_version_1("8:0 Read\n8:0 Write x\n8:0\n\n"), traffic(0, 0));
        assert_eq!(disks.line_of_machine("8 0 sda 1 2 x 4 5 6 7"), None);
        let most = u64::MAX;
        assert_eq!(
            disks.line_of_machine(&format!("8 0 sda 1 2 {most} 4 5 6 7")),
            Some(traffic(most, 7 * 512))
        );
    }
}
