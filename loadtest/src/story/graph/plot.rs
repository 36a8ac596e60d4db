//! What is different from graph to graph: the scale of the values, and how they are drawn.

use super::axis::{self, Ticked};
use super::canvas::{Chart, stroke, text};
use super::layout::Layout;
use super::palette::{self, FAINT, Ink, P50, P99, PAPER, TEXT};
use super::{GraphError, GraphKind};
use crate::story::{Line, Point, Story};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::ops::Range;

/// The width of a line in CSS pixels.
const LINE: f64 = 1.8;

/// Backends that are alike lie on each other: each line is so much wider than the one that is drawn over it.
const WIDER: f64 = 1.1;

/// The most lines that grow wider.
const WIDER_MAX: usize = 3;

/// What is kept free above the highest value, as a part of it.
const HEADROOM: f64 = 1.06;

/// How strong the colours of areas are: full ones are too loud for so much of a page.
const FILL: f64 = 0.8;

/// The part of its row that a band fills.
const BAND: f64 = 0.76;

/// The scale of the values.
pub(super) struct Axis {
    pub(super) scale: Ticked,
    /// What is written at a tick.
    pub(super) label: Box<dyn Fn(f64) -> String>,
}

/// The height of a plot in CSS pixels.
pub(super) fn height(story: &Story, kind: GraphKind, layout: &Layout) -> f64 {
    match kind {
        GraphKind::States => layout.row * story.backends.len().max(1) as f64,
        _ => layout.plot,
    }
}

/// The scale of a graph.
pub(super) fn axis(story: &Story, kind: GraphKind) -> Axis {
    match kind {
        GraphKind::Rps => counts(story.backends.iter().map(|backend| &backend.rps), ""),
        GraphKind::Cpu => counts(story.backends.iter().map(|backend| &backend.cpu), "\u{a0}%"),
        GraphKind::Total => counts(story.classes.iter().map(|class| &class.line), ""),
        GraphKind::Share => Axis {
            scale: Ticked { range: 0.0..1.0, ticks: vec![0.0, 0.25, 0.5, 0.75, 1.0] },
            label: Box::new(|share| format!("{:.0}\u{a0}%", share * 100.0)),
        },
        GraphKind::Latency => latencies(story),
        GraphKind::States => {
            let names: Vec<String> = story.names().map(shortened).collect();
            let rows = names.len().max(1) as f64;
            Axis {
                scale: Ticked {
                    range: 0.0..rows,
                    ticks: (0..names.len()).map(|at| rows - at as f64 - 0.5).collect(),
                },
                label: Box::new(move |at| names.get((rows - at) as usize).cloned().unwrap_or_default()),
            }
        }
    }
}

/// The room left of a plot takes so many letters.
const NAME_MAX: usize = 11;

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_MAX {
        return name.to_owned();
    }
    name.chars().take(NAME_MAX - 1).chain(['…']).collect()
}

fn values<'a>(lines: impl Iterator<Item = &'a Line>) -> impl Iterator<Item = f64> {
    lines.flatten().filter_map(|point| point.value)
}

fn counts<'a>(lines: impl Iterator<Item = &'a Line>, unit: &'static str) -> Axis {
    let ticks = axis::values(values(lines).fold(0.0, f64::max) * HEADROOM);
    let top = ticks.last().copied().unwrap_or(1.0);
    let label = move |value| format!("{}{unit}", axis::written(value));
    Axis { scale: Ticked { range: 0.0..top, ticks }, label: Box::new(label) }
}

/// Powers of ten: a millisecond and a second are on one graph.
fn latencies(story: &Story) -> Axis {
    let all = || values([&story.p50, &story.p99].into_iter()).filter(|ms| *ms > 0.0);
    let ticks = axis::logarithmic(all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    let logs: Vec<f64> = ticks.iter().map(|value| value.log10()).collect();
    let (bottom, top) = (logs.first().copied().unwrap_or(0.0), logs.last().copied().unwrap_or(1.0));
    let label = |log: f64| match 10_f64.powf(log) {
        ms if ms < 999.5 => format!("{}\u{a0}ms", axis::written(ms)),
        ms => format!("{}\u{a0}s", axis::written(ms / 1000.0)),
    };
    Axis { scale: Ticked { range: bottom..top, ticks: logs }, label: Box::new(label) }
}

/// Draws the values.
pub(super) fn draw(
    chart: &mut Chart<'_, '_>,
    story: &Story,
    kind: GraphKind,
    layout: &Layout,
) -> Result<(), GraphError> {
    let backends = || story.backends.iter().enumerate();
    if is_empty(story, kind) {
        return say_empty(chart, story, kind, layout);
    }
    match kind {
        GraphKind::Rps => lines(chart, WIDER, backends().map(|(at, each)| (&each.rps, palette::backend(at)))),
        GraphKind::Cpu => lines(chart, WIDER, backends().map(|(at, each)| (&each.cpu, palette::backend(at)))),
        GraphKind::Total => {
            lines(chart, 0.0, story.classes.iter().map(|class| (&class.line, palette::class(class.class))))
        }
        GraphKind::Share => shares(chart, story),
        GraphKind::Latency => {
            lines(chart, 0.0, [(&logarithm(&story.p50), P50), (&logarithm(&story.p99), P99)].into_iter())
        }
        GraphKind::States => bands(chart, story, layout),
    }
}

fn is_empty(story: &Story, kind: GraphKind) -> bool {
    let backends = story.backends.iter();
    let none = |mut lines: Box<dyn Iterator<Item = &Line> + '_>| {
        lines.all(|line| line.iter().all(|point| point.value.is_none()))
    };
    match kind {
        GraphKind::Rps => none(Box::new(backends.map(|backend| &backend.rps))),
        GraphKind::Cpu => none(Box::new(backends.map(|backend| &backend.cpu))),
        GraphKind::Share => none(Box::new(backends.map(|backend| &backend.share))),
        GraphKind::Total => none(Box::new(story.classes.iter().map(|class| &class.line))),
        GraphKind::Latency => none(Box::new([&story.p50, &story.p99].into_iter())),
        GraphKind::States => false,
    }
}

