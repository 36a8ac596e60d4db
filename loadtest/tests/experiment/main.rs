//! What the experiment promises: the whole command on real programs without containers, and that it tidies up.

#![expect(clippy::unwrap_used, reason = "in a test, also in what its tests share, an unwrap is an assertion")]

mod fleet;
mod stand_in;

use fleet::Fleet;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use stand_in::StandIn;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// Longer than anything here takes; a test that waits this long has failed.
const LONG: Duration = Duration::from_secs(120);

fn experiment(args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_experiment"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true).spawn().unwrap()
}

async fn ended(child: Child) -> Output {
    timeout(LONG, child.wait_with_output()).await.unwrap().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_real_outage_is_told_from_what_a_real_prometheus_scraped() {
    let fleet = Fleet::start().await;
    let place = tempfile::tempdir().unwrap();
    let report = place.path().join("report");
    let victim = fleet.backends[0].id().unwrap().to_string();
    let (url, admin, prometheus) = fleet.urls();
    let again: Vec<&str> = fleet.commands[0].iter().map(String::as_str).collect();
    let mut args =
        vec!["--url", &url, "--admin", &admin, "--prometheus", &prometheus, "--rate", "60", "--json"];
    args.extend(["--before", "6s", "--outage", "6s", "--after", "15s", "--process", &victim]);
    args.extend(["--report", report.to_str().unwrap(), "--"]);
    args.extend(again);
    let output = ended(experiment(&args)).await;
    let numbers = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}\n{numbers}", said(&output));

    let numbers: Value = serde_json::from_str(&numbers).unwrap();
    assert_eq!((&numbers["requests"], &numbers["failed"]), (&1620.into(), &0.into()), "{numbers}");
    let phases = numbers["phases"].as_array().unwrap();
    let names: Vec<&str> = phases.iter().map(|phase| phase["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["before", "during", "after"]);
    let expected = [[1.0 / 3.0; 3], [0.0, 0.5, 0.5], [1.0 / 3.0; 3]];
    for (phase, shares) in phases.iter().zip(expected) {
        for (backend, expected) in ["backend-1", "backend-2", "backend-3"].iter().zip(shares) {
            let share = phase["share"][backend].as_f64().unwrap();
            assert!((share - expected).abs() < 0.05, "{backend} {}: {numbers}", phase["name"]);
        }
    }
    let before = &phases[0]["cpu"];
    assert!(
        before["backend-1"].is_f64() && before["backend-3"].is_f64(),
        "the agents are scraped: {numbers}"
    );
    for span in ["detected_after", "redistributed_after", "back_after", "up_after"] {
        assert!(
            numbers[span].as_f64().is_some_and(|seconds| (0.0..30.0).contains(&seconds)),
            "{span}: {numbers}"
        );
    }
    let text = std::fs::read_to_string(report.join("report.md")).unwrap();
    assert!(text.contains("# backend-1 was killed, and no request failed"), "{text}");
    assert!(text.contains("scraped every 0.5 s"), "{text}");
    fleet.expect_nobody_at(0).await;
}

#[tokio::test]
async fn what_it_brought_up_is_taken_down_also_when_something_is_missing() {
    let docker = StandIn::docker("");
    let place = tempfile::tempdir().unwrap();
    let nobody = format!("http://{}", fleet::free_address());
    let report = place.path().to_str().unwrap();
    let base = ["--docker", docker.path(), "--report", report, "--admin", &nobody, "--wait", "0s"];
    let output = ended(experiment(&base)).await;
    let said = said(&output);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("not ready after 0 s") && said.contains("name it by --admin"), "{said}");
    let project = "compose --project-name plimsoll-experiment";
    let expected = ["ps --all --quiet", "up --detach --wait", "--profile * down --volumes --remove-orphans"];
    assert_eq!(docker.calls(), expected.map(|call| format!("{project} {call}")));

    let keep = StandIn::docker("");
    let args = ["--docker", keep.path(), "--report", report, "--admin", &nobody, "--wait", "0s"];
    ended(experiment(&[&args[..], &["--keep", "--file", "a.yaml", "--project", "mine"]].concat())).await;
    let project = "compose --project-name mine --file a.yaml";
    assert_eq!(
        keep.calls(),
        expected[..2].iter().map(|call| format!("{project} {call}")).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_stack_that_does_not_come_up_is_taken_down() {
    let docker =
        StandIn::docker("case \"$*\" in *' up '*) echo 'port is already allocated' >&2; exit 1;; esac");
    let place = tempfile::tempdir().unwrap();
    let args = ["--docker", docker.path(), "--report", place.path().to_str().unwrap()];
    let output = ended(experiment(&args)).await;
    let said = said(&output);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("port is already allocated") && said.contains("up --detach --wait fails"),
        "{said}"
    );
    assert!(docker.calls().last().unwrap().ends_with("down --volumes --remove-orphans"));
}

#[tokio::test]
async fn a_project_that_runs_already_is_left_alone() {
    let docker = StandIn::docker("case \"$*\" in *' ps '*) echo 0123abcd;; esac");
    let place = tempfile::tempdir().unwrap();
    let args = ["--docker", docker.path(), "--report", place.path().to_str().unwrap()];
    let output = ended(experiment(&args)).await;
    assert!(!output.status.success() && said(&output).contains("--no-up"), "{}", said(&output));
    assert_eq!(docker.calls().len(), 1, "{:?}", docker.calls());
}

#[tokio::test]
async fn an_interrupted_experiment_starts_what_it_has_killed() {
    let stack = StandIn::stack().await;
    let docker = StandIn::docker(
        "case \"$*\" in *' ps '*) echo 0123abcd;; *FinishedAt*|*StartedAt*) date -u +%Y-%m-%dT%H:%M:%S.%NZ;; esac",
    );
    let place = tempfile::tempdir().unwrap();
    let url = stack.url();
    let mut args = vec!["--docker", docker.path(), "--report", place.path().to_str().unwrap(), "--no-up"];
    args.extend([
        "--url",
        &url,
        "--admin",
        &url,
        "--prometheus",
        &url,
        "--before",
        "100ms",
        "--outage",
        "10m",
    ]);
    let experiment = experiment(&args);
    let deadline = Instant::now() + LONG;
    while !docker.calls().iter().any(|call| call == "compose kill backend-1") {
        assert!(Instant::now() < deadline, "{:?}", docker.calls());
        sleep(Duration::from_millis(10)).await;
    }
    let id = experiment.id().and_then(|id| Pid::from_raw(id.cast_signed())).unwrap();
    kill_process(id, Signal::TERM).unwrap();
    let output = ended(experiment).await;
    assert!(!output.status.success() && said(&output).contains("interrupted"), "{}", said(&output));
    assert!(docker.calls().iter().any(|call| call == "compose start backend-1"), "{:?}", docker.calls());
    assert!(!docker.calls().iter().any(|call| call.contains("down")), "the stack was there before");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "no report of half an experiment");
}

#[tokio::test]
async fn an_interrupt_ends_what_docker_has_started_and_takes_the_stack_down() {
    let place = tempfile::tempdir().unwrap();
    let note = place.path().join("compose");
    let docker = StandIn::docker(&format!(
        "case \"$*\" in *' up '*) sleep 1000 & echo $! >{0}.new; mv {0}.new {0}; wait;; esac",
        note.display()
    ));
    let report = place.path().join("report");
    let experiment = experiment(&["--docker", docker.path(), "--report", report.to_str().unwrap()]);
    let deadline = Instant::now() + LONG;
    while !note.exists() {
        assert!(Instant::now() < deadline, "{:?}", docker.calls());
        sleep(Duration::from_millis(10)).await;
    }
    let compose = std::fs::read_to_string(&note).unwrap();
    let id = experiment.id().and_then(|id| Pid::from_raw(id.cast_signed())).unwrap();
    kill_process(id, Signal::TERM).unwrap();
    let output = ended(experiment).await;
    assert!(!output.status.success() && said(&output).contains("interrupted"), "{}", said(&output));
    assert!(
        docker.calls().last().unwrap().ends_with("down --volumes --remove-orphans"),
        "{:?}",
        docker.calls()
    );
    while is_sleeping(compose.trim()) {
        assert!(Instant::now() < deadline, "what docker started goes on");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Whether the process with this id is the `sleep` that it was.
fn is_sleeping(id: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{id}/cmdline")).is_ok_and(|line| line.starts_with("sleep"))
}

#[tokio::test]
async fn a_prometheus_that_does_not_answer_is_named_before_anything_is_killed() {
    let stack = StandIn::stack().await;
    let docker = StandIn::docker("");
    let place = tempfile::tempdir().unwrap();
    let (url, nobody) = (stack.url(), format!("http://{}", fleet::free_address()));
    let mut args = vec!["--docker", docker.path(), "--report", place.path().to_str().unwrap(), "--no-up"];
    args.extend(["--url", &url, "--admin", &url, "--prometheus", &nobody, "--wait", "0s"]);
    let output = ended(experiment(&args)).await;
    let said = said(&output);
    assert!(!output.status.success() && said.contains("name it by --prometheus"), "{said}");
    assert!(said.contains(&nobody), "{said}");
    assert_eq!(docker.calls(), [""; 0]);
}

#[tokio::test]
async fn what_cannot_work_is_said_at_once() {
    let place = tempfile::tempdir().unwrap();
    let report = place.path().to_str().unwrap();
    let refused = async |args: &[&str]| {
        let output = ended(experiment(&[&["--report", report], args].concat())).await;
        assert!(!output.status.success());
        said(&output)
    };
    let said = refused(&["--docker", "/no/such/docker"]).await;
    assert!(said.contains("cannot start /no/such/docker; install Docker"), "{said}");
    let said = refused(&["--process", "999999999", "--", "true"]).await;
    assert!(said.contains("there is no process 999999999"), "{said}");
    let said = refused(&["--process", "1"]).await;
    assert!(said.contains("COMMAND"), "{said}");
    std::fs::write(place.path().join("report.md"), "mine").unwrap();
    let said = refused(&[]).await;
    assert!(said.contains("report.md is not from a report"), "{said}");
}
