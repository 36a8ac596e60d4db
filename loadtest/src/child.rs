//! Starts other programs so that none outlives the one that started it, and ends them again.
//!
//! It is in the library because each of the benchmarks here starts balancers and backends, and what one leaves behind
//! would disturb the next.

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A running program. Dropped, it is asked to end.
#[derive(Debug)]
pub struct Running {
    child: Child,
    pid: u32,
}

/// A command that ends when this program does; what to run is added as arguments. It needs this program to call
/// [`become_command`] with what follows `with-parent --` on its command line.
///
/// # Errors
/// When this program cannot tell where it lies.
pub fn with_parent() -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["with-parent", "--"]).stdout(Stdio::null());
    Ok(command)
}

/// Becomes the given command. The death signal of a parent survives exec, so programs that know nothing of it end with
/// us as well. Returns only on failure.
pub fn become_command(command: &[OsString]) -> io::Error {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        return error.into();
    }
    match command.split_first() {
        Some((program, args)) => std::process::Command::new(program).args(args).exec(),
        None => io::Error::new(io::ErrorKind::InvalidInput, "no command given"),
    }
}

impl Running {
    /// Starts `command`, which gets no input unless it already has some.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> io::Result<Running> {
        let child = command.spawn()?;
        let pid = child.id().ok_or_else(|| io::Error::other("a child process has ended already"))?;
        Ok(Running { child, pid })
    }

    /// The process, for looking at it and for its streams.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The id of the process, which may have ended.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends `signal`, unless the process is known to have ended.
    pub fn signal(&self, signal: Signal) {
        let still_ours = self.child.id().and_then(|pid| Pid::from_raw(pid as i32));
        if let Some(pid) = still_ours {
            let _ = kill_process(pid, signal); // it may have ended by itself
        }
    }

    /// Asks the process to end, and makes it when it has not after `patience`.
    ///
    /// # Errors
    /// When it cannot be made to.
    pub async fn end(mut self, patience: Duration) -> io::Result<()> {
        self.signal(Signal::TERM);
        if timeout(patience, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
    }
}