/// An empty graph could be taken for values of 0.
fn say_empty(
    chart: &mut Chart<'_, '_>,
    story: &Story,
    kind: GraphKind,
    layout: &Layout,
) -> Result<(), GraphError> {
    let range = axis(story, kind).scale.range;
    let middle = (story.seconds / 2.0, (range.start + range.end) / 2.0);
    let style = text(layout.letters, FAINT).pos(Pos::new(HPos::Center, VPos::Center));
    chart.draw_series([Text::new("nothing was recorded".to_owned(), middle, style)]).map(|_| ())
}

fn logarithm(line: &Line) -> Line {
    let log = |value: f64| (value > 0.0).then(|| value.log10());
    line.iter().map(|point| Point { value: point.value.and_then(log), ..*point }).collect()
}

/// The runs of points that have values, without those that lie on a level between their neighbours.
fn runs(line: &Line) -> Vec<Vec<(f64, f64)>> {
    let mut runs: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
    for point in line {
        let Some(run) = runs.last_mut() else { break };
        match (point.value, &run[..]) {
            (None, _) => runs.push(Vec::new()),
            (Some(value), [.., before, last]) if before.1 == value && last.1 == value => {
                let end = run.len() - 1;
                run[end] = (point.at, value);
            }
            (Some(value), _) => run.push((point.at, value)),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// Draws lines, the first one on top, each further one so much wider.
fn lines<'a>(
    chart: &mut Chart<'_, '_>,
    wider: f64,
    lines: impl Iterator<Item = (&'a Line, Ink)>,
) -> Result<(), GraphError> {
    let lines: Vec<(&Line, Ink)> = lines.collect();
    for (at, (line, ink)) in lines.into_iter().enumerate().rev() {
        let style = stroke(LINE + wider * at.min(WIDER_MAX) as f64, ink);
        chart.draw_series(runs(line).into_iter().map(|run| PathElement::new(run, style)))?;
    }
    Ok(())
}

/// The shares stacked on each other, the first backend on top, as in the legend and in the rows of states.
fn shares(chart: &mut Chart<'_, '_>, story: &Story) -> Result<(), GraphError> {
    let points = story.backends.iter().map(|backend| backend.share.len()).max().unwrap_or(0);
    let mut under: Line = vec![Point { at: 0.0, value: Some(0.0) }; points];
    for (at, backend) in story.backends.iter().enumerate().rev() {
        let over: Line = (backend.share.iter().zip(&under))
            .map(|(own, under)| Point {
                at: own.at,
                value: own.value.zip(under.value).map(|(own, under)| own + under),
            })
            .collect();
        let ink = palette::backend(at);
        for range in filled(&over) {
            let upper = over[range.clone()].iter();
            let lower = over[range.clone()].iter().zip(&under[range]).rev();
            let lower = lower.map(|(point, under)| (point.at, under.value.unwrap_or(0.0)));
            let outline: Vec<(f64, f64)> =
                upper.map(|point| (point.at, point.value.unwrap_or(0.0))).chain(lower).collect();
            chart.draw_series([Polygon::new(outline, ink.rgb().mix(FILL).filled())])?;
        }
        under = over;
    }
    Ok(())
}

/// The ranges of neighbouring points that have values.
fn filled(line: &Line) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (at, _) in line.iter().enumerate().filter(|(_, point)| point.value.is_some()) {
        match ranges.last_mut().filter(|range| range.end == at) {
            Some(range) => range.end = at + 1,
            None => ranges.push(at..at + 1),
        }
    }
    ranges
}

fn bands(chart: &mut Chart<'_, '_>, story: &Story, layout: &Layout) -> Result<(), GraphError> {
    let rows = story.backends.len() as f64;
    let width = layout.width - layout.left - layout.right;
    for (at, backend) in story.backends.iter().enumerate() {
        let middle = rows - at as f64 - 0.5;
        for band in &backend.bands {
            let corners = [(band.from, middle - BAND / 2.0), (band.to, middle + BAND / 2.0)];
            let ink = palette::state(band.state);
            chart.draw_series([Rectangle::new(corners, ink.rgb().filled())])?;
            let room = (band.to - band.from) / story.seconds.max(0.001) * width;
            let word = band.state.words();
            if layout.text_width(word) + 6.0 < room {
                let style = text(layout.letters, TEXT).pos(Pos::new(HPos::Center, VPos::Center));
                let place = ((band.from + band.to) / 2.0, middle);
                chart.draw_series([Text::new(word.to_owned(), place, style)])?;
            }
            // A hair of paper between two states.
            let edge = vec![(band.from, middle - BAND / 2.0), (band.from, middle + BAND / 2.0)];
            chart.draw_series([PathElement::new(edge, stroke(1.0, PAPER))])?;
        }
    }
    Ok(())
}
