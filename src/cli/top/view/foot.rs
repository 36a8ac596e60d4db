//! The foot: what is asked, typed or said, and the keys.

use ratatui::layout::Rect;

use super::{Canvas, Look};
use crate::cli::top::state::{Action, Change, Help, Prompt, State};
use crate::cli::top::told::Backend;
use crate::telemetry::BackendState;

pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, state: &State) {
    let look = canvas.look;
    let mut pen = canvas.pen(area, 0);
    match (&state.prompt, &state.said) {
        (Some(Prompt::Filter(_)), _) => {
            pen.write(" show what contains: ", Look::strong()).write(&state.filter, Look::plain());
            pen.write(look.or("▏", "_"), Look::plain());
        }
        (Some(Prompt::Weight(place, text)), _) => {
            pen.write(&format!(" weight of {place}, 0 to 1000: "), Look::strong());
            pen.write(text, Look::plain()).write(look.or("▏", "_"), Look::plain());
        }
        (Some(Prompt::Sure(change)), _) => {
            pen.write(&format!(" {} ", question(state, change)), look.careful().patch(Look::strong()));
            pen.write("y yes  n no", Look::plain());
        }
        (None, Some(said)) => {
            pen.write(&format!(" {}", said.words), if said.failed { look.bad() } else { look.good() });
        }
        (None, None) if !state.filter.is_empty() => {
            pen.write(" shown is what contains: ", Look::faint()).write(&state.filter, Look::plain());
        }
        (None, None) => {}
    }
    let keys = keys(state, look, area.width);
    canvas.pen(area, 1).write(&keys, Look::faint());
}

fn keys(state: &State, look: Look, width: u16) -> String {
    match (&state.prompt, state.help, &state.detail) {
        (Some(Prompt::Filter(_) | Prompt::Weight(..)), ..) => " Enter take it  Esc leave it".to_owned(),
        (Some(Prompt::Sure(_)), ..) => String::new(),
        (None, Some(Help::Keys), _) => " ? the columns  any other key goes back  q quit".to_owned(),
        (None, Some(Help::Columns), _) => " any key goes back  q quit".to_owned(),
        (None, None, Some(_)) => {
            " Esc back  j k next, previous  d drain  r ready  w weight  ? help  q quit".to_owned()
        }
        (None, None, None) => {
            let column = state.sort.column.map_or("as configured", |column| column.head());
            let mark = match (state.sort.turned, state.sort.column) {
                (true, _) => look.or("▲", "^"),
                (false, Some(_)) => look.or("▼", "v"),
                (false, None) => "",
            };
            let enter = if width < EVERY_KEY { "" } else { "Enter detail  " };
            format!(" q quit  ? help  {enter}/ filter  d drain  r ready  w weight  < > sort: {column}{mark}")
        }
    }
}

/// From this width on there is room for every key.
const EVERY_KEY: u16 = 94;

/// What is asked before something is done.
fn question(state: &State, Change { place, action }: &Change) -> String {
    match action {
        Action::Drain if is_last(state, place) => {
            format!("drain {place}? No other backend of its upstream takes work!")
        }
        Action::Drain => format!("drain {place}?"),
        Action::Ready => format!("make {place} ready?"),
        Action::Weigh(weight) => format!("set the weight of {place} to {weight}?"),
    }
}

/// Whether no other backend of its upstream gets new work.
fn is_last(state: &State, place: &crate::cli::top::told::Place) -> bool {
    let works = |backend: &Backend| {
        matches!(backend.state, Some(BackendState::Up | BackendState::SlowStart))
            && backend.name != place.backend
    };
    let upstreams = state.present.iter().flat_map(|tick| &tick.upstreams);
    let mut own = upstreams.filter(|upstream| upstream.name == place.upstream);
    own.next().is_some_and(|upstream| !upstream.backends.iter().any(works))
}
