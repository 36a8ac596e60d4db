//! The head: who is watched and since when, and how it is as a whole; or since when it is not heard.

use std::time::Duration;

use ratatui::layout::Rect;
use ratatui::style::Style;

use super::graph::{self, Within};
use super::{Canvas, Look};
use crate::cli::top::figures::{amount, clock, latency_with_unit, long_span, or_dash};
use crate::cli::top::state::{Link, State};

/// How wide the graph of all requests is, and how many seconds it shows.
const GRAPH: u16 = 12;
const SECONDS: usize = 60;

pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, state: &State) {
    let (words, style) = link(canvas.look, state);
    let process = state.present.as_ref().map(|tick| &tick.process);
    let mut pen = canvas.pen(area, 0);
    pen.write(" plimsoll", Look::strong());
    if let Some(process) = process {
        pen.write(&format!(" {}", process.version), Look::faint());
    }
    pen.write(&format!("  {}", state.admin), Look::plain());
    if let Some(seconds) = process.and_then(|process| process.uptime_seconds) {
        pen.write(&format!("  up {}", long_span(Duration::from_secs(seconds))), Look::plain());
    }
    if let Some(process) = process.filter(|process| process.generation > 1) {
        pen.write(&format!("  configuration {}", process.generation), Look::faint());
    }
    let space = pen.room().saturating_sub(super::text::width(&words) + 1);
    pen.skip(space).write(&words, style);
    if state.is_live() {
        totals(canvas, area, state);
    } else {
        lost(canvas, area, state);
    }
}

fn link(look: Look, state: &State) -> (String, Style) {
    let ready = state.present.as_ref().is_some_and(|tick| tick.process.ready);
    match &state.link {
        Link::Connecting(_) => ("connecting".to_owned(), look.careful()),
        Link::Live if ready => (format!("{} ready", look.or("●", "+")), look.good()),
        Link::Live => (format!("{} not ready", look.or("◐", "-")), look.careful()),
        Link::Ending => (format!("{} ending", look.or("◐", "-")), look.careful()),
        Link::Lost(_) => (format!("{} lost", look.or("✕", "x")), look.bad()),
    }
}

fn totals(canvas: &mut Canvas<'_>, area: Rect, state: &State) {
    let Some(total) = state.present.as_ref().and_then(|tick| tick.total) else {
        canvas.pen(area, 1).write(" counting begins", Look::faint());
        return;
    };
    let look = canvas.look;
    let past = (state.past.total(), state.past.second());
    let numbers = graph::columns(past, GRAPH.into(), SECONDS, (|point| point.rate, Within::Mean));
    let graph = Rect { x: area.x + 11, y: area.y + 1, width: GRAPH, height: 1 };
    graph::draw(canvas.buffer, graph, &numbers, graph::greatest(&numbers), look);
    let errors = f64::from(total.server_error.unwrap_or_default());
    let time = |number: Option<f32>| or_dash(number.map(f64::from), latency_with_unit);
    let mut pen = canvas.pen(area, 1);
    pen.cell(&format!(" {} rps", amount(total.rate().into())), 10, true, Look::strong());
    pen.skip(1 + usize::from(GRAPH) + 2);
    pen.write(&format!("{} errors/s", amount(errors)), if errors > 0.0 { look.bad() } else { Look::plain() });
    let mut others = vec![
        format!("p50 {}", time(total.p50_ms)),
        format!("p99 {}", time(total.p99_ms)),
        format!("{} in flight", or_dash(total.in_flight.map(f64::from), amount)),
    ];
    others.extend(total.cpu.map(|cpu| format!("workers' CPU {cpu:.0}%")));
    for text in others {
        pen.write_whole(&format!("  {text}"), Look::plain());
    }
}

fn lost(canvas: &mut Canvas<'_>, area: Rect, state: &State) {
    let (style, span) = (canvas.look.bad(), long_span(state.now.since(state.heard)));
    let words = match &state.link {
        Link::Connecting(None) => String::new(),
        Link::Connecting(Some(why)) => format!(" {why}; asked again each second"),
        Link::Lost(why) => format!(" not heard for {span}, since {} UTC: {why}", clock(state.heard)),
        Link::Live | Link::Ending => return,
    };
    canvas.pen(area, 1).write(&words, style);
}
