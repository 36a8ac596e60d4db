use std::fs;

use super::*;
use crate::Source;

/// A machine of files: `/proc` and `/sys` of one process.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new(files: &[(&str, &str)]) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        machine.write(&[("proc/stat", "cpu  1 1 1 1 1 1 1 1 0 0\ncpu0 1\ncpu1 1\ncpu2 1\ncpu3 1\n")]);
        machine.write(files);
        machine
    }

    /// A container under version 2: it sees its own group at the top.
    fn version_2(cpu_max: Option<&str>) -> Self {
        let machine = Self::new(&[
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n"),
            ("sys/fs/cgroup/cpu.stat", "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n"),
            ("sys/fs/cgroup/memory.current", "4096\n"),
        ]);
        if let Some(cpu_max) = cpu_max {
            machine.write(&[("sys/fs/cgroup/cpu.max", cpu_max)]);
        }
        machine
    }

    /// A container under version 1, as Docker mounts it, with cpu and cpuacct apart.
    fn version_1(quota: &str) -> Self {
        let mounts = ["cpu", "cpuacct", "memory"].map(|controller| {
            format!("3 1 0:3 /docker/abc /sys/fs/cgroup/{controller} ro - cgroup cgroup rw,{controller}\n")
        });
        Self::new(&[
            ("proc/self/cgroup", "4:memory:/docker/abc\n2:cpuacct:/docker/abc\n1:cpu:/docker/abc\n0::/\n"),
            ("proc/self/mountinfo", &mounts.concat()),
            ("sys/fs/cgroup/cpuacct/cpuacct.usage", "2500000000\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", quota),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "8192\n"),
        ])
    }

    fn write(&self, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    fn reading(&self) -> Result<Reading, ReadError> {
        Cgroup::find(self.0.path(), 4)?.read()
    }

    fn auto(&self) -> &'static str {
        Source::Auto.find(self.0.path()).unwrap().kind()
    }
}

fn reading(capacity_cores: f64, memory_bytes: u64) -> Reading {
    let cpu = Duration::from_millis(2500);
    Reading { cpu, capacity_cores, memory_bytes: Some(memory_bytes), ..Reading::default() }
}

#[test]
fn a_quota_is_what_a_container_can_get() {
    assert_eq!(Machine::version_2(Some("150000 100000\n")).reading().unwrap(), reading(1.5, 4096));
    assert_eq!(Machine::version_1("50000\n").reading().unwrap(), reading(0.5, 8192));
}

#[test]
fn without_a_quota_a_container_can_get_the_whole_machine() {
    assert_eq!(Machine::version_2(Some("max 100000\n")).reading().unwrap(), reading(4.0, 4096));
    assert_eq!(Machine::version_2(None).reading().unwrap(), reading(4.0, 4096));
    assert_eq!(Machine::version_1("-1\n").reading().unwrap(), reading(4.0, 8192));
    let more_than_there_is = Machine::version_2(Some("900000 100000\n"));
    assert_eq!(more_than_there_is.reading().unwrap(), reading(4.0, 4096));
}

#[test]
fn the_smallest_quota_on_the_way_up_holds() {
    let machine = Machine::version_2(Some("100000 100000\n"));
    machine.write(&[
        ("proc/self/cgroup", "0::/pod/app\n"),
        ("sys/fs/cgroup/pod/cpu.max", "20000 100000\n"),
        ("sys/fs/cgroup/pod/app/cpu.max", "max 100000\n"),
        ("sys/fs/cgroup/pod/app/cpu.stat", "usage_usec 7\n"),
    ]);
    let reading = machine.reading().unwrap();
    assert_eq!((reading.cpu, reading.capacity_cores), (Duration::from_micros(7), 0.2));
    assert_eq!(reading.memory_bytes, None, "the group has no memory controller");
}

#[test]
fn a_path_that_only_the_host_can_see_leads_to_the_top_of_the_mount() {
    let machine = Machine::version_2(Some("150000 100000\n"));
    machine.write(&[("proc/self/cgroup", "0::/kubepods/pod7/abc\n")]);
    assert_eq!(machine.reading().unwrap(), reading(1.5, 4096));
}

#[test]
fn auto_takes_the_container_where_there_is_one_and_else_the_host() {
    assert_eq!(Machine::version_2(Some("max 100000\n")).auto(), "container", "a container's own view");
    assert_eq!(Machine::version_2(None).auto(), "host", "the top of the machine");
    assert_eq!(Machine::version_1("-1\n").auto(), "container", "a part of the hierarchy is mounted");
    assert_eq!(Machine::new(&[]).auto(), "host", "no control groups at all");

    let service = Machine::version_2(None);
    service.write(&[
        ("proc/self/cgroup", "0::/system.slice/app.service\n"),
        ("sys/fs/cgroup/system.slice/app.service/cpu.stat", "usage_usec 7\n"),
        ("sys/fs/cgroup/system.slice/app.service/cpu.max", "max 100000\n"),
    ]);
    assert_eq!(service.auto(), "host", "a service that may use the whole machine");
    service.write(&[("sys/fs/cgroup/system.slice/app.service/cpu.max", "50000 100000\n")]);
    assert_eq!(service.auto(), "container", "a service with a quota");
}

