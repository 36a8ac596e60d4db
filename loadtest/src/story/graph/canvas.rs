//! The picture around a plot: legend, marks, axes, and what a browser is told about it.

use super::axis::{self, Ticked};
use super::layout::{FINE, Layout};
use super::marks::{self, Placed};
use super::palette::{self, AXIS, FAINT, GRID, Ink, OUTAGE, PAPER, RAMP, TEXT};
use super::{GraphError, GraphKind, plot};
use crate::story::Story;
use crate::story::words::clock;
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Where a graph is drawn.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A graph with its axes.
pub(super) type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Ticked, Ticked>>;

/// plotters takes the size of letters as that of their box.
const BOX: f64 = 1.24;

/// How strongly outages and slow starts are shaded.
const SHADE: f64 = 0.10;

/// A length in what is drawn, from CSS pixels.
pub(super) fn fine(pixels: f64) -> i32 {
    (pixels * FINE).round() as i32
}

/// The style of text of this size and colour.
pub(super) fn text(letters: f64, ink: Ink) -> TextStyle<'static> {
    let font = FontDesc::new(FontFamily::SansSerif, letters * FINE * BOX, FontStyle::Normal);
    TextStyle { color: ink.rgb().to_backend_color(), ..TextStyle::from(font) }
}

/// The style of a line of this width and colour.
pub(super) fn stroke(width: f64, ink: Ink) -> ShapeStyle {
    ink.rgb().stroke_width(fine(width).max(1).unsigned_abs())
}

/// The rows of a picture above its plot.
struct Head {
    legend: Vec<(f64, f64, String, Ink)>,
    /// Where the rows of the marks' words begin.
    words: f64,
    /// Where the plot begins.
    plot: f64,
}

pub(super) fn draw(
    story: &Story,
    kind: GraphKind,
    layout: &Layout,
    alone: bool,
) -> Result<String, GraphError> {
    let placed = marks::place(story, layout, layout.width - layout.left - layout.right);
    let head = head(story, kind, layout, alone, marks::rows(&placed));
    let foot = layout.letters * 2.0;
    let height = head.plot + plot::height(story, kind, layout) + foot;
    let mut svg = String::new();
    {
        let size = (fine(layout.width).unsigned_abs(), fine(height).unsigned_abs());
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        if alone {
            area.fill(&PAPER.rgb())?;
            let title = format!("{} ({})", kind.title(), kind.unit());
            let title = if layout.text_width(&title) < layout.width { &title } else { kind.title() };
            let style = text(layout.letters * 1.15, TEXT);
            area.draw(&Text::new(title.to_owned(), (fine(4.0), fine(6.0)), style))?;
        }
        draw_legend(&area, &head, layout)?;
        let y = plot::axis(story, kind);
        let mut chart = ChartBuilder::on(&area)
            .margin_top(fine(head.plot))
            .margin_right(fine(layout.right))
            .x_label_area_size(fine(foot))
            .y_label_area_size(fine(layout.left))
            .build_cartesian_2d(time(story, layout), y.scale.clone())?;
        draw_axes(&mut chart, &y, layout)?;
        shade(&mut chart, story, &y)?;
        plot::draw(&mut chart, story, kind, layout)?;
        draw_marks(&area, &mut chart, &placed, &y, &head, layout)?;
        area.present()?;
    }
    Ok(svg)
}

/// The axis that all graphs of one layout share.
fn time(story: &Story, layout: &Layout) -> Ticked {
    Ticked { range: 0.0..story.seconds.max(0.001), ticks: axis::moments(story.seconds, layout.moments) }
}

fn head(story: &Story, kind: GraphKind, layout: &Layout, alone: bool, rows: usize) -> Head {
    let mut y = if alone { layout.line() * 1.6 } else { 0.0 };
    let start = if layout.width < 500.0 { 4.0 } else { layout.left };
    let (mut x, mut legend) = (start, Vec::new());
    for (name, ink) in kind.legend(story) {
        let width = 20.0 + layout.text_width(&name) + 16.0;
        if x + width > layout.width && x > start {
            (x, y) = (start, y + layout.line());
        }
        legend.push((x, y, name, ink));
        x += width;
    }
    if !legend.is_empty() {
        y += layout.line() + 4.0;
    }
    Head { legend, words: y, plot: y + rows as f64 * layout.line() + 6.0 }
}

