//! Tells what happened while load ran and a backend went away: as numbers, sentences and graphs, for people who
//! were not there.
//!
//! It is pure: what was recorded goes in, text comes out; only [`folder`] touches files. It stands apart from the
//! load's own report because it brings together three witnesses: the client, the balancer's counters, and whoever
//! killed a process. The demo and the experiment tell their stories through it.
//!
//! Modules in reading order: [`recording`] (what is given), `transitions` (part of it, as the balancer writes it)
//! →
//! `outage`, `line`, `summary` (what is made of it) → `words` (in sentences) → `graph` (in pictures) → `page`,
//! `markdown` (the two reports) → [`folder`] (where they go).

pub mod recording;

mod transitions;

mod outage;

mod line;

mod summary;

mod words;

mod graph;

mod page;

mod markdown;

pub mod folder;

pub use graph::GraphError;
pub(crate) use line::grown;
pub use line::{Line, Point};
pub use outage::{Mark, MarkKind, Outage};
pub use summary::{Phase, Summary};
pub use transitions::{TransitionsError, read as read_transitions, seconds_since};

use recording::{Recording, State};
use std::time::SystemTime;

/// What happened, ready to be told.
#[derive(Debug, Clone)]
pub struct Story {
    /// The command that made it.
    pub command: String,
    /// How it was recorded, as a sentence.
    pub source: String,
    /// When the load began.
    pub began: SystemTime,
    /// How long the load lasted, in seconds: the length of every graph.
    pub seconds: f64,
    /// What each backend did.
    pub backends: Vec<BackendStory>,
    /// All answers per second, by class; only classes that occurred, failures of the client last.
    pub classes: Vec<ClassLine>,
    /// The latency that half of the client's requests did not exceed, in milliseconds.
    pub p50: Line,
    /// The same for 99 of 100.
    pub p99: Line,
    /// Who was away, and when.
    pub outages: Vec<Outage>,
    /// The numbers.
    pub summary: Summary,
}

/// What one backend did.
#[derive(Debug, Clone)]
pub struct BackendStory {
    /// Its name.
    pub name: String,
    /// Answers per second.
    pub rps: Line,
    /// CPU usage in percent.
    pub cpu: Line,
    /// Share of the answers, 0 to 1.
    pub share: Line,
    /// Its states, without gaps.
    pub bands: Vec<Band>,
}

/// Answers of one class.
#[derive(Debug, Clone)]
pub struct ClassLine {
    /// Which.
    pub class: Class,
    /// How many per second.
    pub line: Line,
}

/// The classes that answers are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// 2xx.
    Success,
    /// 3xx.
    Redirect,
    /// 4xx.
    ClientError,
    /// 5xx.
    ServerError,
    /// What the client counted as failed, whatever the balancer sent.
    Failed,
}

/// A time that a backend spent in one state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// From when on.
    pub from: f64,
    /// Until when.
    pub to: f64,
    /// In which state.
    pub state: State,
}

impl Class {
    const ALL: [Class; 5] =
        [Class::Success, Class::Redirect, Class::ClientError, Class::ServerError, Class::Failed];

    /// The word on the graph.
    pub fn word(self) -> &'static str {
        match self {
            Class::Success => "2xx",
            Class::Redirect => "3xx",
            Class::ClientError => "4xx",
            Class::ServerError => "5xx",
            Class::Failed => "failed at the client",
        }
    }

    fn line(self, recording: &Recording) -> Line {
        match self {
            Class::Success => line::class(recording, 2),
            Class::Redirect => line::class(recording, 3),
            Class::ClientError => line::class(recording, 4),
            Class::ServerError => line::class(recording, 5),
            Class::Failed => line::failed(recording),
        }
    }

    /// Whether the graph has it even when it is nothing but 0: that nothing failed is worth a line.
    fn is_always_shown(self) -> bool {
        matches!(self, Class::Success | Class::Failed)
    }
}

impl Story {
    /// Makes the story of a run.
    pub fn tell(recording: &Recording) -> Story {
        let outages = outage::find(recording);
        let backends = recording.backends.iter().enumerate().map(|(at, name)| BackendStory {
            name: name.clone(),
            rps: line::rps(recording, at),
            cpu: line::cpu(recording, at),
            share: line::share(recording, at),
            bands: bands(recording, at),
        });
        let classes = Class::ALL.into_iter().map(|class| ClassLine { class, line: class.line(recording) });
        let occurred =
            |line: &ClassLine| line.line.iter().any(|point| point.value.is_some_and(|value| value > 0.0));
        Story {
            command: recording.command.clone(),
            source: recording.source.clone(),
            began: recording.began,
            seconds: recording.seconds,
            backends: backends.collect(),
            classes: classes.filter(|line| line.class.is_always_shown() || occurred(line)).collect(),
            p50: line::p50(recording),
            p99: line::p99(recording),
            summary: summary::of(recording, &outages),
            outages,
        }
    }

    /// Who went away, and whether the clients noticed.
    pub fn headline(&self) -> String {
        words::headline(self)
    }

    /// What happened, in a few sentences.
    pub fn lead(&self) -> String {
        words::lead(self)
    }

    /// Everything that is marked on the graphs, in the order of time.
    pub fn marks(&self) -> Vec<Mark> {
        let mut marks: Vec<Mark> = self.outages.iter().flat_map(Outage::marks).collect();
        marks.sort_by(|a, b| a.at.total_cmp(&b.at));
        marks
    }

    /// The outage that the story is about.
    fn main_outage(&self) -> Option<&Outage> {
        summary::main(&self.outages).map(|at| &self.outages[at])
    }

    /// The names of the backends.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.backends.iter().map(|backend| backend.name.as_str())
    }
}

/// The states of the backend at this position; before the first change it was up, as far as is known.
fn bands(recording: &Recording, backend: usize) -> Vec<Band> {
    let mut changes: Vec<(f64, State)> = (recording.changes.iter())
        .filter(|change| change.backend == backend && change.at < recording.seconds)
        .map(|change| (change.at.max(0.0), change.to))
        .collect();
    changes.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    changes.insert(0, (0.0, State::Up));
    let ends = changes.iter().skip(1).map(|(at, _)| *at).chain([recording.seconds]);
    let bands = changes.iter().zip(ends).map(|(&(from, state), to)| Band { from, to, state });
    bands.filter(|band| band.to > band.from).collect()
}

#[cfg(test)]
mod tests;
