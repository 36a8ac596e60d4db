//! A process: one that was found running, or one that is started here; and the command that takes its place.

use anyhow::Context as _;
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::Stdio;
use std::time::{Duration, SystemTime};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a process may take to end when it is asked to.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// How many bytes of what a process said last are shown.
const SAID_MAX: usize = 1000;

/// A process and its successors.
#[derive(Debug)]
pub struct Process {
    /// Holds on to this very process: its id may be another's by the time it is killed. None before the first start.
    handle: Option<OwnedFd>,
    command: Vec<OsString>,
    child: Option<Child>,
    /// What the child writes to stderr; None for our own stderr.
    said: Option<File>,
    origin: Origin,
}

/// Where a process comes from, and so what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Started here; ends with this program.
    Own,
    /// Found running; what is started in its place ends with this program.
    Replaced,
    /// Found running; what is started in its place stays.
    Found,
    /// Found running, under somebody who starts it again.
    Supervised,
}

impl Process {
    /// A process of our own that `command` starts. It does not run yet.
    pub fn own(command: Vec<OsString>) -> Process {
        Process { handle: None, command, child: None, said: tempfile::tempfile().ok(), origin: Origin::Own }
    }

    /// The process that runs with this id, in whose place `command` is started. What becomes of that tells `origin`.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn found(id: i32, command: Vec<OsString>, origin: Origin) -> anyhow::Result<Process> {
        let pid = Pid::from_raw(id).with_context(|| format!("{id} is no process id"))?;
        let handle = pidfd_open(pid, PidfdFlags::empty())
            .with_context(|| format!("there is no process {id}; look for another id"))?;
        Ok(Process { handle: Some(handle), command, child: None, said: None, origin })
    }

    /// Whether it runs on when this program has ended.
    pub fn outlives_us(&self) -> bool {
        matches!(self.origin, Origin::Found | Origin::Supervised)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let handle = self.handle.as_ref().context("it does not run")?;
        pidfd_send_signal(handle, signal).context("it has ended")
    }

    /// Starts it, once its predecessor has ended. Returns when that was. Does nothing where somebody else starts it.
    ///
    /// # Errors
    /// When it cannot be started, or the predecessor does not end.
    pub async fn start(&mut self) -> anyhow::Result<SystemTime> {
        if self.origin == Origin::Supervised {
            return Ok(SystemTime::now());
        }
        if let Some(handle) = self.handle.take() {
            let ended = timeout(END_TIMEOUT, ended(handle)).await;
            ended.with_context(|| format!("it still runs after {} s", END_TIMEOUT.as_secs()))??;
        }
        if let Some(child) = &mut self.child {
            child.wait().await.context("cannot wait for its predecessor")?;
        }
        let (program, args) = self.command.split_first().context("there is no command to start")?;
        let mut start = Command::new(program);
        start.args(args).stdin(Stdio::null()).stdout(Stdio::null());
        // A group of its own: Ctrl-C is for us, who then put everything back in order.
        start.process_group(0).kill_on_drop(!self.outlives_us());
        match &self.said {
            Some(said) => start.stderr(said.try_clone()?),
            None if self.outlives_us() => start.stderr(Stdio::null()),
            None => start.stderr(Stdio::inherit()),
        };
        let at = SystemTime::now();
        let child = start.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        self.handle = id.and_then(|id| pidfd_open(id, PidfdFlags::empty()).ok());
        self.child = Some(child);
        Ok(at)
    }

    /// Sees that what was started here still runs.
    ///
    /// # Errors
    /// When it has ended, with what it said last.
    pub fn check(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten()) else {
            return Ok(());
        };
        let said = self.last_words();
        let program = self.command.first().map_or(OsStr::new(""), OsString::as_os_str);
        anyhow::bail!("{} has ended with {status}: {said}", program.display())
    }

    fn last_words(&mut self) -> String {
        let mut said = Vec::new();
        if let Some(file) = &mut self.said {
            // What cannot be read is not worth another error.
            let _ = file.rewind().and_then(|()| file.read_to_end(&mut said));
        }
        let last = &said[said.len().saturating_sub(SAID_MAX)..];
        String::from_utf8_lossy(last).trim().to_owned()
    }

    /// Ends what was started here: asks it, and makes it when it does not.
    ///
    /// # Errors
    /// When it cannot be made to.
    pub async fn end(&mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        for signal in [Signal::TERM, Signal::CONT] {
            let _ = self.signal(signal); // it may have ended
        }
        if timeout(END_TIMEOUT, child.wait()).await.is_err() {
            child.kill().await.context("cannot end a process that was started")?;
        }
        self.handle = None;
        Ok(())
    }
}

/// Returns once the process has ended, also when nobody has asked yet how.
#[expect(deprecated, reason = "its replacement is unsafe for types with an odd AsRawFd; an OwnedFd's is not")]
async fn ended(handle: OwnedFd) -> anyhow::Result<()> {
    let handle = AsyncFd::with_interest(handle, Interest::READABLE).context("cannot wait for a process")?;
    handle.readable().await.map(drop).context("cannot wait for a process")
}
