//! `plimsoll demo`: a backend that dies costs its clients nothing, and the demo leaves nothing behind.

#![expect(clippy::unwrap_used, reason = "in a test, also in what its tests share, an unwrap is an assertion")]

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// Longer than anything here takes; a test that waits this long has failed.
const LONG: Duration = Duration::from_secs(60);

fn demo(args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .arg("demo")
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// The command lines of the processes that belong to the demo with this process id.
fn processes_of(demo: u32) -> Vec<String> {
    let mark = format!("--exit-with-parent={demo}\0");
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok())
        .filter(|line| line.contains(&mark))
        .map(|line| line.replace('\0', " "))
        .collect()
}

async fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} does not come about");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Reads lines until one is as it is waited for, and returns all of them.
async fn lines_until(from: impl AsyncRead + Unpin, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut lines = BufReader::new(from).lines();
    let mut read = Vec::new();
    while read.last().is_none_or(|last: &String| !is_wanted(last)) {
        let line = timeout(LONG, lines.next_line()).await.unwrap().unwrap();
        assert!(line.is_some(), "no line is as it is waited for: {read:?}");
        read.extend(line);
    }
    read
}

#[tokio::test]
async fn a_backend_that_is_killed_and_comes_back_costs_no_request() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("new/report");
    let told = folder.to_str().unwrap();
    let args = ["--duration", "24s", "--rate", "200", "--scenario", "restart", "--json", "--report", told];
    let demo = demo(&args);
    let output = timeout(LONG, demo.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));

    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["requests"], &report["failed"]), (&4800.into(), &0.into()), "{report}");
    let phases = report["phases"].as_array().unwrap();
    let names: Vec<&str> = phases.iter().map(|phase| phase["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["before", "during", "after"]);
    let share = |phase: usize, backend: &str| phases[phase]["share"][backend].as_f64().unwrap();
    for phase in [0, 2] {
        for backend in ["backend-1", "backend-2", "backend-3"] {
            assert!((share(phase, backend) - 0.333).abs() < 0.05, "{report}");
        }
    }
    assert_eq!(share(1, "backend-1"), 0.0);
    assert!((share(1, "backend-2") - 0.5).abs() < 0.05, "{report}");
    assert!(report["detected_after_ms"].is_f64() && report["recovered_after_ms"].is_f64(), "{report}");

    assert!(said.contains(&format!("report   {told}/index.html")), "{said}");
    let text = std::fs::read_to_string(folder.join("report.md")).unwrap();
    assert!(text.contains("# backend-1 was killed, and no request failed"), "{text}");
    let shares = shares(&text, "backend-1");
    assert!(shares.len() > 1 && (shares[0] - 33.3).abs() < 5.0 && shares[1] == 0.0, "{text}");
    let events = ["| killed: ", "| detected: ", "| started: ", "| back: ", "| up: "];
    assert!(events.iter().all(|event| text.contains(event)), "{text}");
    assert!(std::fs::read_to_string(folder.join("index.html")).unwrap().ends_with("</html>\n"));
}

/// The shares of a backend in the report, phase by phase, in percent.
fn shares(report: &str, backend: &str) -> Vec<f64> {
    let row = report.lines().find(|line| line.starts_with(&format!("| {backend} |"))).unwrap();
    row.split('|').filter_map(|cell| cell.trim().strip_suffix(" %")?.parse().ok()).collect()
}

#[tokio::test]
async fn a_file_that_is_no_report_stops_the_demo_before_it_begins() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("index.html"), "mine").unwrap();
    let demo = demo(&["--report", place.path().to_str().unwrap()]);
    let output = timeout(LONG, demo.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("index.html is not from a report"), "{said}");
    assert!(output.stdout.is_empty(), "nothing was started");
    assert_eq!(std::fs::read_to_string(place.path().join("index.html")).unwrap(), "mine");
}

#[tokio::test]
async fn an_interrupted_demo_shows_and_reports_what_was_and_ends_its_processes() {
    let mut demo = demo(&["--duration", "10m"]);
    let pid = demo.id().unwrap();
    let shows_cpu = |line: &str| line.contains(" cpu=") && !line.contains(" cpu=-");
    let lines = lines_until(demo.stdout.as_mut().unwrap(), shows_cpu).await;
    assert!(lines.iter().any(|line| line.starts_with("backend-3 pid ")), "{lines:?}");
    assert_eq!(processes_of(pid).len(), 7, "three backends, their agents and the balancer");
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::INT).unwrap();
    let output = timeout(LONG, demo.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains(" 0 failed"), "{said}");
    assert_eq!(processes_of(pid), [""; 0]);
}

#[tokio::test]
async fn a_demo_that_is_killed_leaves_no_process_behind() {
    let mut demo = demo(&["--duration", "10m", "--json"]);
    let pid = demo.id().unwrap();
    lines_until(demo.stderr.as_mut().unwrap(), |line| line.contains("requests per second")).await;
    assert_eq!(processes_of(pid).len(), 7);
    demo.kill().await.unwrap();
    wait_for("the end of the demo's processes", || processes_of(pid).is_empty()).await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = timeout(LONG, demo(&["--port", &port]).wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains(&format!("port {port} of --port is not free")),
        "{said}"
    );
}
