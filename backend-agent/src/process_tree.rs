//! One process with its descendants, by sysinfo.
//!
//! CPU time and disk traffic are summed step by step and not read as one number: when a child ends, what it used must not
//! vanish from the sum. What is lost is what a process used between the last look and its end, and one that began and ended
//! between two searches.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sysinfo::{Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System};
use tokio::time::Instant;

use crate::host;
use crate::reading::{ReadError, Reading, Target, Traffic};

/// How much longer than a search for descendants the pause after it is. Every process of the machine is looked at, and
/// this bounds what that costs, to 0.2 % of a core, however many there are.
const SEARCH_PAUSE: u32 = 500;
/// The longest pause; what a child has used until it is found is counted then.
const SEARCH_PAUSE_MAX: Duration = Duration::from_secs(10);

/// A process and its descendants as a target.
pub(crate) struct ProcessTree {
    pid: u32,
    root: PathBuf,
    cores: usize,
    /// The processes of the tree at the last search.
    found: HashSet<u32>,
    search_due: Instant,
    system: System,
    ledger: Ledger,
}

impl ProcessTree {
    /// Makes the target of the process `pid` on a machine with `cores` CPUs whose `/proc` is under `root`; processes are
    /// always looked up under `/proc`.
    ///
    /// # Errors
    /// When processes cannot be listed on this system. A process that does not exist is no error before it is read.
    pub(crate) fn new(pid: u32, root: &Path, cores: usize) -> Result<Self, sysinfo::Error> {
        Ok(Self {
            pid,
            root: root.to_owned(),
            cores,
            found: HashSet::new(),
            search_due: Instant::now(),
            system: System::new()?,
            ledger: Ledger::default(),
        })
    }

    /// Looks at the processes of the tree.
    fn refresh(&mut self) {
        let now = Instant::now();
        if now >= self.search_due {
            // By ourselves: sysinfo takes three times as long for each of the many processes that are not in the tree.
            self.found = tree(self.pid, parents());
            self.search_due = now + (now.elapsed() * SEARCH_PAUSE).min(SEARCH_PAUSE_MAX);
        }
        // Those that it knows too, so that it forgets the ones that have ended; and each once, or it forgets it.
        let known = self.system.processes().keys().copied();
        let looked_at: HashSet<Pid> = self.found.iter().copied().map(Pid::from_u32).chain(known).collect();
        let looked_at: Vec<Pid> = looked_at.into_iter().collect();
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory().with_disk_usage().without_tasks();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&looked_at), true, what);
    }
}

impl Target for ProcessTree {
    fn kind(&self) -> &'static str {
        "process"
    }

    fn read(&mut self) -> Result<Reading, ReadError> {
        self.refresh();
        let alive = self.system.processes().values().filter(|process| {
            // Killed but not yet waited for: gone for all who depend on it.
            !matches!(process.status(), ProcessStatus::Zombie | ProcessStatus::Dead)
        });
        let seen = alive.map(|process| Seen {
            pid: process.pid().as_u32(),
            parent: process.parent().map(Pid::as_u32),
            started: process.start_time(),
            cpu: Duration::from_millis(process.accumulated_cpu_time()),
            memory_bytes: process.memory(),
            disk: Traffic {
                inward: process.disk_usage().total_read_bytes,
                outward: process.disk_usage().total_written_bytes,
            },
        });
        let memory =
            self.ledger.take_in(self.pid, seen.collect()).ok_or(ReadError::Gone { pid: self.pid })?;
        Ok(Reading {
            cpu: self.ledger.used.cpu,
            capacity_cores: self.cores as f64,
            memory_bytes: Some(memory),
            memory_limit_bytes: host::Memory::read(&self.root)?.map(|memory| memory.total_bytes),
            disk: Some(self.ledger.used.disk),
            load: host::load(&self.root)?,
            // Nobody counts by process what goes over the network, and which cores were busy.
            ..Reading::default()
        })
    }
}

/// One process of the machine at one moment.
#[derive(Clone, Debug)]
struct Seen {
    pid: u32,
    parent: Option<u32>,
    /// When it started, in seconds since 1970; with the pid it tells two processes apart.
    started: u64,
    cpu: Duration,
    memory_bytes: u64,
    disk: Traffic,
}

/// What grows as long as a process runs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Used {
    cpu: Duration,
    disk: Traffic,
}

/// Adds up what a tree of processes has used.
#[derive(Debug, Default)]
struct Ledger {
    used: Used,
    /// The start of the root, once it was seen: a later process with the same pid is another one.
    root_started: Option<u64>,
    known: HashMap<(u32, u64), Used>,
}

impl Ledger {
    /// Adds what the tree under `root` used since the last look and returns its memory in bytes.
    ///
    /// `None`, also for good, when the root is not there any more.
    fn take_in(&mut self, root: u32, seen: Vec<Seen>) -> Option<u64> {
        let started = seen.iter().find(|process| process.pid == root)?.started;
        if *self.root_started.get_or_insert(started) != started {
            return None;
        }
        let tree = tree(root, seen.iter().filter_map(|process| Some((process.pid, process.parent?))));
        let mut memory_bytes = 0_u64;
        let mut known = HashMap::with_capacity(tree.len());
        for process in seen.into_iter().filter(|process| tree.contains(&process.pid)) {
            let key = (process.pid, process.started);
            let before = self.known.get(&key).copied().unwrap_or_default();
            self.used.cpu = self.used.cpu.saturating_add(process.cpu.saturating_sub(before.cpu));
            self.used.disk = self.used.disk + process.disk.since(before.disk);
            memory_bytes = memory_bytes.saturating_add(process.memory_bytes);
            let disk = before.disk + process.disk.since(before.disk);
            known.insert(key, Used { cpu: process.cpu.max(before.cpu), disk });
        }
        self.known = known;
        Some(memory_bytes)
    }
}

/// Returns the pids of `root` and all its descendants, given processes with their parents.
fn tree(root: u32, parents: impl Iterator<Item = (u32, u32)>) -> HashSet<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for (pid, parent) in parents {
        children.entry(parent).or_default().push(pid);
    }
    let mut tree = HashSet::new();
    let mut next = vec![root];
    while let Some(pid) = next.pop() {
        // A pid that is reused during the look can close a circle; each is entered once.
        if tree.insert(pid) {
            next.extend(children.get(&pid).into_iter().flatten());
        }
    }
    tree
}

/// Returns all processes of the machine with their parents.
fn parents() -> impl Iterator<Item = (u32, u32)> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut stat = Vec::with_capacity(512);
    processes.filter_map(move |process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        stat.clear();
        // One that has ended in the meantime has no file.
        fs::File::open(format!("/proc/{pid}/stat")).ok()?.read_to_end(&mut stat).ok()?;
        Some((pid, parent(&stat)?))
    })
}

/// Reads `PID (NAME) STATE PARENT …` (proc_pid_stat(5)); a name may hold blanks and brackets of its own.
fn parent(stat: &[u8]) -> Option<u32> {
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let mut fields = stat[after_name..].split(|byte| *byte == b' ').skip(2);
    str::from_utf8(fields.next()?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
