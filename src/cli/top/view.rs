//! The picture: a state drawn into a frame, and nothing else. The same state gives the same picture.
//!
//! - `look`: colours and characters; `text`: what fits into columns; `graph`: bars.
//! - `head`: who is watched, and how it is as a whole.
//! - `table`: the backends; `fit`: which columns there is room for.
//! - `detail`: one backend; `journal`: transitions and exchanges.
//! - `foot`: what is asked and typed, and the keys; `help`: what they do.

mod detail;
mod fit;
mod foot;
mod graph;
mod head;
mod help;
mod journal;
mod look;
mod table;
mod text;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

pub(super) use look::Look;

use super::state::State;
use text::Pen;

/// The smallest terminal in which there is something to see.
const COLUMNS_MIN: u16 = 40;
const LINES_MIN: u16 = 10;

/// Lines of the head and of the foot.
const HEAD: u16 = 2;
const FOOT: u16 = 2;

/// Draws a state.
pub(super) fn view(state: &State, look: Look, frame: &mut Frame<'_>) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    if area.width < COLUMNS_MIN || area.height < LINES_MIN {
        Pen::at(buffer, area, 0, "").write("too small: 40 columns, 10 lines", Look::plain());
        return;
    }
    let body = lines(area, HEAD, area.height - HEAD - FOOT);
    let mut canvas = Canvas { buffer, look };
    head::draw(&mut canvas, lines(area, 0, HEAD), state);
    if let Some(page) = state.help {
        help::draw(&mut canvas, body, page);
    } else if let Some(detail) = &state.detail {
        detail::draw(&mut canvas, body, state, detail);
    } else {
        table::draw(&mut canvas, body, state);
    }
    foot::draw(&mut canvas, lines(area, area.height - FOOT, FOOT), state);
}

/// What is drawn on, and how.
struct Canvas<'b> {
    buffer: &'b mut Buffer,
    look: Look,
}

impl Canvas<'_> {
    /// Begins to write at this line of an area.
    fn pen(&mut self, area: Rect, line: u16) -> Pen<'_> {
        Pen::at(self.buffer, area, line, self.look.or("…", "~"))
    }

    /// Writes a title with a line that goes on to the right edge.
    fn title(&mut self, area: Rect, line: u16, title: &str) {
        let rule = self.look.or("─", "-");
        let mut pen = self.pen(area, line);
        pen.write(&rule.repeat(2), Look::faint()).write(" ", Look::plain());
        pen.write(title, Look::strong()).write(" ", Look::plain());
        let rest = pen.room();
        pen.write(&rule.repeat(rest), Look::faint());
    }
}

/// So many lines of an area, from this one on.
fn lines(area: Rect, from: u16, count: u16) -> Rect {
    let from = from.min(area.height);
    Rect { y: area.y + from, height: count.min(area.height - from), ..area }
}
