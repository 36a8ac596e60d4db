//! What has happened, line by line: transitions and exchanges, the latest first.

use ratatui::layout::Rect;

use super::{Canvas, Look};
use crate::cli::top::figures::{clock, latency_with_unit};
use crate::cli::top::told::{Exchange, Transition};

/// Draws a title and below it as many transitions as there is room for, of those that are given from the oldest.
pub(super) fn transitions<'t>(
    canvas: &mut Canvas<'_>,
    area: Rect,
    title: &str,
    transitions: impl DoubleEndedIterator<Item = &'t Transition>,
) {
    if area.height == 0 {
        return;
    }
    canvas.title(area, 0, title);
    for (line, transition) in (1..area.height).zip(transitions.rev()) {
        let look = canvas.look;
        let Transition { at, upstream, backend, from, to, cause, words } = transition;
        let ((_, _, from, _), (shape, _, to, style)) = (look.state(*from), look.state(*to));
        let mut pen = canvas.pen(area, line);
        pen.write(&format!(" {} ", clock(*at)), Look::faint());
        pen.write(&format!("{upstream}/{backend} "), Look::plain());
        pen.write(&format!("{from} {} ", look.or("→", "->")), Look::faint());
        pen.write(&format!("{shape} {to}"), style);
        pen.write(&format!("  {cause}: {words}"), Look::plain());
    }
}

/// Draws as many exchanges as there is room for.
pub(super) fn exchanges(canvas: &mut Canvas<'_>, area: Rect, exchanges: &[Exchange]) {
    for (line, exchange) in (0..area.height).zip(exchanges) {
        let look = canvas.look;
        let Exchange { at, method, path, status, duration_ms, words } = exchange;
        let style = if *status >= 500 { look.bad() } else { Look::plain() };
        let mut pen = canvas.pen(area, line);
        pen.write(&format!(" {} ", clock(*at)), Look::faint());
        pen.write(&format!("{status}"), style);
        pen.write(&format!(" in {}  {method} {path}  ", latency_with_unit(*duration_ms)), Look::plain());
        pen.write(words.as_str(), Look::faint());
    }
}
