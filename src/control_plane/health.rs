//! Health: checks the backends at intervals, tells the model what was found, and remembers it in words.
//!
//! Apart from the model because a check does I/O and waits; what its result means is decided there, in
//! [`Availability`](crate::upstream::Availability).
//!
//! - [`Checks`] (here): who is checked, and whose agent is asked.
//! - `duties`: one task for each backend, which a reload leaves alone if it can.
//! - `rounds`: that task; `pace`: when the next check is due.
//! - `check`, `http`: one check.
//! - `agent`: the agent beside a backend, and the task that asks it.
//! - `settings`: what the configuration says about them.
//! - [`Board`]: the results in words, and the latest transitions.

mod agent;
mod board;
mod check;
mod duties;
mod http;
mod pace;
mod rounds;
mod settings;

pub use board::{Board, LastLookup, LastResult, PastTransition};
pub(super) use check::{Outcome, over_the_network};
pub use settings::{AgentSettings, CheckKind, CheckSettings, HttpCheck};

use std::fmt;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::upstream::{Event, Upstream};
use agent::{AgentRounds, AskOne};
use check::CheckOne;
use duties::{Duties, Ended};
use rounds::Rounds;

/// The most checks and questions in progress at a time: each holds a descriptor that traffic may need.
const AT_A_TIME: usize = 128;

/// An upstream, and how its backends are to be checked.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The upstream, as it is in force or about to be.
    pub upstream: Arc<Upstream>,
    /// How its backends are checked. None does not check them.
    pub checks: Option<CheckSettings>,
    /// How the agents beside its backends are asked. None asks none.
    pub agents: Option<AgentSettings>,
}

/// The checks of all backends, and the questions to their agents. Dropping it ends them.
///
/// Lives on the control plane's runtime, where its tasks run.
pub struct Checks {
    checks: Duties<CheckSettings>,
    agents: Duties<AgentSettings>,
    check_one: CheckOne,
    ask_one: AskOne,
    places: Arc<Semaphore>,
    board: Arc<Board>,
}

impl Checks {
    /// Makes checks of nobody, which put what they find on `board`.
    #[must_use]
    pub fn new(board: Arc<Board>) -> Self {
        Self::with(board, over_the_network(), agent::over_the_network())
    }

    fn with(board: Arc<Board>, check_one: CheckOne, ask_one: AskOne) -> Self {
        Self {
            checks: Duties::none(),
            agents: Duties::none(),
            check_one,
            ask_one,
            places: Arc::new(Semaphore::new(AT_A_TIME)),
            board,
        }
    }

    /// Brings the checks in line with a configuration: these upstreams and no others.
    ///
    /// A backend that was checked before, as the same [`Backend`](crate::upstream::Backend), goes on being checked: its
    /// next check comes when it was due, or at once when the way it is checked has changed. New backends are checked at
    /// once. After the return, nothing that was found about a backend by earlier checks is told to an upstream any more
    /// that is not among these. The same holds for agents.
    ///
    /// # Panics
    /// When called outside of a tokio runtime.
    pub fn apply(&mut self, wanted: &[Watched]) {
        self.apply_checks(wanted);
        self.apply_agents(wanted);
    }

    fn apply_checks(&mut self, wanted: &[Watched]) {
        let (check_one, places, board) = (&self.check_one, &self.places, &self.board);
        let ended = self.checks.apply(
            backends_with(wanted, |one| one.checks.as_ref()),
            |backend, assigned, first_in| {
                let check_one = Arc::clone(check_one);
                let rounds = Rounds::new(backend, assigned, check_one, Arc::clone(places), Arc::clone(board));
                tokio::spawn(rounds.run(first_in)).abort_handle()
            },
        );
        ended.gone.iter().for_each(|(upstream, backend)| board.forget(upstream, backend));
        for (upstream, backend) in &ended.left_alone {
            board.forget(&upstream.name, &backend.name);
        }
        self.void(&ended, Event::ChecksEnded, "not checked any more");
    }

    fn apply_agents(&mut self, wanted: &[Watched]) {
        let (ask_one, places, board) = (&self.ask_one, &self.places, &self.board);
        let ended = self.agents.apply(
            backends_with(wanted, |one| one.agents.as_ref()),
            |backend, assigned, first_in| {
                let ask_one = Arc::clone(ask_one);
                let rounds =
                    AgentRounds::new(backend, assigned, ask_one, Arc::clone(places), Arc::clone(board));
                tokio::spawn(rounds.run(first_in)).abort_handle()
            },
        );
        self.void(&ended, Event::AgentEnded, "its agent is not asked any more");
    }

    /// Makes what was said of backends that stay void, also what was said a moment ago.
    fn void(&self, ended: &Ended, event: Event, words: &str) {
        for (upstream, backend) in &ended.left_alone {
            self.board.observe(upstream, backend, event, words);
        }
    }
}

/// The backends of all upstreams, each with its own copy of the settings that `of` finds; those without an address are left
/// alone.
fn backends_with<'w, S: Clone + 'w>(
    wanted: &'w [Watched],
    of: impl Fn(&'w Watched) -> Option<&'w S>,
) -> impl Iterator<Item = duties::Wanted<S>> {
    wanted.iter().flat_map(move |watched| {
        let settings = of(watched);
        let upstream = &watched.upstream;
        upstream.backends.iter().map(move |backend| {
            (
                Arc::clone(upstream),
                Arc::clone(backend),
                settings.filter(|_| backend.address.is_some()).cloned(),
            )
        })
    })
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checks = self.checks.keys().collect::<Vec<_>>();
        f.debug_struct("Checks").field("running", &checks).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