#[test]
fn memory_that_is_freed_when_needed_is_not_in_use_and_the_smallest_limit_holds() {
    let memory = |machine: &Machine| {
        let reading = machine.reading().unwrap();
        (reading.memory_bytes, reading.memory_limit_bytes)
    };
    let two = Machine::version_2(None);
    two.write(&[("sys/fs/cgroup/memory.stat", "anon 1000\ninactive_file 96\nactive_file 5\n")]);
    assert_eq!(memory(&two), (Some(4000), None), "nobody says how much there is");
    two.write(&[("sys/fs/cgroup/memory.max", "max\n")]);
    two.write(&[("proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 900 kB\n")]);
    assert_eq!(memory(&two), (Some(4000), Some(1000 * 1024)), "the machine's");
    two.write(&[("sys/fs/cgroup/memory.max", "65536\n")]);
    assert_eq!(memory(&two), (Some(4000), Some(65536)));

    let one = Machine::version_1("-1\n");
    one.write(&[(
        "sys/fs/cgroup/memory/memory.stat",
        "inactive_file 1\nhierarchical_memory_limit 32768\ntotal_inactive_file 92\n",
    )]);
    assert_eq!(memory(&one), (Some(8100), Some(32768)));
    one.write(&[("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 99999\n")]);
    assert_eq!(memory(&one).0, Some(0), "the two files were not read at the same time");
}

#[test]
fn traffic_of_a_container_is_that_of_its_namespace_and_its_group() {
    let network = ("proc/net/dev", "lo: 9 0 0 0 0 0 0 0 9\neth0: 10 0 0 0 0 0 0 0 20\n");
    let two = Machine::version_2(None);
    two.write(&[network, ("sys/fs/cgroup/io.stat", "8:0 rbytes=30 wbytes=40 rios=1 wios=1\n")]);
    let one = Machine::version_1("-1\n");
    one.write(&[network, ("proc/self/cgroup", "4:blkio:/docker/abc\n2:cpuacct:/docker/abc\n")]);
    one.write(&[(
        "proc/self/mountinfo",
        "3 1 0:3 /docker/abc /sys/fs/cgroup/cpuacct ro - cgroup cgroup rw,cpuacct\n\
         3 1 0:4 /docker/abc /sys/fs/cgroup/blkio ro - cgroup cgroup rw,blkio\n",
    )]);
    let file = "sys/fs/cgroup/blkio/blkio.throttle.io_service_bytes_recursive";
    one.write(&[(file, "8:0 Read 30\n8:0 Write 40\nTotal 70\n")]);
    for machine in [one, two] {
        let reading = machine.reading().unwrap();
        assert_eq!(reading.network, Some(Traffic { inward: 10, outward: 20 }));
        assert_eq!(reading.disk, Some(Traffic { inward: 30, outward: 40 }));
    }
}

#[test]
fn version_1_tells_which_core_the_time_was_spent_on() {
    let machine = Machine::version_1("-1\n");
    let times = "1000000 2000000 0 4000000 0 0 0 0 \n";
    machine.write(&[("sys/fs/cgroup/cpuacct/cpuacct.usage_percpu", times)]);
    let cores = machine.reading().unwrap().cores;
    let ms = Duration::from_millis;
    assert_eq!(cores, [(0, ms(1)), (1, ms(2)), (2, ms(0)), (3, ms(4))], "the machine has four");
}

#[test]
fn files_that_say_nothing_are_errors_that_name_them() {
    for (file, text) in [("cpu.stat", "user_usec 5\n"), ("cpu.max", "lots\n"), ("cpu.max", "1 0\n")] {
        let machine = Machine::version_2(Some("max 100000\n"));
        machine.write(&[(&format!("sys/fs/cgroup/{file}"), text)]);
        let said = machine.reading().unwrap_err().to_string();
        assert!(said.contains(file), "{said}");
    }
    let said = Machine::new(&[("proc/self/cgroup", ""), ("proc/self/mountinfo", "")]).reading();
    assert!(said.unwrap_err().to_string().contains("mountinfo"));
}

#[test]
fn unlimited_and_unreadable_are_two_answers() {
    assert_eq!(parse_quota("max 100000\n"), Some(None));
    assert_eq!(parse_quota("-1 100000"), Some(None));
    assert_eq!(parse_quota("50000 100000"), Some(Some(0.5)));
    for text in ["", "max", "0 100000", "5 x", "-2 100000", "5 0"] {
        assert_eq!(parse_quota(text), None, "{text:?}");
    }
}
