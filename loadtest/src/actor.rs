//! Does to a backend what may happen to it, and puts it back: docker compose, or signals to a process.
//!
//! This is the seam between an experiment and where it takes place. Each deed returns when exactly it was done. An actor
//! remembers what it left behind, so that it can be put back however the experiment ends.

pub mod compose;

pub mod process;

use anyhow::Context as _;
use compose::Compose;
use process::Process;
use rustix::process::Signal;
use std::time::SystemTime;

/// Who acts on one backend.
#[derive(Debug)]
pub struct Actor {
    place: Place,
    left: Left,
}

#[derive(Debug)]
enum Place {
    /// The service of this name.
    Compose(Compose, String),
    Process(Process),
}

/// What the backend was left as by the last deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Running,
    Frozen,
    Absent,
}

/// What can be done to a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Ends it at once, as `kill -9` does.
    Kill,
    /// Asks it to end, as `kill` does.
    Stop,
    /// Lets it do nothing, without closing its connections.
    Freeze,
    /// Lets it go on.
    Continue,
    /// Starts it again.
    Start,
}

impl Actor {
    /// Acts on a service of a compose project.
    pub fn compose(compose: Compose, service: &str) -> Actor {
        Actor { place: Place::Compose(compose, service.to_owned()), left: Left::Running }
    }

    /// Acts on a process.
    pub fn process(process: Process) -> Actor {
        Actor { place: Place::Process(process), left: Left::Running }
    }

    /// The process; None for a service.
    pub fn as_process(&mut self) -> Option<&mut Process> {
        match &mut self.place {
            Place::Process(process) => Some(process),
            Place::Compose(..) => None,
        }
    }

    /// Does it. Returns when that was.
    ///
    /// # Errors
    /// When it cannot be done.
    pub async fn act(&mut self, deed: Deed) -> anyhow::Result<SystemTime> {
        // Before it is done, which may fail half way: to put back what was not taken away does no harm.
        let after = match deed {
            Deed::Kill | Deed::Stop => Left::Absent,
            Deed::Freeze => Left::Frozen,
            Deed::Continue | Deed::Start => Left::Running,
        };
        if after != Left::Running && self.left != Left::Absent {
            self.left = after;
        }
        let at = match &mut self.place {
            Place::Compose(compose, service) => on_service(compose, service, deed).await?,
            Place::Process(process) => on_process(process, deed).await?,
        };
        self.left = after;
        Ok(at)
    }

    /// Puts back what was changed: starts what is dead, lets go on what is frozen, ends a process of its own.
    ///
    /// # Errors
    /// When that fails, with what to do by hand.
    pub async fn put_back(&mut self) -> anyhow::Result<()> {
        let wanted = match &self.place {
            Place::Compose(..) => true,
            Place::Process(process) => process.outlives_us(),
        };
        match self.left {
            Left::Frozen => {
                self.act(Deed::Continue).await.context("the backend was frozen, and still is")?;
            }
            Left::Absent if wanted => {
                self.act(Deed::Start).await.context("the backend was killed, and is still down")?;
            }
            Left::Absent | Left::Running => {}
        }
        match &mut self.place {
            Place::Process(process) if !process.outlives_us() => process.end().await,
            Place::Process(_) | Place::Compose(..) => Ok(()),
        }
    }
}

async fn on_service(compose: &Compose, service: &str, deed: Deed) -> anyhow::Result<SystemTime> {
    let (command, time) = match deed {
        Deed::Kill => ("kill", Some("FinishedAt")),
        Deed::Stop => ("stop", Some("FinishedAt")),
        Deed::Freeze => ("pause", None),
        Deed::Continue => ("unpause", None),
        Deed::Start => ("start", Some("StartedAt")),
    };
    let began = SystemTime::now();
    compose.run(&[command, service]).await?;
    match time {
        Some(time) => compose.container_time(service, time).await,
        None => Ok(began),
    }
}

async fn on_process(process: &mut Process, deed: Deed) -> anyhow::Result<SystemTime> {
    let at = SystemTime::now();
    match deed {
        Deed::Kill => process.signal(Signal::KILL).context("cannot kill the process")?,
        Deed::Stop => process.signal(Signal::TERM).context("cannot ask the process to end")?,
        Deed::Freeze => process.signal(Signal::STOP).context("cannot freeze the process")?,
        Deed::Continue => process.signal(Signal::CONT).context("cannot let the process go on")?,
        Deed::Start => return process.start().await,
    }
    Ok(at)
}
