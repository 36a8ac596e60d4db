//! What is known, and what is looked at: all that a picture is made of.

use std::collections::VecDeque;

use super::columns::Column;
use super::past::Past;
use super::plain::Plain;
use super::told::{Decisions, Moment, Place, Tick, Transition};

/// How many transitions are kept.
pub(super) const TRANSITIONS_MAX: usize = 200;

/// All that a picture is made of.
#[derive(Debug)]
pub(super) struct State {
    /// Whom we ask.
    pub(super) admin: Plain,
    /// When the last event happened here, by the clock of this host.
    pub(super) now: Moment,
    /// When the balancer was heard last, by the same clock; when we began to ask, before that.
    pub(super) heard: Moment,
    pub(super) link: Link,
    /// How things are; none before the balancer has told it.
    pub(super) present: Option<Tick>,
    pub(super) past: Past,
    /// What has changed lately, oldest first.
    pub(super) transitions: VecDeque<Transition>,
    pub(super) sort: Sort,
    /// What a backend's name, state or address, or the name of its upstream, must contain to be shown.
    pub(super) filter: String,
    /// The backend that keys are about; none is the first one.
    pub(super) selected: Option<Place>,
    /// What is shown of one backend instead of the table.
    pub(super) detail: Option<Detail>,
    pub(super) help: Option<Help>,
    pub(super) prompt: Option<Prompt>,
    /// What came of the last change.
    pub(super) said: Option<Said>,
}

/// How the balancer can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    /// It has not been heard yet; why it could not be asked the last time.
    Connecting(Option<Plain>),
    /// It tells how it is.
    Live,
    /// It has said that it ends.
    Ending,
    /// It was heard before, and now it is not; why.
    Lost(Plain),
}

/// In which order backends are shown within their upstream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sort {
    /// By which column; none is the order of the configuration.
    pub(super) column: Option<Column>,
    /// Whether the last comes first.
    pub(super) turned: bool,
}

/// A page of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Help {
    Keys,
    Columns,
}

/// The latest exchanges of the backend that is looked at.
#[derive(Debug)]
pub(super) struct Detail {
    pub(super) place: Place,
    /// What the balancer answered last.
    pub(super) decisions: Option<Result<Decisions, Plain>>,
    /// When it was asked last.
    pub(super) asked: Moment,
    /// Whether it has not answered yet.
    pub(super) waits: bool,
}

/// A line that somebody types, or a question that somebody has to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Prompt {
    /// The filter is typed; with what it was before.
    Filter(String),
    /// A weight is typed.
    Weight(Place, String),
    /// Whether this is to be done.
    Sure(Change),
}

/// What can be done with a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) place: Place,
    pub(super) action: Action,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Drain,
    Ready,
    Weigh(u32),
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) words: Plain,
    pub(super) failed: bool,
}

impl State {
    /// Nothing is known yet.
    pub(super) fn new(admin: Plain, now: Moment) -> Self {
        Self {
            admin,
            now,
            heard: now,
            link: Link::Connecting(None),
            present: None,
            past: Past::default(),
            transitions: VecDeque::new(),
            sort: Sort::default(),
            filter: String::new(),
            selected: None,
            detail: None,
            help: None,
            prompt: None,
            said: None,
        }
    }

    /// The time of what is shown, by the balancer's clock.
    pub(super) fn present_time(&self) -> Moment {
        let told = self.present.as_ref().and_then(|tick| tick.at).map(Moment);
        // In its first second it has not told any.
        told.unwrap_or(self.now)
    }

    /// Whether the balancer tells how it is.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.link, Link::Live | Link::Ending)
    }
}

impl Sort {
    /// Goes on to the next column, or back to the one before; the order of the configuration is between the last and the
    /// first.
    pub(super) fn moved(self, ahead: bool) -> Self {
        let count = Column::ALL.len() + 1;
        let at = |column| Column::ALL.iter().position(|other| *other == column).map_or(0, |at| at + 1);
        let at = self.column.map_or(0, at);
        let next = if ahead { at + 1 } else { at + count - 1 } % count;
        Self { column: next.checked_sub(1).map(|at| Column::ALL[at]), turned: false }
    }
}
