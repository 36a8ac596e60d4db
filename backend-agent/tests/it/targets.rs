//! What is exported about a machine, a container and a process.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use backend_agent::{Settings, Source, serve};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::{get, until, value};

/// Starts an agent inside the test that samples often.
async fn agent(source: Source, root: &Path) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let settings =
        Settings { interval: Duration::from_millis(100), root: root.to_owned(), ..Settings::new(source) };
    tokio::spawn(serve(settings, listener, None, std::future::pending()).unwrap());
    address
}

/// A process that keeps one CPU busy, for at most a minute should nobody end it.
fn burner() -> Child {
    let script = "ulimit -t 60; while kill -0 $PPID; do :; done";
    Command::new("sh").args(["-c", script]).stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap()
}

#[tokio::test]
async fn a_busy_process_is_seen_and_one_that_was_killed_is_seen_to_be_gone() {
    let mut burner = burner();
    let agent = agent(Source::Process(burner.id().unwrap()), Path::new("/")).await;
    until(agent, "cpu_usage", |percent| percent.is_some_and(|percent| percent > 1.0)).await;
    assert_eq!(value(agent, "agent_target_up").await, Some(1.0));
    assert!(value(agent, "agent_memory_bytes").await > Some(0.0));
    assert!(value(agent, "agent_cpu_seconds_total").await > Some(0.0));

    // Not waited for, so it stays a zombie: that is how a killed child of another program looks at first.
    burner.start_kill().unwrap();
    until(agent, "agent_target_up", |up| up == Some(0.0)).await;
    assert_eq!(value(agent, "cpu_usage").await, None);
    assert_eq!(value(agent, "agent_memory_bytes").await, None);
    assert_eq!(value(agent, "agent_sample_errors_total").await, Some(0.0));
}

#[tokio::test]
async fn a_process_that_is_gone_from_the_start_is_reported_and_no_reason_to_end() {
    let mut ended = Command::new("true").spawn().unwrap();
    let pid = ended.id().unwrap();
    ended.wait().await.unwrap();
    let agent = agent(Source::Process(pid), Path::new("/")).await;
    until(agent, "agent_target_up", |up| up == Some(0.0)).await;
    assert_eq!(value(agent, "cpu_usage").await, None);
    assert!(get(agent, "/live").await.ends_with("live\n"));
}

#[tokio::test]
async fn the_children_of_a_process_count_as_its_own() {
    let _burner = burner();
    // This process itself only waits.
    let agent = agent(Source::Process(std::process::id()), Path::new("/")).await;
    until(agent, "cpu_usage", |percent| percent.is_some_and(|percent| percent > 1.0)).await;
}

#[tokio::test]
async fn a_host_is_at_most_fully_busy() {
    let agent = agent(Source::Host, Path::new("/")).await;
    until(agent, "cpu_usage", |percent| percent.is_some()).await;
    let percent = value(agent, "cpu_usage").await.unwrap();
    assert!((0.0..=100.0).contains(&percent), "{percent}");
    assert!(value(agent, "agent_cpu_capacity_cores").await >= Some(1.0));
    let answer = get(agent, "/metrics").await;
    assert!(answer.contains("\r\ncontent-type: text/plain; version=0.0.4\r\n"), "{answer}");
    assert!(answer.contains("\nagent_info{source=\"host\",version=\"0.1.0\"} 1\n"), "{answer}");
    assert!(value(agent, "agent_sample_timestamp_seconds").await > Some(1.7e9));
}

#[tokio::test]
async fn of_a_host_everything_is_shown_and_promtool_finds_nothing_to_improve() {
    let agent = agent(Source::Host, Path::new("/")).await;
    until(agent, "agent_cpu_core_usage{core=\"0\"}", |percent| percent >= Some(0.0)).await;
    assert!(value(agent, "agent_memory_limit_bytes").await > value(agent, "agent_memory_bytes").await);
    for series in ["load1", "load5", "load15", "network_received_bytes_total", "network_sent_bytes_total"] {
        assert!(value(agent, &format!("agent_{series}")).await >= Some(0.0), "{series}");
    }
    assert!(value(agent, "agent_disk_read_bytes_total").await >= Some(0.0));
    assert!(value(agent, "agent_disk_written_bytes_total").await >= Some(0.0));

    let page = get(agent, "/metrics").await;
    let mut promtool = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed (Debian's package prometheus); ./check does it");
    let series = page.split_once("\r\n\r\n").unwrap().1;
    promtool.stdin.take().unwrap().write_all(series.as_bytes()).unwrap();
    let verdict = promtool.wait_with_output().unwrap();
    let said = String::from_utf8([verdict.stdout, verdict.stderr].concat()).unwrap();
    assert!(verdict.status.success() && said.is_empty(), "{said}");
}

#[tokio::test]
async fn what_a_process_writes_to_disk_is_its_own() {
    // Not under /tmp, which may be memory.
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("written-by-{}", std::process::id()));
    let script = format!("while kill -0 $PPID; do echo something > {}; sleep 0.05; done", file.display());
    let mut writer = Command::new("sh").args(["-c", &script]).kill_on_drop(true).spawn().unwrap();
    let agent = agent(Source::Process(writer.id().unwrap()), Path::new("/")).await;
    until(agent, "agent_disk_written_bytes_total", |written| written > Some(0.0)).await;
    assert!(value(agent, "agent_memory_limit_bytes").await > Some(0.0));
    assert_eq!(value(agent, "agent_network_sent_bytes_total").await, None, "nobody counts that by process");
    writer.kill().await.unwrap();
    let _ = std::fs::remove_file(file);
}

#[tokio::test]
async fn files_that_vanish_are_counted_as_errors_until_they_are_back() {
    let root = tempfile::tempdir().unwrap();
    let stat = root.path().join("proc/stat");
    std::fs::create_dir(root.path().join("proc")).unwrap();
    let text = "cpu  1 1 1 1 1 1 1 1 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
    std::fs::write(&stat, text).unwrap();
    let agent = agent(Source::Host, root.path()).await;
    until(agent, "cpu_usage", |percent| percent == Some(0.0)).await;
    std::fs::remove_file(&stat).unwrap();
    until(agent, "agent_sample_errors_total", |errors| errors > Some(1.0)).await;
    assert_eq!(value(agent, "agent_target_up").await, Some(0.0));
    assert_eq!(value(agent, "cpu_usage").await, None);
    std::fs::write(&stat, text).unwrap();
    until(agent, "cpu_usage", |percent| percent == Some(0.0)).await;
}

#[tokio::test]
async fn a_container_that_cannot_be_found_is_an_error_that_says_what_to_do() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("proc")).unwrap();
    std::fs::write(root.path().join("proc/stat"), "cpu  1 1 1 1 1 1 1 1 0 0\ncpu0 1\n").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = Settings { root: root.path().to_owned(), ..Settings::new(Source::Container) };
    let said = serve(settings, listener, None, std::future::pending()).err().unwrap().to_string();
    assert!(said.contains("--source host"), "{said}");
}