fn draw_legend(area: &Area<'_>, head: &Head, layout: &Layout) -> Result<(), GraphError> {
    for (x, y, name, ink) in &head.legend {
        let middle = y + layout.line() / 2.0;
        let swatch = [(fine(*x), fine(middle - 2.5)), (fine(x + 14.0), fine(middle + 2.5))];
        area.draw(&Rectangle::new(swatch, ink.rgb().filled()))?;
        let style = text(layout.letters, TEXT).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(name.clone(), (fine(x + 20.0), fine(middle)), style))?;
    }
    Ok(())
}

fn draw_axes(chart: &mut Chart<'_, '_>, y: &plot::Axis, layout: &Layout) -> Result<(), GraphError> {
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(stroke(0.75, GRID))
        .axis_style(stroke(0.75, AXIS))
        .set_all_tick_mark_size(fine(4.0))
        .label_style(text(layout.letters * 0.92, FAINT))
        .x_label_formatter(&|at| clock(*at))
        .y_label_formatter(&|value| (y.label)(*value))
        .draw()
}

/// Shades the times in which a backend was out, and those in which it was on its way back.
fn shade(chart: &mut Chart<'_, '_>, story: &Story, y: &plot::Axis) -> Result<(), GraphError> {
    let bottom = y.scale.range.start;
    let top = y.scale.range.end;
    for outage in &story.outages {
        let out = (Some(outage.began()), outage.back.unwrap_or(story.seconds), OUTAGE);
        let ramp = (outage.back, outage.up.unwrap_or(story.seconds), RAMP);
        for (from, to, ink) in [out, ramp] {
            if let Some(from) = from.filter(|from| *from < to) {
                let corners = [(from, bottom), (to.min(story.seconds), top)];
                chart.draw_series([Rectangle::new(corners, ink.rgb().mix(SHADE).filled())])?;
            }
        }
    }
    Ok(())
}

fn draw_marks(
    area: &Area<'_>,
    chart: &mut Chart<'_, '_>,
    placed: &[Placed],
    y: &plot::Axis,
    head: &Head,
    layout: &Layout,
) -> Result<(), GraphError> {
    for mark in placed {
        let (x, foot) = chart.backend_coord(&(mark.at, y.scale.range.start));
        let row = mark.label.as_ref().map(|label| head.words + label.row as f64 * layout.line());
        let top = fine(row.unwrap_or(head.plot));
        area.draw(&PathElement::new(vec![(x, top), (x, foot)], stroke(1.0, mark.ink)))?;
        if let (Some(label), Some(row)) = (&mark.label, row) {
            let (side, x) =
                if label.before { (HPos::Right, x - fine(4.0)) } else { (HPos::Left, x + fine(4.0)) };
            let style = text(layout.letters, mark.ink).pos(Pos::new(side, VPos::Center));
            area.draw(&Text::new(label.text.clone(), (x, fine(row + layout.line() / 2.0)), style))?;
        }
    }
    Ok(())
}

/// Gives a drawing its title and description, and a size that follows the page. What stands alone also gets its
/// style.
pub(super) fn labelled(svg: &str, kind: GraphKind, description: &str, id: &str, alone: bool) -> String {
    let (open, drawing) = svg.split_once('>').unwrap_or(("", svg));
    let attribute = |name: &str| {
        let (_, rest) = open.split_once(&format!(" {name}=\""))?;
        rest.split_once('"').map(|(value, _)| value)
    };
    let view_box = attribute("viewBox").unwrap_or_default();
    let pixels =
        |name: &str| attribute(name).and_then(|value| value.parse::<f64>().ok()).unwrap_or(0.0) / FINE;
    let size = format!("width=\"{}\" height=\"{}\"", pixels("width"), pixels("height"));
    let style = if alone { format!("<style>\n{}</style>\n", palette::style()) } else { String::new() };
    let space = if alone { " xmlns=\"http://www.w3.org/2000/svg\"" } else { "" };
    format!(
        "<svg{space} class=\"graph\" {size} viewBox=\"{view_box}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">\n\
         <title id=\"{id}-title\">{} ({})</title>\n<desc id=\"{id}-desc\">{}</desc>\n{style}{}\n",
        kind.title(),
        kind.unit(),
        crate::story::page::escaped(description),
        drawing.trim()
    )
}
