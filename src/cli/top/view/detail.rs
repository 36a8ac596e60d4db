//! One backend: what is known of it, its last minutes as graphs, its transitions, and its latest exchanges.

use ratatui::layout::Rect;

use super::graph::{self, Within};
use super::table::about;
use super::{Canvas, Look, journal, lines};
use crate::cli::top::figures::{amount, latency_with_unit, long_span, of_limit, or_dash, percent};
use crate::cli::top::past::Point;
use crate::cli::top::state::{Detail, State};
use crate::cli::top::told::{Backend, Place};

/// Lines of what is known, and of each graph at most.
const FACTS: u16 = 3;
const GRAPH_MAX: u16 = 8;

/// What a graph shows.
struct Shown {
    title: &'static str,
    of: fn(&Point) -> f32,
    within: Within,
    form: fn(f64) -> String,
}

const RATE: Shown =
    Shown { title: "requests per second", of: |point| point.rate, within: Within::Mean, form: amount };

const P99: Shown =
    Shown { title: "p99", of: |point| point.p99_ms, within: Within::Greatest, form: latency_with_unit };

pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, state: &State, detail: &Detail) {
    let place = &detail.place;
    match find(state, place) {
        Some(backend) => facts(canvas, lines(area, 0, FACTS), state, place, backend),
        None => {
            canvas.pen(area, 0).write(&format!(" {place}"), Look::strong());
            canvas.pen(area, 1).write(" it is not configured any more; Esc goes back", Look::plain());
        }
    }
    // Four titles; what is left goes to the graphs, and then by halves to transitions and exchanges.
    let rest = area.height.saturating_sub(FACTS + 4);
    let graph = (rest / 4).clamp(1, GRAPH_MAX);
    let transitions = rest.saturating_sub(2 * graph) / 2;
    let mut from = FACTS;
    for shown in [RATE, P99] {
        series(canvas, lines(area, from, graph + 1), state, place, &shown);
        from += graph + 1;
    }
    let own = state.transitions.iter().filter(|transition| transition.is_of(place));
    journal::transitions(canvas, lines(area, from, transitions + 1), "its transitions, UTC", own);
    from += transitions + 1;
    decisions(canvas, lines(area, from, area.height), detail);
}

fn find<'a>(state: &'a State, place: &Place) -> Option<&'a Backend> {
    let upstreams = &state.present.as_ref()?.upstreams;
    let upstream = upstreams.iter().find(|upstream| upstream.name == place.upstream)?;
    upstream.backends.iter().find(|backend| backend.name == place.backend)
}

fn facts(canvas: &mut Canvas<'_>, area: Rect, state: &State, place: &Place, backend: &Backend) {
    let now = state.present_time();
    let (shape, _, word, style) = canvas.look.state(backend.state);
    let mut pen = canvas.pen(area, 0);
    pen.write(&format!(" {place}  "), Look::strong()).write(&format!("{shape} {word}"), style);
    pen.write(&format!(" for {}", long_span(now.since(backend.since))), Look::plain());
    let mut weight = format!(" weight {}", backend.weight);
    if backend.weight != backend.configured_weight {
        weight += &format!(" (file: {})", backend.configured_weight);
    }
    if (backend.effective_weight - f64::from(backend.weight)).abs() > 1e-6 {
        weight += &format!(", effective {:.2}", backend.effective_weight);
    }
    let (failed, retried) = state.past.last_minute(place);
    let facts = [
        weight,
        format!("share {}", percent(backend.share * 100.0)),
        format!("{} in flight", of_limit(backend.in_flight, backend.in_flight_limit)),
        format!("CPU {}", or_dash(backend.cpu_percent, percent)),
        format!("{failed:.0} failed in 1m, {retried:.0} retried"),
        format!("{} answers", amount(backend.requests_total as f64)),
    ];
    let between = canvas.look.or(" · ", " | ");
    canvas.pen(area, 1).write(&facts.join(between), Look::plain());
    canvas.pen(area, 2).write(&format!(" {}", about(backend, now).join(between)), Look::plain());
}

fn series(canvas: &mut Canvas<'_>, area: Rect, state: &State, place: &Place, shown: &Shown) {
    let past = (state.past.of(place), state.past.second());
    let seconds = usize::from(area.width);
    let numbers = graph::columns(past, seconds, seconds, (shown.of, shown.within));
    let (top, form) = (graph::greatest(&numbers), shown.form);
    let last = numbers.last().copied().filter(|number| !number.is_nan()).map(f64::from);
    let title = format!(
        "{}, last {seconds} s: now {}, at most {}",
        shown.title,
        or_dash(last, form),
        or_dash(numbers.iter().any(|number| !number.is_nan()).then_some(f64::from(top)), form)
    );
    canvas.title(area, 0, &title);
    let look = canvas.look;
    graph::draw(canvas.buffer, lines(area, 1, area.height), &numbers, top, look);
}

fn decisions(canvas: &mut Canvas<'_>, area: Rect, detail: &Detail) {
    if area.height == 0 {
        return;
    }
    canvas.title(area, 0, "its latest decisions, UTC: all that are notable, of others a sample");
    let look = canvas.look;
    let below = lines(area, 1, area.height);
    match &detail.decisions {
        None => drop(canvas.pen(below, 0).write(" asked for", Look::faint())),
        Some(Err(why)) => drop(canvas.pen(below, 0).write(&format!(" {why}"), look.bad())),
        Some(Ok(told)) if told.exchanges.is_empty() => {
            canvas.pen(below, 0).write(" none is remembered", Look::faint());
        }
        Some(Ok(told)) => journal::exchanges(canvas, below, &told.exchanges),
    }
}
