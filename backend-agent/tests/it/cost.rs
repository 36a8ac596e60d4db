//! What an agent costs with its defaults: at most half a percent of a core, and 15 MB.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::gateway::{ACCEPTED, Gateway};
use crate::get;
use crate::running::Running;

const CPU_PERCENT_MAX: f64 = 0.5;
const MEMORY_KIB_MAX: u64 = 15 * 1000 * 1000 / 1024;

/// The CPU time that a process has used, in seconds: the first number of its `schedstat`, in nanoseconds.
fn cpu_seconds(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// The most memory that a process has had resident.
fn peak_memory_kib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

/// How often it is measured at most: on a machine that others use too, caches and clocks are theirs at times. What the agent
/// costs by itself is the best of them.
const WINDOWS: usize = 3;

/// Runs an agent as most would, ten seconds at a time, and holds it to the promise.
async fn costs_little(target: [&str; 2], gateway: &Gateway) {
    let options = ["--agent-check", "127.0.0.1:0", "--push", &gateway.url()];
    let agent = Running::start_as_told(&[&target[..], &options].concat()).await;
    agent.until_said("pushes are accepted").await;
    let mut measured = Vec::new();
    while measured.iter().all(|percent| *percent > CPU_PERCENT_MAX) {
        assert!(measured.len() < WINDOWS, "{target:?} costs {measured:?} % of a core");
        let (began, before) = (Instant::now(), cpu_seconds(agent.pid()));
        // Time is what the promise is about.
        for _ in 0..2 {
            get(agent.address, "/metrics").await;
            sleep(Duration::from_secs(5)).await;
        }
        measured.push(100.0 * (cpu_seconds(agent.pid()) - before) / began.elapsed().as_secs_f64());
    }
    let memory = peak_memory_kib(agent.pid());
    assert!(memory <= MEMORY_KIB_MAX, "{target:?} takes {memory} KiB");
}

#[tokio::test]
async fn an_agent_that_is_scraped_and_pushes_costs_next_to_nothing() {
    let gateway = Gateway::start(ACCEPTED).await;
    let pid = std::process::id().to_string();
    // One at a time, so that neither takes the other's.
    costs_little(["--source", "host"], &gateway).await;
    costs_little(["--process", &pid], &gateway).await;
}
