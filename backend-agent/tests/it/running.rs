//! The agent as a child process: its address, its log, its end.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backend_agent::child::announced;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_backend-agent");

const ON_A_FREE_PORT: [&str; 2] = ["--listen", "127.0.0.1:0"];

/// How long anything may take that is waited for; far more than it needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An agent that runs, and is killed when the test is over.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    log: Arc<Mutex<String>>,
}

impl Running {
    /// Starts an agent that listens on a free port and samples often, and waits until it says which port.
    pub(crate) async fn start(options: &[&str]) -> Self {
        Self::start_as_told(&[&["--interval", "100ms"], options].concat()).await
    }

    /// The same, without an interval of its own.
    pub(crate) async fn start_as_told(options: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(ON_A_FREE_PORT).args(options).stdin(Stdio::null());
        Self::start_by(command).await
    }

    /// Starts an agent at a terminal of its own, as the first process of its session, which is what `docker run -t` does.
    /// Returns the other end of the terminal too.
    pub(crate) async fn start_at_a_terminal(options: &[&str]) -> (Self, File) {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let terminal = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        // It runs the agent in its own place, and so with its process id.
        let mut command = Command::new("setsid");
        command.args(["--ctty", PROGRAM]).args(ON_A_FREE_PORT).args(options).stdin(terminal);
        (Self::start_by(command).await, keyboard.into())
    }

    async fn start_by(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let lines = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = stderr.next_line().await {
                *lines.lock().unwrap() += &format!("{line}\n");
            }
        });
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut running = Self { address: "0.0.0.0:0".parse().unwrap(), child, stdout, log };
        let line = running.line().await;
        running.address = announced(&line).unwrap_or_else(|| panic!("{line:?} announces nothing"));
        running
    }

    /// Returns the next line on stdout.
    pub(crate) async fn line(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.stdout.next_line()).await;
        line.expect("a line in time").unwrap().expect("a line before the end of stdout")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid().cast_signed()).unwrap(), signal).unwrap();
    }

    /// Returns the log so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Returns how many lines of the log contain a text.
    pub(crate) fn said(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    /// Waits until the log contains a text.
    pub(crate) async fn until_said(&self, text: &str) {
        let said = async {
            while self.said(text) == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, said).await;
        waited.unwrap_or_else(|_| panic!("{text:?} was never said:\n{}", self.log()));
    }

    /// Waits until a text was said, which by then was said once.
    pub(crate) async fn once_said(&self, text: &str) {
        self.until_said(text).await;
        assert_eq!(self.said(text), 1, "{}", self.log());
    }

    /// Waits until it has ended by itself or for a signal.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap()
    }
}
