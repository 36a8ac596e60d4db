//! The task that asks one agent again and again, and tells what it says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

use super::super::duties::Assigned;
use super::super::{AgentSettings, Board, pace};
use super::{AskOne, Report};
use crate::upstream::{Backend, DrainSource, Event, Upstream};

/// The task, and what it works with.
pub(in super::super) struct AgentRounds {
    backend: Arc<Backend>,
    assignment: Assigned<AgentSettings>,
    ask_one: AskOne,
    places: Arc<Semaphore>,
    board: Arc<Board>,
    rng: fastrand::Rng,
    trouble: Trouble,
    /// What the agent asked for last, so that only a change is told. None before it asked for anything.
    percent: Option<u8>,
}

/// What is wrong with the agent, so that it is logged once and not with each question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    /// It does not answer.
    Silent,
    /// It says what means nothing to us.
    Strange,
}

impl AgentRounds {
    pub(in super::super) fn new(
        backend: Arc<Backend>,
        assignment: Assigned<AgentSettings>,
        ask_one: AskOne,
        places: Arc<Semaphore>,
        board: Arc<Board>,
    ) -> Self {
        let rng = fastrand::Rng::new();
        Self { backend, assignment, ask_one, places, board, rng, trouble: Trouble::None, percent: None }
    }

    /// Asks until the assignment is taken back. Beside a backend without an address nobody is asked.
    pub(in super::super) async fn run(mut self, first_in: Duration) {
        let Some(host) = self.backend.address.map(|address| address.ip()) else { return };
        let mut due = Instant::now() + first_in;
        let mut last = None;
        loop {
            self.wait(due, last.as_ref()).await;
            let Some(settings) = self.settings() else { return };
            let address = SocketAddr::new(host, settings.port);
            let (began, said) = {
                let _place = self.places.acquire().await.expect("invariant: the places are never closed");
                (Instant::now(), (self.ask_one)(address, settings.timeout).await)
            };
            if self.tell(said).is_none() {
                return;
            }
            due = began
                + pace::until_next(settings.interval, settings.jitter, false, self.rng.f64() * 2.0 - 1.0);
            last = Some(settings);
        }
    }

    /// Waits until the next question is due: another way of asking, and the end of the assignment, make it due at once.
    async fn wait(&mut self, due: Instant, last: Option<&AgentSettings>) {
        loop {
            tokio::select! {
                biased;
                changed = self.assignment.changed() => {
                    if changed.is_err() || self.settings().as_ref() != last {
                        return;
                    }
                }
                () = sleep_until(due) => return,
            }
        }
    }

    fn settings(&mut self) -> Option<AgentSettings> {
        self.assignment.borrow_and_update().as_ref().map(|assignment| assignment.settings.clone())
    }

    /// Tells the model what the agent said. None when nobody wants to know any more.
    fn tell(&mut self, said: Result<Report, String>) -> Option<()> {
        // Held to the end: whoever takes the assignment back thereby waits until all is told.
        let assignment = self.assignment.borrow();
        let upstream = &*assignment.as_ref()?.upstream;
        let trouble = match &said {
            Err(_) => Trouble::Silent,
            Ok(report) if report.unknown.is_some() || !report.says_something() => Trouble::Strange,
            Ok(_) => Trouble::None,
        };
        if trouble != self.trouble {
            self.trouble = trouble;
            log(upstream, &self.backend, &said);
        }
        let Ok(report) = said else { return Some(()) };
        let words = format!("its agent says: {}", report.words);
        for event in events(&report) {
            self.board.observe(upstream, &self.backend, event, &words);
        }
        if let Some(percent) = report.percent.filter(|percent| self.percent != Some(*percent)) {
            self.percent = Some(percent);
            upstream.set_agent_percent(&self.backend, percent, Instant::now());
            let (upstream, backend) = (&*upstream.name, &*self.backend.name);
            tracing::info!(upstream, backend, percent, "agent asks for another part of the weight");
        }
        Some(())
    }
}

/// What a report means to the model, in an order that brings no state about in between which nobody meant.
fn events(report: &Report) -> impl Iterator<Item = Event> {
    let drain = report.drain.map(|drain| match drain {
        true => Event::Drain(DrainSource::Agent),
        false => Event::Ready(DrainSource::Agent),
    });
    let well = report.well.map(|well| if well { Event::AgentUp } else { Event::AgentDown });
    let in_order = if report.well == Some(false) { [well, drain] } else { [drain, well] };
    in_order.into_iter().flatten()
}

fn log(upstream: &Upstream, backend: &Backend, said: &Result<Report, String>) {
    let (upstream, backend) = (&*upstream.name, &*backend.name);
    match said {
        Err(error) => {
            tracing::warn!(upstream, backend, error, "agent cannot be asked; what it said last still holds");
        }
        Ok(Report { unknown: Some(word), words, .. }) => {
            tracing::warn!(
                upstream,
                backend,
                word = &**word,
                words = &**words,
                "agent says what means nothing here"
            );
        }
        Ok(report) if !report.says_something() => {
            tracing::warn!(upstream, backend, words = &*report.words, "agent says nothing");
        }
        Ok(report) => tracing::info!(upstream, backend, words = &*report.words, "agent answers"),
    }
}
