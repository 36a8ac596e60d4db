//! The program as a child process: what it says, and when it ends.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use backend_agent::child::announced;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::running::PROGRAM;
use crate::{until, value};

fn started(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap()
}

async fn address_of(child: &mut Child) -> SocketAddr {
    let stdout = child.stdout.as_mut().unwrap();
    let line = BufReader::new(stdout).lines().next_line().await.unwrap().expect("a line on stdout");
    announced(&line).unwrap_or_else(|| panic!("{line:?} announces nothing"))
}

async fn ended(mut child: Child) -> ExitStatus {
    tokio::time::timeout(Duration::from_secs(10), child.wait()).await.unwrap().unwrap()
}

#[tokio::test]
async fn it_announces_its_address_and_ends_well_on_sigterm() {
    let pid = std::process::id().to_string();
    let options = ["--process", &pid, "--listen", "127.0.0.1:0", "--interval", "100ms"];
    let mut child = started(Command::new(PROGRAM).args(options));
    let agent = address_of(&mut child).await;
    until(agent, "cpu_usage", |percent| percent.is_some()).await;
    assert_eq!(value(agent, "agent_target_up").await, Some(1.0));
    let pid = Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(ended(child).await.success());
}

#[tokio::test]
async fn it_does_not_outlive_a_parent_that_was_killed() {
    // The shell stays the parent, because something comes after the program.
    let script = format!("{PROGRAM} --source host --listen 127.0.0.1:0 --exit-with-parent; true");
    let mut shell = started(Command::new("sh").args(["-c", &script]));
    let agent = address_of(&mut shell).await;
    shell.start_kill().unwrap();
    ended(shell).await;
    let gone = async {
        while TcpStream::connect(agent).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("it still listens");
}

#[tokio::test]
async fn an_unknown_source_is_refused_with_those_that_exist() {
    let output = Command::new(PROGRAM).args(["--source", "cloud"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("`cloud` is no source; use auto, host, container or process:PID"), "{said}");
}
