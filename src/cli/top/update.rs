//! What an event changes. Pure: what has to be asked of the network or the terminal is returned as a wish.

use crossterm::event::KeyEvent;

use super::keys;
use super::plain::Plain;
use super::state::{Change, Detail, Link, Said, State, TRANSITIONS_MAX};
use super::told::{Decisions, History, Moment, Place, Tick, Transition};

/// How often the balancer is asked for the latest exchanges of the backend that is looked at, in milliseconds.
const DECISIONS_EVERY: u64 = 2000;

/// What happens.
#[derive(Debug)]
pub(super) enum Event {
    /// A key is pressed.
    Key(KeyEvent),
    /// The terminal has another size.
    Resized,
    /// A second has passed while nothing is heard.
    Second,
    /// The balancer tells something.
    Told(News),
    /// The balancer cannot be heard, and why.
    Lost(Plain),
    /// What came of a change; an error is why it was refused.
    Changed(Result<Plain, Plain>),
    /// The latest exchanges of a backend, or why they are not known.
    Decided(Place, Result<Decisions, Plain>),
    /// The keyboard is gone.
    NoKeys,
}

/// What the balancer tells.
#[derive(Debug)]
pub(super) enum News {
    History(Box<History>),
    Tick(Box<Tick>),
    Transition(Box<Transition>),
    Bye,
}

/// What is to be done outside.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Leave the terminal.
    Quit,
    /// Draw everything again, whatever is on the screen.
    Redraw,
    /// Have the balancer change something.
    Change(Change),
    /// Ask for the latest exchanges of a backend.
    Decisions(Place),
}

/// Takes an event into account that happened at `now`.
pub(super) fn update(state: &mut State, event: Event, now: Moment) -> Option<Wish> {
    state.now = now;
    match event {
        Event::Key(key) => return keys::pressed(state, key),
        Event::NoKeys => return Some(Wish::Quit),
        Event::Resized => return Some(Wish::Redraw),
        Event::Second => {}
        Event::Told(news) => {
            state.heard = now;
            state.link = if matches!(news, News::Bye) { Link::Ending } else { Link::Live };
            hear(state, news);
            return ask_again(state);
        }
        Event::Lost(why) => {
            let known = state.present.is_some();
            let ended = state.link == Link::Ending;
            let why = if ended { Plain::of("it has ended in good order") } else { why };
            state.link = match &state.link {
                // Why it was lost tells more than why it cannot be found again.
                Link::Lost(first) => Link::Lost(first.clone()),
                _ if known => Link::Lost(why),
                _ => Link::Connecting(Some(why)),
            };
        }
        Event::Changed(Ok(words)) => state.said = Some(Said { words, failed: false }),
        Event::Changed(Err(words)) => state.said = Some(Said { words, failed: true }),
        Event::Decided(place, told) => {
            if let Some(detail) = state.detail.as_mut().filter(|detail| detail.place == place) {
                detail.decisions = Some(told);
                detail.waits = false;
            }
        }
    }
    None
}

fn hear(state: &mut State, news: News) {
    match news {
        News::History(history) => {
            state.past.begin(&history);
            state.transitions = history.transitions.into();
        }
        News::Tick(tick) => {
            state.past.add(&tick);
            state.present = Some(*tick);
        }
        News::Transition(transition) => state.transitions.push_back(*transition),
        News::Bye => {}
    }
    while state.transitions.len() > TRANSITIONS_MAX {
        state.transitions.pop_front();
    }
}

/// Looks at a backend.
pub(super) fn open(state: &mut State, place: Place) -> Wish {
    let asked = state.now;
    state.detail = Some(Detail { place: place.clone(), decisions: None, asked, waits: true });
    Wish::Decisions(place)
}

fn ask_again(state: &mut State) -> Option<Wish> {
    let now = state.now;
    let detail = state.detail.as_mut()?;
    if detail.waits || now.0.saturating_sub(detail.asked.0) < DECISIONS_EVERY {
        return None;
    }
    (detail.waits, detail.asked) = (true, now);
    Some(Wish::Decisions(detail.place.clone()))
}
