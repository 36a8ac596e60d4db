//! The table of backends, grouped by upstream, with what there is to say of the selected one, and the latest transitions.

use ratatui::layout::Rect;
use ratatui::style::Style;

use super::fit::{Fit, fit};
use super::graph::{self, Within};
use super::text::{cut_middle, width};
use super::{Canvas, Look, journal, lines};
use crate::cli::top::columns::{Column, Line};
use crate::cli::top::figures::{amount, span};
use crate::cli::top::plain::Plain;
use crate::cli::top::rows::{Row, rows, selected};
use crate::cli::top::state::{Link, Sort, State};
use crate::cli::top::told::{Backend, Moment, Place, Upstream};

/// How many transitions are shown at least while there is room for as many backends.
const TRANSITIONS: u16 = 5;

/// CPU usage that is worth a warning, in percent.
const CPU_HIGH: f64 = 85.0;

/// How many seconds the graph of a backend's requests shows.
const SECONDS: usize = 60;

pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, state: &State) {
    let rows = rows(state);
    let here = selected(&rows, state);
    let names = rows.iter().filter_map(|row| row.place()).map(|place| width(place.backend.as_str()));
    let fit = fit(area.width.into(), names.max().unwrap_or(0));
    // One line each for heads, for the selected backend and for the title of the transitions.
    let journal = match area.height {
        0..=8 => 0,
        height => TRANSITIONS.max((height - 3).saturating_sub(rows.len() as u16)).min((height - 3) / 3),
    };
    let titled = if journal > 0 { journal + 1 } else { 0 };
    let seen = lines(area, 1, area.height.saturating_sub(2 + titled));
    heads(canvas, area, &fit, state.sort);
    if rows.is_empty() {
        nothing(canvas, seen, state);
    }
    let first = first(rows.len(), here.unwrap_or(0), seen.height.into());
    for (line, (at, row)) in (0..seen.height).zip(rows.iter().enumerate().skip(first)) {
        match row {
            Row::Upstream(upstream) => group(canvas, seen, line, upstream),
            Row::Backend(place, of) => {
                let drawn = Drawn { state, fit: &fit, chosen: here == Some(at) };
                drawn.backend(canvas, seen, line, place, of);
            }
        }
    }
    let about = lines(area, 1 + seen.height, 1);
    if let Some(Row::Backend(place, of)) = here.and_then(|at| rows.get(at)) {
        say(canvas, about, place, of.backend, state.present_time());
    }
    let title = format!("latest transitions, UTC ({})", state.transitions.len());
    journal::transitions(canvas, lines(area, 2 + seen.height, titled), &title, state.transitions.iter());
}

/// The first row that is shown: the selected one is in the middle unless an end is near.
fn first(count: usize, here: usize, height: usize) -> usize {
    here.saturating_sub(height / 2).min(count.saturating_sub(height))
}

fn heads(canvas: &mut Canvas<'_>, area: Rect, fit: &Fit, sort: Sort) {
    let look = canvas.look;
    let mark = if sort.turned { look.or("▲", "^") } else { look.or("▼", "v") };
    let style = Look::strong().add_modifier(ratatui::style::Modifier::UNDERLINED);
    let mut pen = canvas.pen(area, 0);
    pen.write(" ", style);
    let mut is_first = true;
    for &(column, width) in &fit.columns {
        if !std::mem::take(&mut is_first) {
            pen.write(" ", style);
        }
        let mark = if sort.column == Some(column) { mark } else { "" };
        let head = format!("{}{mark}", column.head());
        let padded = if column.is_text() { format!("{head:<width$}") } else { format!("{head:>width$}") };
        pen.write(&padded, style);
    }
}

fn nothing(canvas: &mut Canvas<'_>, area: Rect, state: &State) {
    let first = 1.min(area.height.saturating_sub(1));
    let words = match (&state.present, &state.link) {
        (Some(_), _) if !state.filter.is_empty() => " nothing contains this; Esc shows everything",
        (Some(_), _) => " the configuration has no upstreams",
        // What to do about it is at its end, which the line of the head may have no room for.
        (None, Link::Connecting(Some(why))) => {
            let lines = wrapped(&why.to_string(), usize::from(area.width).saturating_sub(2));
            for (line, words) in (first..area.height).zip(lines) {
                canvas.pen(area, line).write(" ", Look::faint()).write(&words, Look::plain());
            }
            return;
        }
        (None, _) => " waiting for the balancer",
    };
    canvas.pen(area, first).write(words, Look::faint());
}

