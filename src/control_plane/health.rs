//! Health: checks the backends at intervals, tells the model what was found, and remembers it in words.
//!
//! Apart from the model because a check does I/O and waits; what its result means is decided there, in
//! [`Availability`](crate::upstream::Availability).
//!
//! - [`Checks`] (here): who is checked; one task for each backend, which a reload leaves alone if it can.
//! - `rounds`: that task; `pace`: when the next check is due.
//! - `check`, `http`: one check.
//! - `settings`: what the configuration says about them.
//! - [`Board`]: the results in words, and the latest transitions.

mod board;
mod check;
mod http;
mod pace;
mod rounds;
mod settings;

pub use board::{Board, LastResult, PastTransition};
pub(super) use check::{Outcome, over_the_network};
pub use settings::{CheckKind, CheckSettings, HttpCheck};

use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::upstream::{Backend, Event, Upstream};
use check::CheckOne;
use rounds::{Assignment, Rounds};

/// The most checks in progress at a time: each holds a descriptor that traffic may need.
const AT_A_TIME: usize = 128;

/// How far apart the first checks of many new backends begin.
const BETWEEN_FIRST: Duration = Duration::from_micros(20);

/// An upstream, and how its backends are to be checked.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The upstream, as it is in force or about to be.
    pub upstream: Arc<Upstream>,
    /// How its backends are checked. None does not check them.
    pub checks: Option<CheckSettings>,
}

/// The checks of all backends. Dropping it ends them.
///
/// Lives on the control plane's runtime, where its tasks run.
pub struct Checks {
    running: HashMap<(Box<str>, Box<str>), Running>,
    check_one: CheckOne,
    places: Arc<Semaphore>,
    board: Arc<Board>,
}

/// The task that checks one backend.
struct Running {
    backend: Arc<Backend>,
    assignment: watch::Sender<Option<Assignment>>,
    task: AbortHandle,
}

impl Checks {
    /// Makes checks of nobody, which put what they find on `board`.
    #[must_use]
    pub fn new(board: Arc<Board>) -> Self {
        Self::with(board, over_the_network())
    }

    fn with(board: Arc<Board>, check_one: CheckOne) -> Self {
        Self { running: HashMap::new(), check_one, places: Arc::new(Semaphore::new(AT_A_TIME)), board }
    }

    /// Brings the checks in line with a configuration: these upstreams and no others.
    ///
    /// A backend that was checked before, as the same [`Backend`], goes on being checked: its next check comes when it
    /// was due, or at once when the way it is checked has changed. New backends are checked at once. After the return,
    /// nothing that was found about a backend by earlier checks is told to an upstream any more that is not among
    /// these.
    ///
    /// # Panics
    /// When called outside of a tokio runtime.
    pub fn apply(&mut self, wanted: &[Watched]) {
        let mut before = mem::take(&mut self.running);
        let mut fresh = Vec::new();
        for Watched { upstream, checks } in wanted {
            for backend in &upstream.backends {
                let key = (upstream.name.clone(), backend.name.clone());
                let known = before.remove(&key);
                let Some(settings) = checks else {
                    if known.is_some() {
                        self.end(known, upstream, backend);
                    }
                    continue;
                };
                let assignment = Assignment { upstream: Arc::clone(upstream), settings: settings.clone() };
                match known {
                    Some(running) if Arc::ptr_eq(&running.backend, backend) => {
                        running.assignment.send_replace(Some(assignment));
                        self.running.insert(key, running);
                    }
                    _ => fresh.push((key, Arc::clone(backend), assignment)),
                }
            }
        }
        for ((upstream, backend), _gone) in before {
            self.board.forget(&upstream, &backend);
        }
        for (nth, (key, backend, assignment)) in (0..).zip(fresh) {
            let running = self.start(backend, assignment, BETWEEN_FIRST * nth);
            self.running.insert(key, running);
        }
    }

    /// Ends the checks of a backend that stays: what they said is void, also what they said a moment ago.
    fn end(&self, known: Option<Running>, upstream: &Upstream, backend: &Backend) {
        drop(known);
        self.board.forget(&upstream.name, &backend.name);
        if let Some(observed) = upstream.observe(backend, Event::ChecksEnded, Instant::now()) {
            self.board.announce(&upstream.name, &backend.name, observed, "not checked any more");
        }
    }

    fn start(&self, backend: Arc<Backend>, assignment: Assignment, first_in: Duration) -> Running {
        let (sender, receiver) = watch::channel(Some(assignment));
        let rounds = Rounds::new(
            Arc::clone(&backend),
            receiver,
            Arc::clone(&self.check_one),
            Arc::clone(&self.places),
            Arc::clone(&self.board),
        );
        let task = tokio::spawn(rounds.run(first_in)).abort_handle();
        Running { backend, assignment: sender, task }
    }
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checks").field("running", &self.running.keys()).finish_non_exhaustive()
    }
}

impl Drop for Running {
    /// Ends the task. Taking the assignment back waits for a result that is just being told, and no other follows;
    /// `abort` alone could come between a check and its telling.
    fn drop(&mut self) {
        self.assignment.send_replace(None);
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
