//! Child processes of the demo: this same program in another role, started, killed and always reaped.
//!
//! It stands apart because it keeps one promise whatever else goes wrong: no process outlives the demo. A child
//! that is dropped is killed, and each child asks the kernel to be killed with its parent, which covers SIGKILL
//! and an abort.

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{ChildStdout, Command};
use tokio::time::timeout;

/// How long a child may take to say where it listens.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a child may take to end after SIGTERM before it is killed.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// One child process.
pub(super) struct Child {
    name: String,
    process: tokio::process::Child,
    /// None when it writes nothing that matters. Kept open: a child that writes to a closed pipe would fail.
    stdout: Option<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl Child {
    /// Starts this program as `name` with `args`; what it logs goes to a file in `folder`.
    pub(super) fn start<A: AsRef<OsStr>>(
        name: &str,
        args: impl IntoIterator<Item = A>,
        folder: &Path,
    ) -> anyhow::Result<Child> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        // The link is this very program even when the file has been built anew since.
        let mut process = Command::new("/proc/self/exe")
            .arg0("plimsoll")
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            // Of its own: Ctrl-C is for the demo alone, which then ends its children in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start the process of {name}"))?;
        let stdout = process.stdout.take().map(BufReader::new);
        Ok(Child { name: name.to_owned(), process, stdout, log })
    }

    /// Waits until the child says where it listens.
    pub(super) async fn address(&mut self) -> anyhow::Result<SocketAddr> {
        let mut line = String::new();
        if let Some(stdout) = &mut self.stdout {
            let read = timeout(START_TIMEOUT, stdout.read_line(&mut line)).await;
            read.with_context(|| format!("{} does not start", self.name))??;
        }
        let address = backend_agent::child::announced(&line);
        address.with_context(|| format!("{} does not say where it listens. {}", self.name, self.last_words()))
    }

    /// What the child wrote to its log last, for an error about it.
    pub(super) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        let said = last.into_iter().rev().collect::<Vec<_>>().join("\n");
        format!("{} wrote last: {said}", self.name)
    }

    /// The process id; None once the process has ended, which also reaps it.
    pub(super) fn pid(&mut self) -> Option<u32> {
        match self.process.try_wait() {
            Ok(None) => self.process.id(),
            Ok(Some(_)) | Err(_) => None,
        }
    }

    /// Returns once the process has ended, and reaps it. Cancel safe.
    pub(super) async fn ended(&mut self) {
        let _ = self.process.wait().await; // an error means that there is nothing to wait for
    }

    /// Kills the process, as `kill -9` does, and reaps it.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill().await.with_context(|| format!("cannot kill {}", self.name))
    }

    /// Asks the process to end, kills it when it does not, and reaps it.
    pub(super) async fn end(&mut self) -> anyhow::Result<()> {
        let running = self.pid().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        if let Some(pid) = running {
            let _ = kill_process(pid, Signal::TERM); // not reaped yet, so the id is still this process's
        }
        match timeout(END_TIMEOUT, self.process.wait()).await {
            Ok(_) => Ok(()),
            Err(_) => self.kill().await,
        }
    }
}
