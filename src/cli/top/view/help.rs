//! The help: what keys do and what columns mean.

use ratatui::layout::Rect;

use super::{Canvas, Look, lines};
use crate::cli::top::columns::Column;
use crate::cli::top::keys::KEYS;
use crate::cli::top::state::Help;

/// Draws this page, or both where there is room.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, page: Help) {
    let columns = Column::ALL.map(|column| (column.head(), column.meaning()));
    let keys = KEYS.len() as u16 + 2;
    if area.height > keys + columns.len() as u16 {
        list(canvas, lines(area, 0, keys), "keys", &KEYS);
        list(canvas, lines(area, keys, area.height), "columns", &columns);
        return;
    }
    match page {
        Help::Keys => list(canvas, area, "keys", &KEYS),
        Help::Columns => list(canvas, area, "columns", &columns),
    }
}

fn list(canvas: &mut Canvas<'_>, area: Rect, title: &str, entries: &[(&str, &str)]) {
    canvas.title(area, 0, title);
    for (line, (name, meaning)) in (1..area.height).zip(entries) {
        let mut pen = canvas.pen(area, line);
        pen.skip(1).cell(name, 11, true, Look::strong()).write(meaning, Look::plain());
    }
}
