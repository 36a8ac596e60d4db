//! The task that checks one backend again and again, and tells what it finds.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

use super::check::{CheckOne, Outcome};
use super::duties::Assigned;
use super::{Board, CheckSettings, LastResult, pace};
use crate::telemetry::{BackendState, CheckResult};
use crate::upstream::{Backend, DrainSource, Event};

/// The task, and what it works with.
pub(super) struct Rounds {
    backend: Arc<Backend>,
    assignment: Assigned<CheckSettings>,
    check_one: CheckOne,
    places: Arc<Semaphore>,
    board: Arc<Board>,
    rng: fastrand::Rng,
    /// Whether the last check could not be made, so that a shortage is logged once and not at each check.
    short_of_means: bool,
}

/// A moment at which a check began, and how.
struct Begun {
    at: Instant,
    settings: CheckSettings,
}

impl Rounds {
    pub(super) fn new(
        backend: Arc<Backend>,
        assignment: Assigned<CheckSettings>,
        check_one: CheckOne,
        places: Arc<Semaphore>,
        board: Arc<Board>,
    ) -> Self {
        let rng = fastrand::Rng::new();
        Self { backend, assignment, check_one, places, board, rng, short_of_means: false }
    }

    /// Checks until the assignment is taken back. A backend without an address is not checked.
    pub(super) async fn run(mut self, first_in: Duration) {
        let Some(address) = self.backend.address else { return };
        let mut due = Instant::now() + first_in;
        let mut last = None;
        loop {
            self.wait(due, last.as_ref()).await;
            let Some(settings) = self.settings() else { return };
            let outcome = {
                let _place = self.places.acquire().await.expect("invariant: the places are never closed");
                last = Some(Begun { at: Instant::now(), settings: settings.clone() });
                (self.check_one)(address, settings.clone()).await
            };
            let began = last.as_ref().map_or(due, |begun| begun.at);
            let Some(in_doubt) = self.tell(&outcome, began.elapsed()) else { return };
            due = began
                + pace::until_next(settings.interval, settings.jitter, in_doubt, self.rng.f64() * 2.0 - 1.0);
        }
    }

    /// Waits until the next check is due. A suspicion, and another way of checking, make it due as soon as is decent
    /// after the last; the end of the assignment at once.
    async fn wait(&mut self, mut due: Instant, last: Option<&Begun>) {
        let backend = Arc::clone(&self.backend);
        loop {
            tokio::select! {
                biased;
                changed = self.assignment.changed() => {
                    let settings = self.settings();
                    match (changed, settings, last) {
                        (Ok(()), Some(new), Some(last)) if new == last.settings => {}
                        (Ok(()), Some(_), _) => due = due.min(soonest(last)),
                        (Err(_), _, _) | (_, None, _) => return,
                    }
                }
                () = backend.suspected() => due = due.min(soonest(last)),
                () = sleep_until(due) => return,
            }
        }
    }

    fn settings(&mut self) -> Option<CheckSettings> {
        self.assignment.borrow_and_update().as_ref().map(|assignment| assignment.settings.clone())
    }

    /// Tells the result to the metrics, the board and the model. Returns whether the backend is in doubt; None when
    /// nobody wants to know any more.
    fn tell(&mut self, outcome: &Outcome, took: Duration) -> Option<bool> {
        // Held to the end: whoever takes the assignment back thereby waits until all is told.
        let assignment = self.assignment.borrow();
        let upstream = &assignment.as_ref()?.upstream;
        let backend = &*self.backend;
        let Some(result) = outcome.result else {
            if !self.short_of_means {
                let (upstream, backend, error) = (&*upstream.name, &*backend.name, &*outcome.words);
                tracing::warn!(upstream, backend, error, "health check could not be made");
            }
            self.short_of_means = true;
            return Some(true);
        };
        self.short_of_means = false;
        backend.series.checks.inc(result);
        backend.series.check_duration.record(took);
        let words = outcome.words.as_str();
        let last = LastResult { result, words: words.into(), at: SystemTime::now(), took };
        self.board.set_result(&upstream.name, &backend.name, last);
        let passed = result == CheckResult::Pass;
        let event = match result {
            CheckResult::Pass => Event::CheckPassed,
            CheckResult::Drain => Event::Drain(DrainSource::Check),
            _ => Event::CheckFailed,
        };
        self.board.observe(upstream, backend, event, words);
        Some(match backend.availability().state() {
            BackendState::Down => passed,
            BackendState::Up | BackendState::SlowStart => !passed || backend.is_suspect(Instant::now()),
            BackendState::Draining | BackendState::Ejected => false,
        })
    }
}

/// Returns the soonest moment for another check.
fn soonest(last: Option<&Begun>) -> Instant {
    last.map_or_else(Instant::now, |last| last.at + pace::soonest(last.settings.interval))
}
