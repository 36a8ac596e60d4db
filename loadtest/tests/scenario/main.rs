//! What `loadtest scenario` promises: the whole command on real programs, and that it puts back what it has changed.

#![expect(clippy::unwrap_used, reason = "in a test, also in what its tests share, an unwrap is an assertion")]

mod stand_in;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use stand_in::{Docker, Target};
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// Longer than anything here takes; a test that waits this long has failed.
const LONG: Duration = Duration::from_secs(120);

fn loadtest(args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.arg("scenario").args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true).spawn().unwrap()
}

async fn ended(child: Child) -> Output {
    timeout(LONG, child.wait_with_output()).await.unwrap().unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said).into_owned()).join("\n")
}

fn interrupt(child: &Child) {
    let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).unwrap();
    kill_process(id, Signal::TERM).unwrap();
}

async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} does not come about");
        sleep(Duration::from_millis(10)).await;
    }
}

/// A scenario file in a folder of its own.
struct Scenario {
    path: PathBuf,
    _folder: TempDir,
}

impl Scenario {
    fn new(text: &str) -> Scenario {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scenario.yaml");
        std::fs::write(&path, text).unwrap();
        Scenario { path, _folder: folder }
    }

    fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }
}

/// The scenario that brings its own balancer and backends, on free ports.
struct Processes {
    file: String,
    settings: Vec<String>,
    addresses: Vec<SocketAddr>,
}

impl Processes {
    fn new(more: &[&str]) -> Processes {
        let program = Path::new(env!("CARGO_BIN_EXE_loadtest"));
        for name in ["plimsoll", "demo-backend"] {
            let path = program.with_file_name(name);
            assert!(
                path.exists(),
                "{} is missing; run cargo test --workspace, or cargo build first",
                path.display()
            );
        }
        let folder = program.parent().unwrap().display();
        let addresses: Vec<SocketAddr> = (0..5).map(|_| free_address()).collect();
        let names = ["web", "admin", "backend_1", "backend_2", "backend_3"];
        let mut settings: Vec<String> =
            names.iter().zip(&addresses).map(|(name, address)| format!("{name}={address}")).collect();
        settings.push(format!("bin={folder}"));
        settings.extend(more.iter().map(|setting| (*setting).to_owned()));
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/restart-processes.yaml").to_owned();
        Processes { file, settings, addresses }
    }

    fn args<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let settings = self.settings.iter().flat_map(|setting| ["--set", setting.as_str()]);
        [self.file.as_str()].into_iter().chain(settings).chain(more.iter().copied()).collect()
    }

    fn answers(&self, at: usize) -> bool {
        TcpStream::connect(self.addresses[at]).is_ok()
    }
}

/// An address that was free a moment ago.
fn free_address() -> SocketAddr {
    loadtest::program::free_address().expect("a port is free")
}

#[tokio::test]
async fn a_backend_is_killed_and_comes_back_and_what_must_hold_does() {
    // Wide bounds: what is slow here is the machine, and what is measured is the scenario.
    let short = ["before=1s", "outage=2s", "return=6s", "after=2s", "rate=60"];
    let wide = ["third=5%..70%", "half=20%..80%", "gone=0%..20%", "gap=30s", "p99=10s"];
    let processes = Processes::new(&[short, wide].concat());
    let place = tempfile::tempdir().unwrap();
    let (report, table) = (place.path().join("report"), place.path().join("table.csv"));
    let more = ["--json", "--report", report.to_str().unwrap(), "--csv", table.to_str().unwrap()];
    let output = ended(loadtest(&processes.args(&more))).await;
    let all = said(&output);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert_eq!((told["requests"].as_u64(), told["failed"].as_u64()), (Some(660), Some(0)), "{all}");
    assert_eq!((told["held"].as_bool(), output.status.code()), (Some(true), Some(0)), "{all}");
    let acts: Vec<&str> =
        told["acts"].as_array().unwrap().iter().map(|act| act["act"].as_str().unwrap()).collect();
    assert_eq!(acts, ["kill backend-1", "start backend-1"]);
    assert!(all.contains("failed  share") && all.contains("kill backend-1"), "progress is shown: {all}");
    let page = std::fs::read_to_string(report.join("index.html")).unwrap();
    assert!(
        page.contains("backend-1 was killed, and no request failed")
            && page.contains("8 of 8 assertions held")
    );
    let table = std::fs::read_to_string(table).unwrap();
    assert!(table.lines().any(|line| line.starts_with("2,outage,backend-2,")), "{table}");
    for at in 0..5 {
        assert!(!processes.answers(at), "{} still answers", processes.addresses[at]);
    }
}

#[tokio::test]
async fn an_interrupted_scenario_ends_what_it_has_started() {
    let processes = Processes::new(&["before=1s", "outage=10m"]);
    let running = loadtest(&processes.args(&["--quiet"]));
    wait_until("the first backend's start", || processes.answers(2)).await;
    wait_until("the load", || processes.answers(0)).await;
    wait_until("the kill of the first backend", || !processes.answers(2)).await;
    interrupt(&running);
    let output = ended(running).await;
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("interrupted"), "{}", said(&output));
    for at in 0..5 {
        assert!(!processes.answers(at), "{} still answers", processes.addresses[at]);
    }
}

