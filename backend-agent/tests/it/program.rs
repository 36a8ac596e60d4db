//! A program beside the agent, as in a container whose first process is the agent.

use std::io::Write as _;

use rustix::process::{Pid, Signal, test_kill_process};
use tokio::process::Command;

use crate::gateway::{ACCEPTED, Gateway};
use crate::running::{PROGRAM, Running};
use crate::{until, value};

/// Starts an agent beside a shell with a script.
async fn beside(options: &[&str], script: &str) -> Running {
    Running::start(&[options, &["--", "sh", "-c", script]].concat()).await
}

#[tokio::test]
async fn it_ends_with_the_program_and_its_status() {
    for (script, status) in [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 128 + 9)] {
        let mut agent = beside(&["--source", "host"], script).await;
        assert_eq!(agent.ended().await.code(), Some(status), "{script}");
    }
}

#[tokio::test]
async fn a_program_that_ends_takes_its_group_with_it() {
    let gateway = Gateway::start(ACCEPTED).await;
    let push = ["--source", "host", "--push", &gateway.url(), "--push-interval", "100ms"];
    let mut agent = beside(&push, "read _ < /dev/null; sleep 1; exit 7").await;
    gateway.after(1).await;
    assert_eq!(agent.ended().await.code(), Some(7));
    assert!(gateway.requests().last().unwrap().starts_with("DELETE "), "{}", agent.log());
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_told_as_a_shell_would() {
    for (program, status) in [("/nowhere/at-all", 127), ("/etc/passwd", 126)] {
        let run =
            Command::new(PROGRAM).args(["--listen", "127.0.0.1:0", "--", program]).output().await.unwrap();
        assert_eq!(run.status.code(), Some(status));
        let said = String::from_utf8(run.stderr).unwrap();
        assert!(said.contains(program), "{said}");
    }
}

#[tokio::test]
async fn signals_are_passed_on_and_the_agent_stays_until_the_program_has_ended() {
    let gateway = Gateway::start(ACCEPTED).await;
    let push = ["--source", "host", "--push", &gateway.url(), "--push-interval", "100ms"];
    let script = "trap 'echo reload' HUP; trap 'echo draining' TERM; trap 'echo done; exit 5' USR1
                  echo ready; while kill -0 $PPID; do sleep 0.05; done";
    let mut agent = beside(&push, script).await;
    assert_eq!(agent.line().await, "ready");
    agent.signal(Signal::HUP);
    assert_eq!(agent.line().await, "reload");
    gateway.after(1).await;
    agent.signal(Signal::TERM);
    assert_eq!(agent.line().await, "draining");
    agent.until_said("group deleted").await;
    assert_eq!(
        value(agent.address, "agent_target_up").await,
        Some(1.0),
        "it can be scraped while the program drains"
    );
    agent.signal(Signal::USR1);
    assert_eq!(agent.line().await, "done");
    assert_eq!(agent.ended().await.code(), Some(5));
    assert!(gateway.requests().last().unwrap().starts_with("DELETE "), "nothing is pushed after that");
}

/// Tells of each SIGINT, and ends with 5 by SIGUSR1. Of two that are due the shell takes SIGINT first.
const TELLS_INTERRUPTS: &str = "trap 'echo interrupted' INT; trap 'echo done; exit 5' USR1
                                echo ready; while kill -0 $PPID; do sleep 0.05; done";

#[tokio::test]
async fn an_interrupt_by_a_process_is_passed_on_also_at_a_terminal() {
    let options = ["--source", "host", "--", "sh", "-c", TELLS_INTERRUPTS];
    let (mut agent, _keyboard) = Running::start_at_a_terminal(&options).await;
    assert_eq!(agent.line().await, "ready");
    agent.signal(Signal::INT);
    assert_eq!(agent.line().await, "interrupted");
    agent.signal(Signal::USR1);
    assert_eq!(agent.line().await, "done");
    assert_eq!(agent.ended().await.code(), Some(5));
}

#[tokio::test]
async fn what_is_typed_at_a_terminal_reaches_the_program_once() {
    let options = ["--source", "host", "--", "sh", "-c", TELLS_INTERRUPTS];
    let (mut agent, mut keyboard) = Running::start_at_a_terminal(&options).await;
    assert_eq!(agent.line().await, "ready");
    keyboard.write_all(b"\x03").unwrap();
    assert_eq!(agent.line().await, "interrupted");
    agent.signal(Signal::USR1);
    assert_eq!(agent.line().await, "done", "not interrupted again");
    assert_eq!(agent.ended().await.code(), Some(5));
}

#[tokio::test]
async fn processes_that_the_program_leaves_behind_are_reaped() {
    // The inner shell ends at once and leaves a process behind, which ends as soon as it is told.
    let mut agent =
        beside(&["--source", "host"], "sh -c 'sleep 600 & echo $!'; read _; exec sleep 600").await;
    let orphan = Pid::from_raw(agent.line().await.parse().unwrap()).unwrap();
    rustix::process::kill_process(orphan, Signal::KILL).unwrap();
    let gone = async {
        // A zombie can still be signalled.
        while test_kill_process(orphan).is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(crate::running::PATIENCE, gone).await.expect("it is reaped");
    agent.signal(Signal::TERM);
    assert_eq!(agent.ended().await.code(), Some(128 + 15));
}

#[tokio::test]
async fn auto_measures_the_program_where_there_is_no_container() {
    let agent = beside(&[], "while kill -0 $PPID; do :; done").await;
    let container = value(agent.address, "agent_info{source=\"container\",version=\"0.1.0\"}").await;
    if container.is_none() {
        assert_eq!(value(agent.address, "agent_info{source=\"process\",version=\"0.1.0\"}").await, Some(1.0));
    }
    until(agent.address, "cpu_usage", |percent| percent > Some(1.0)).await;
    agent.signal(Signal::KILL);
}
