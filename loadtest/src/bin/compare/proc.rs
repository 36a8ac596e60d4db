//! Reads what a process and its children have used from /proc, and pins this one to a CPU.

use anyhow::Context;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::fs;

/// Pins this process, and with it every child started later, to one CPU.
pub(crate) fn pin_to(cpu: usize) -> anyhow::Result<()> {
    anyhow::ensure!(cpu < CpuSet::MAX_CPU, "cpu {cpu} does not exist; choose one from 0");
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set)
        .with_context(|| format!("cannot run on cpu {cpu}; choose another with --cpu"))
}

/// The CPU time in nanoseconds that the process and its present children have used, all threads of each.
pub(crate) fn cpu_ns(pid: u32) -> anyhow::Result<u64> {
    let mut total = 0;
    for pid in family(pid) {
        for task in tasks(pid) {
            // A thread that ended just now takes its time with it; the long-lived ones are what counts.
            let Ok(text) = fs::read_to_string(format!("/proc/{pid}/task/{task}/schedstat")) else { continue };
            let first = text.split_ascii_whitespace().next().unwrap_or_default();
            total += first.parse::<u64>().with_context(|| format!("schedstat of {pid} reads {text:?}"))?;
        }
    }
    anyhow::ensure!(total > 0, "process {pid} has used no CPU time; it seems to have ended");
    Ok(total)
}

/// The most memory in bytes that the process and its present children have had resident, added up.
pub(crate) fn peak_rss(pid: u32) -> u64 {
    let peak = |pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
    };
    family(pid).into_iter().map(peak).sum()
}

/// The process and all that descend from it.
fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let mut next = 0;
    while next < family.len() {
        let pid = family[next];
        for task in tasks(pid) {
            let children =
                fs::read_to_string(format!("/proc/{pid}/task/{task}/children")).unwrap_or_default();
            family.extend(children.split_ascii_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        next += 1;
    }
    family
}

fn tasks(pid: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_time_and_memory() {
        let pid = std::process::id();
        assert!(cpu_ns(pid).unwrap() > 0);
        assert!(peak_rss(pid) > 100_000);
    }

    #[test]
    fn a_child_belongs_to_the_family_until_it_ends() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(family(std::process::id()).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!family(std::process::id()).contains(&child.id()));
    }
}