/// A text in lines of so many columns, broken at spaces; a longer word has a line of its own.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn group(canvas: &mut Canvas<'_>, area: Rect, line: u16, upstream: &Upstream) {
    let look = canvas.look;
    let Upstream { name, balance, configured, available, fail_open, queued, sample, .. } = upstream;
    let mut pen = canvas.pen(area, line);
    pen.write(name.as_str(), Look::strong()).write(&format!("  {balance}"), Look::faint());
    let style = if available < configured { look.careful() } else { Look::plain() };
    pen.write(&format!("  {available} of {configured} available"), style);
    if *fail_open {
        pen.write("  FAIL OPEN", look.bad()).write(": nobody is available, all are tried", Look::plain());
    }
    if let Some(sample) = sample {
        pen.write(&format!("  {} rps", amount(sample.rate().into())), Look::plain());
    }
    if *queued > 0 {
        pen.write(&format!("  {} wait", amount(*queued as f64)), look.careful());
    }
}

/// How the rows of backends are drawn.
struct Drawn<'a> {
    state: &'a State,
    fit: &'a Fit,
    chosen: bool,
}

impl Drawn<'_> {
    fn backend(&self, canvas: &mut Canvas<'_>, area: Rect, line: u16, place: &Place, of: &Line<'_>) {
        let look = canvas.look;
        let mark = look.or("…", "~");
        let mut pen = canvas.pen(area, line);
        pen.write(if self.chosen { look.or("›", ">") } else { " " }, Look::plain());
        for (at, &(column, width)) in self.fit.columns.iter().enumerate() {
            pen.skip(usize::from(at > 0));
            match column {
                Column::Name => {
                    let name = cut_middle(place.backend.as_str(), width, mark);
                    pen.cell(&name, width, true, Look::plain());
                }
                Column::State => {
                    let (text, style) = standing(look, of.backend, width);
                    pen.cell(&text, width, true, style);
                }
                column => {
                    pen.cell(&column.text(of), width, column.is_text(), level(look, column, of));
                }
            }
        }
        let used = area.width - u16::try_from(pen.room()).unwrap_or(0);
        if self.fit.graph > 0 {
            self.graph(canvas, area, line, used + 1, place);
        }
        if self.chosen {
            canvas.buffer.set_style(lines(area, line, 1), Look::chosen());
        }
    }

    fn graph(&self, canvas: &mut Canvas<'_>, area: Rect, line: u16, x: u16, place: &Place) {
        let past = &self.state.past;
        let numbers = graph::columns(
            (past.of(place), past.second()),
            self.fit.graph,
            SECONDS,
            (|point| point.rate, Within::Mean),
        );
        let width = u16::try_from(self.fit.graph).unwrap_or(0).min(area.width.saturating_sub(x));
        let graph = Rect { x: area.x + x, width, ..lines(area, line, 1) };
        graph::draw(canvas.buffer, graph, &numbers, graph::greatest(&numbers), canvas.look);
    }
}

/// A state with its shape, in a long word where there is room, and a mark while live traffic fails on it.
fn standing(look: Look, backend: &Backend, width: usize) -> (String, Style) {
    let (shape, short, long, style) = look.state(backend.state);
    let word = if width > 7 { long } else { short };
    let mark = if backend.suspect { "!" } else { "" };
    (format!("{shape} {word}{mark}"), style)
}

fn level(look: Look, column: Column, of: &Line<'_>) -> Style {
    match column {
        Column::Errors if of.errors >= 0.5 => look.bad(),
        Column::Retries if of.retries >= 0.5 => look.careful(),
        Column::Cpu if of.backend.cpu_percent > Some(CPU_HIGH) => look.bad(),
        Column::Check
            if of.backend.last_check.as_ref().is_some_and(|check| check.result.as_str() != "pass") =>
        {
            look.bad()
        }
        _ => Look::plain(),
    }
}

/// What there is to say of a backend that no number says.
fn say(canvas: &mut Canvas<'_>, area: Rect, place: &Place, backend: &Backend, now: Moment) {
    let words = about(backend, now).join(canvas.look.or(" · ", " | "));
    canvas.pen(area, 0).write(&format!(" {place} "), Look::strong()).write(&words, Look::plain());
}

/// The address of a backend, what is wrong with it, and what its last check found.
pub(super) fn about(backend: &Backend, now: Moment) -> Vec<String> {
    let mut words =
        vec![backend.address.as_ref().map_or_else(|| "no address".to_owned(), ToString::to_string)];
    if !backend.drained_by.is_empty() {
        let by: Vec<&str> = backend.drained_by.iter().map(Plain::as_str).collect();
        words.push(format!("drained by {}", by.join(" and ")));
    }
    if let Some(ejection) = &backend.ejection {
        words.push(format!("ejected: {}", ejection.reason.as_str().replace('_', " ")));
    }
    if let Some(progress) = backend.slow_start {
        words.push(format!("{:.0}% of its slow start", progress * 100.0));
    }
    if backend.suspect {
        words.push("suspect".to_owned());
    }
    words.push(match &backend.last_check {
        Some(check) => format!("check {} ago: {}", span(now.since(check.at)), check.words),
        None => "no checks".to_owned(),
    });
    words
}
