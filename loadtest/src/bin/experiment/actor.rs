//! Who kills the backend and starts it again: docker compose, or signals to a process. Both say exactly when.
//!
//! This is the seam between the experiment and where it takes place. An actor that was told to kill also puts
//! things back when the experiment ends early.

use crate::compose::Compose;
use anyhow::Context as _;
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::ffi::OsString;
use std::process::Stdio;
use std::time::{Duration, SystemTime};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a process that was started may take to end when it is asked to.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Who acts on the backend.
pub(crate) enum Actor {
    /// The service of this name.
    Compose {
        /// Its project.
        compose: Compose,
        /// Its name.
        service: String,
        /// Whether it was killed and not started again.
        absent: bool,
    },
    /// A process, and the command that takes its place.
    Process {
        /// Holds on to this very process: its id may be another's by the time it is killed.
        process: OwnedFd,
        /// What to start.
        command: Vec<OsString>,
        /// What was started.
        child: Option<Child>,
    },
}

impl Actor {
    /// Acts on a service of a compose project.
    pub(crate) fn compose(compose: Compose, service: &str) -> Actor {
        Actor::Compose { compose, service: service.to_owned(), absent: false }
    }

    /// Acts on the process with this id, in whose place `command` is started.
    ///
    /// # Errors
    /// When there is no such process.
    pub(crate) fn process(id: i32, command: Vec<OsString>) -> anyhow::Result<Actor> {
        let pid = Pid::from_raw(id).with_context(|| format!("{id} is no process id"))?;
        let process = pidfd_open(pid, PidfdFlags::empty())
            .with_context(|| format!("there is no process {id} to be killed; look at --process"))?;
        Ok(Actor::Process { process, command, child: None })
    }

    /// Kills the backend as `kill -9` does. Returns when that was.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<SystemTime> {
        match self {
            Actor::Compose { compose, service, absent } => {
                *absent = true;
                compose.run(&["kill", service]).await?;
                compose.container_time(service, "FinishedAt").await
            }
            Actor::Process { process, .. } => {
                let at = SystemTime::now();
                pidfd_send_signal(&*process, Signal::KILL).context("cannot kill the process")?;
                Ok(at)
            }
        }
    }

    /// Starts the backend again. Returns when that was.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) async fn start(&mut self) -> anyhow::Result<SystemTime> {
        match self {
            Actor::Compose { compose, service, absent } => {
                compose.run(&["start", service]).await?;
                *absent = false;
                compose.container_time(service, "StartedAt").await
            }
            Actor::Process { command, child, .. } => {
                let at = SystemTime::now();
                let (program, args) = command.split_first().context("there is no command to start")?;
                let mut start = Command::new(program);
                start.args(args).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
                let started = start.spawn();
                *child = Some(started.with_context(|| format!("cannot start {}", program.display()))?);
                Ok(at)
            }
        }
    }

    /// Puts back what the experiment changed: starts a service that it left dead, ends a process that it started.
    ///
    /// # Errors
    /// When that fails, with what to do by hand.
    pub(crate) async fn put_back(&mut self) -> anyhow::Result<()> {
        match self {
            Actor::Compose { absent: true, .. } => {
                self.start().await.context("the backend was killed, and is still down")?;
            }
            Actor::Process { child: Some(child), .. } => end(child).await?,
            Actor::Compose { .. } | Actor::Process { .. } => {}
        }
        Ok(())
    }
}

async fn end(child: &mut Child) -> anyhow::Result<()> {
    let running = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(pid) = running {
        let _ = rustix::process::kill_process(pid, Signal::TERM); // not reaped, so the id is its own
    }
    if timeout(END_TIMEOUT, child.wait()).await.is_err() {
        child.kill().await.context("cannot end the backend that was started")?;
    }
    Ok(())
}
