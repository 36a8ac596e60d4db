//! What keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::plain::Plain;
use super::rows::{rows, selected};
use super::state::{Action, Change, Help, Prompt, Said, State};
use super::told::Place;
use super::update::{Wish, open};

/// What each key does, for people.
pub(super) const KEYS: [(&str, &str); 11] = [
    ("↑ ↓ j k", "the backend above, below; PgUp PgDn Home End go further"),
    ("Enter", "all about this backend; Esc goes back"),
    ("< > ← →", "sort by the column before, by the next one"),
    ("o", "turn the order round"),
    ("/", "show only what contains a text: a name, a state, an address"),
    ("Esc", "show everything again"),
    ("d", "drain: it finishes what it has and gets nothing new"),
    ("r", "make it ready: it gets new work again"),
    ("w", "set its weight, until the file says another"),
    ("Ctrl-L", "draw the screen again"),
    ("q Ctrl-C", "quit"),
];

/// How many rows a page is.
const PAGE: isize = 10;

/// The longest text that can be typed, in characters.
const TYPED_MAX: usize = 64;

/// The heaviest weight, as in the configuration.
const WEIGHT_MAX: u32 = 1000;

/// Takes a key into account.
pub(super) fn pressed(state: &mut State, key: KeyEvent) -> Option<Wish> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Wish::Quit),
            KeyCode::Char('l') => Some(Wish::Redraw),
            _ => None,
        };
    }
    if let Some(prompt) = state.prompt.take() {
        return typed(state, prompt, key.code);
    }
    if let Some(page) = state.help.take() {
        if page == Help::Keys && key.code == KeyCode::Char('?') {
            state.help = Some(Help::Columns);
        }
        return (key.code == KeyCode::Char('q')).then_some(Wish::Quit);
    }
    match key.code {
        KeyCode::Char('q') => return Some(Wish::Quit),
        KeyCode::Char('?' | 'h') => state.help = Some(Help::Keys),
        KeyCode::Up | KeyCode::Char('k') => return go(state, -1),
        KeyCode::Down | KeyCode::Char('j') => return go(state, 1),
        KeyCode::PageUp => return go(state, -PAGE),
        KeyCode::PageDown => return go(state, PAGE),
        KeyCode::Home | KeyCode::Char('g') => return go(state, isize::MIN),
        KeyCode::End | KeyCode::Char('G') => return go(state, isize::MAX),
        KeyCode::Char('<') | KeyCode::Left => state.sort = state.sort.moved(false),
        KeyCode::Char('>') | KeyCode::Right => state.sort = state.sort.moved(true),
        KeyCode::Char('o') => state.sort.turned = !state.sort.turned,
        KeyCode::Char('/') => {
            state.detail = None;
            state.prompt = Some(Prompt::Filter(state.filter.clone()));
        }
        KeyCode::Enter => {
            return here(state).filter(|_| state.detail.is_none()).map(|place| open(state, place));
        }
        KeyCode::Esc | KeyCode::Backspace if state.detail.is_some() => state.detail = None,
        KeyCode::Esc => state.filter.clear(),
        KeyCode::Char('d') => wish(state, Action::Drain),
        KeyCode::Char('r') => wish(state, Action::Ready),
        KeyCode::Char('w') => state.prompt = here(state).map(|place| Prompt::Weight(place, String::new())),
        _ => {}
    }
    None
}

/// The backend that keys are about.
fn here(state: &State) -> Option<Place> {
    if let Some(detail) = &state.detail {
        return Some(detail.place.clone());
    }
    let rows = rows(state);
    rows[selected(&rows, state)?].place().cloned()
}

fn wish(state: &mut State, action: Action) {
    state.said = None;
    state.prompt = here(state).map(|place| Prompt::Sure(Change { place, action }));
}

/// Selects the backend so many rows further on; who looks at one looks at that one then.
fn go(state: &mut State, by: isize) -> Option<Wish> {
    let rows = rows(state);
    let places: Vec<&Place> = rows.iter().filter_map(|row| row.place()).collect();
    let here = rows[selected(&rows, state)?].place();
    let at = places.iter().position(|place| Some(*place) == here)?;
    let next = at.saturating_add_signed(by).min(places.len() - 1);
    let place = places[next].clone();
    state.selected = Some(place.clone());
    let other = state.detail.as_ref().is_some_and(|detail| detail.place != place);
    other.then(|| open(state, place))
}

/// Takes a key into account while something is typed or asked.
fn typed(state: &mut State, prompt: Prompt, key: KeyCode) -> Option<Wish> {
    match prompt {
        Prompt::Filter(before) => {
            match key {
                KeyCode::Enter => return None,
                KeyCode::Esc => {
                    state.filter = before;
                    return None;
                }
                KeyCode::Backspace if state.filter.pop().is_none() => return None,
                key => push(&mut state.filter, key, |c| {
                    !Plain::of(c.encode_utf8(&mut [0; 4])).as_str().contains(char::REPLACEMENT_CHARACTER)
                }),
            }
            state.prompt = Some(Prompt::Filter(before));
            None
        }
        Prompt::Weight(place, mut text) => {
            match key {
                KeyCode::Esc => return None,
                KeyCode::Enter => {
                    state.prompt = weighed(state, place, &text);
                    return None;
                }
                KeyCode::Backspace => drop(text.pop()),
                key => push(&mut text, key, |c| c.is_ascii_digit()),
            }
            state.prompt = Some(Prompt::Weight(place, text));
            None
        }
        Prompt::Sure(change) => match key {
            KeyCode::Char('y' | 'Y') => {
                state.said = None;
                Some(Wish::Change(change))
            }
            KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc => None,
            // Not what somebody meant who types ahead.
            _ => {
                state.prompt = Some(Prompt::Sure(change));
                None
            }
        },
    }
}

fn weighed(state: &mut State, place: Place, text: &str) -> Option<Prompt> {
    let weight = text.parse().ok().filter(|weight| *weight <= WEIGHT_MAX);
    if weight.is_none() && !text.is_empty() {
        let words = Plain::of("a weight is a number from 0 to 1000");
        state.said = Some(Said { words, failed: true });
    }
    weight.map(|weight| Prompt::Sure(Change { place, action: Action::Weigh(weight) }))
}

fn push(text: &mut String, key: KeyCode, may: impl Fn(char) -> bool) {
    if let KeyCode::Char(c) = key
        && may(c)
        && text.chars().count() < TYPED_MAX
    {
        text.push(c);
    }
}