#[tokio::test]
async fn what_is_broken_is_said_with_what_was_measured() {
    let nobody = free_address();
    let file = Scenario::new(&format!(
        "target: http://{nobody}/\nrate: 50\nphases:\n- {{name: all, duration: 200ms, assert: [failed <= 3]}}\n\
         assert: [p99 <= 1s, gap <= 1h]\n"
    ));
    let output = ended(loadtest(&[file.path(), "--quiet"])).await;
    let all = said(&output);
    assert_eq!(output.status.code(), Some(1), "{all}");
    for line in [
        "BROKEN  all: failed <= 3, measured 10 of 10",
        "BROKEN  whole run: p99 <= 1s, measured no request succeeded",
        "held    whole run: gap <= 1h",
    ] {
        assert!(all.contains(line), "{line} is missing in {all}");
    }
    assert!(output.stderr.is_empty(), "quiet: {all}");
}

#[tokio::test]
async fn services_are_killed_frozen_and_put_back_the_last_first() {
    let target = Target::start().await;
    let docker = Docker::new();
    let file = Scenario::new(&format!(
        "target: {0}\nrate: 20\nadmin: {{url: '{0}'}}\nprograms:\n  a: {{compose: one, project: mine}}\n  \
         b: {{compose: two}}\nphases:\n- name: all\n  duration: 20m\n  actions: [kill: a, start: a, stop: a, freeze: b]\n",
        target.url()
    ));
    let running = loadtest(&[file.path(), "--docker", docker.path(), "--quiet"]);
    wait_until("the last deed", || docker.deeds().iter().any(|deed| deed == "compose pause two")).await;
    interrupt(&running);
    let output = ended(running).await;
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let mine = "compose --project-name mine";
    let expected = [
        format!("{mine} kill one"),
        format!("{mine} start one"),
        format!("{mine} stop one"),
        "compose pause two".to_owned(),
        "compose unpause two".to_owned(),
        format!("{mine} start one"),
    ];
    assert_eq!(docker.deeds(), expected);
}

#[tokio::test]
async fn a_process_that_was_found_and_killed_runs_again_at_the_end() {
    let target = Target::start().await;
    let place = tempfile::tempdir().unwrap();
    let note = place.path().join("again");
    let mut found = Command::new("sleep").arg("1000").kill_on_drop(true).spawn().unwrap();
    let file = Scenario::new(&format!(
        "target: {}\nrate: 20\nprograms:\n  a:\n    pid: {}\n    command: [sh, -c, 'echo $$ >{}; exec sleep 1000']\n\
         phases:\n- {{name: all, duration: 100ms, actions: [kill: a]}}\n",
        target.url(),
        found.id().unwrap(),
        note.display()
    ));
    let output = ended(loadtest(&[file.path(), "--quiet"])).await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(!timeout(LONG, found.wait()).await.unwrap().unwrap().success());
    wait_until("the successor", || std::fs::read_to_string(&note).is_ok_and(|id| id.ends_with('\n'))).await;
    let id = std::fs::read_to_string(&note).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(id).unwrap(), Signal::KILL).unwrap();
}

#[tokio::test]
async fn what_cannot_work_is_said_before_anything_is_done() {
    let ended_with = async |text: &str, more: &[&str]| {
        let file = Scenario::new(text);
        let output = ended(loadtest(&[&[file.path()], more].concat())).await;
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        said(&output).replace(file.path(), "FILE")
    };
    let good =
        "settings: {a: 1}\ntarget: http://127.0.0.1:1/\nrate: 1\nphases: [{name: all, duration: 1s}]\n";
    let misspelt = ended_with(&format!("{good}asert: []\n"), &[]).await;
    assert!(misspelt.contains("FILE:5:1: unknown field `asert`"), "{misspelt}");
    let unset = ended_with(good, &["--set", "b=2"]).await;
    assert!(unset.contains("the scenario has no setting `b`: a"), "{unset}");
    let remote = ended_with(&good.replace("127.0.0.1", "192.0.2.1"), &[]).await;
    assert!(remote.contains("loopback"), "{remote}");
    let call = "actions: [{call: {url: 'http://192.0.2.1/'}}]}]\n";
    let calls = ended_with(&good.replace("1s}]", &format!("1s, {call}")), &[]).await;
    assert!(calls.contains("192.0.2.1") && calls.contains("--allow-remote"), "{calls}");
    let program = "programs: {a: {command: /nowhere/a, ready: 'http://127.0.0.1:1'}}";
    let gone = ended_with(&format!("{good}{program}\n"), &[]).await;
    assert!(gone.contains("waiting for a") && gone.contains("has ended"), "{gone}");
}

#[test]
fn the_k6_scripts_are_valid_javascript() {
    let place = tempfile::tempdir().unwrap();
    for name in ["steady", "restart"] {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("k6/{name}.js"));
        // Only by this ending does node take it for a module, as k6 does.
        let module = place.path().join(format!("{name}.mjs"));
        std::fs::copy(script, &module).unwrap();
        let checked = std::process::Command::new("node").arg("--check").arg(&module).output();
        let Ok(checked) = checked else {
            writeln!(std::io::stderr(), "there is no node: the k6 scripts are not checked").unwrap();
            return;
        };
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}
