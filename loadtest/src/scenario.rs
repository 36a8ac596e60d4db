//! A load test as a file: what is asked for, in which phases, what is done to whom meanwhile, and what must hold.
//!
//! It is pure: the text of a file goes in, a [`Scenario`] comes out, and [`check::verdicts`] holds it against the report of
//! the run. Who kills processes and asks other servers is the program `loadtest`.
//!
//! Modules in reading order: `shape` (the keys of the file) → `value` (what their values may be) → [`read`] (the file to
//! a scenario, or what is wrong and where) · [`check`] (what must hold) · [`tell`] (the run as a
//! story; `counters` of the balancer are part of it).

pub mod check;

pub mod read;

mod counters;

mod shape;

pub mod tell;

mod value;

use crate::actor;
use crate::http::Call;
use crate::plan::Plan;
use check::Check;
use hyper::{StatusCode, Uri};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// A load test.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What it is about, in a line; may be empty.
    pub title: String,
    /// The load.
    pub plan: Plan,
    /// The programs that something is done to, or that are started for the run.
    pub programs: Vec<Program>,
    /// The balancer's admin interface.
    pub admin: Option<Admin>,
    /// The phases, one after another.
    pub phases: Vec<Phase>,
    /// What is done, in the order of time.
    pub acts: Vec<Act>,
    /// What must hold.
    pub checks: Vec<Check>,
}

/// A part of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// Its name, unique in the scenario.
    pub name: String,
    /// When it begins, counted from the start of the load.
    pub begin: Duration,
    /// How long it lasts.
    pub duration: Duration,
}

/// A program and how it is got hold of.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// Its name in the scenario: for a backend, the name that answers carry.
    pub name: String,
    /// Where it is.
    pub place: Place,
    /// What must answer before the load begins.
    pub ready: Option<Uri>,
}

/// Where a program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Started for the run, and ended after it.
    Own {
        /// The command.
        command: Vec<OsString>,
    },
    /// Runs with this process id.
    Found {
        /// The id.
        pid: i32,
        /// What starts it again; empty when somebody else does.
        command: Vec<OsString>,
    },
    /// A service of a compose project that is up.
    Compose {
        /// The service.
        service: String,
        /// The project; None for that of the files.
        project: Option<String>,
        /// Its files; empty for those that compose looks for.
        files: Vec<PathBuf>,
    },
}

/// A balancer's admin interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Such as `http://127.0.0.1:9900`.
    pub url: Uri,
    /// The upstream whose backends are drained.
    pub upstream: String,
    /// The token that changes need; empty for none.
    pub token: String,
}

/// Something that is done at a moment of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// When, counted from the start of the load.
    pub at: Duration,
    /// What.
    pub deed: Deed,
}

/// What can be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    /// To the program at this position.
    Program(usize, actor::Deed),
    /// Has the balancer give this backend nothing new.
    Drain(String),
    /// Has the balancer take this backend into service again.
    Ready(String),
    /// Switches a demo backend between status 200 and 500: the call that does.
    Switch(Box<Call>),
    /// Any request.
    Call(Box<Request>),
}

/// A request that is a deed.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What is asked.
    pub call: Call,
    /// The status that must come back; None for any below 400.
    pub expect: Option<StatusCode>,
    /// What takes it back at the end.
    pub undo: Option<Call>,
}

impl Scenario {
    /// How long the load lasts.
    pub fn duration(&self) -> Duration {
        self.plan.duration
    }

    /// Every address that is asked beside the load.
    pub fn addresses(&self) -> Vec<&Uri> {
        let calls = self.acts.iter().flat_map(|act| match &act.deed {
            Deed::Switch(call) => vec![&call.url],
            Deed::Call(request) => {
                let undo = request.undo.iter().map(|call| &call.url);
                [&request.call.url].into_iter().chain(undo).collect()
            }
            Deed::Program(..) | Deed::Drain(_) | Deed::Ready(_) => Vec::new(),
        });
        let admin = self.admin.iter().map(|admin| &admin.url);
        let ready = self.programs.iter().filter_map(|program| program.ready.as_ref());
        calls.chain(admin).chain(ready).collect()
    }

    /// A deed in words, such as `kill backend-1`.
    pub fn words(&self, deed: &Deed) -> String {
        match deed {
            Deed::Program(at, deed) => {
                let verb = match deed {
                    actor::Deed::Kill => "kill",
                    actor::Deed::Stop => "stop",
                    actor::Deed::Freeze => "freeze",
                    actor::Deed::Continue => "continue",
                    actor::Deed::Start => "start",
                };
                format!("{verb} {}", self.programs[*at].name)
            }
            Deed::Drain(backend) => format!("drain {backend}"),
            Deed::Ready(backend) => format!("ready {backend}"),
            Deed::Switch(call) => format!("switch {}", call.url),
            Deed::Call(request) => format!("{} {}", request.call.method, request.call.url),
        }
    }
}

#[cfg(test)]
mod tests;
