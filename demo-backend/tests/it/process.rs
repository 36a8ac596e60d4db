//! The program as a child process: what it says, and when it ends.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use backend_agent::child::announced;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::get;

const PROGRAM: &str = env!("CARGO_BIN_EXE_demo-backend");

fn quiet(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap()
}

async fn address_from(stdout: impl AsyncRead + Unpin) -> SocketAddr {
    let line = BufReader::new(stdout).lines().next_line().await.unwrap().expect("a line on stdout");
    announced(&line).unwrap_or_else(|| panic!("{line:?} announces nothing"))
}

async fn ended(mut child: Child) -> ExitStatus {
    tokio::time::timeout(Duration::from_secs(10), child.wait()).await.unwrap().unwrap()
}

#[tokio::test]
async fn it_announces_its_address_and_ends_well_on_sigterm_and_sigint() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut child = quiet(Command::new(PROGRAM).args(["--name", "backend-3", "--listen", "127.0.0.1:0"]));
        let address = address_from(child.stdout.take().unwrap()).await;
        assert_eq!(get(address, "/").await.text(), "Hello, World!\nServer 3");
        let pid = Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        assert!(ended(child).await.success(), "{signal:?}");
    }
}

#[tokio::test]
async fn it_does_not_outlive_a_parent_that_was_killed() {
    // The shell stays the parent, because something comes after the program; `$$` is the shell's own process id.
    let script = format!("{PROGRAM} --listen 127.0.0.1:0 --exit-with-parent=$$; true");
    let mut shell = quiet(Command::new("sh").args(["-c", &script]));
    let address = address_from(shell.stdout.take().unwrap()).await;
    assert_eq!(get(address, "/").await.status, 200);
    shell.start_kill().unwrap();
    ended(shell).await;
    let gone = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("it still listens");
}

#[tokio::test]
async fn it_refuses_to_start_for_a_parent_that_is_already_gone() {
    let child =
        quiet(Command::new(PROGRAM).args(["--listen", "127.0.0.1:0", "--exit-with-parent=2147483647"]));
    assert_eq!(ended(child).await.code(), Some(1));
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = Command::new(PROGRAM).args(["--listen", &address]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
}
