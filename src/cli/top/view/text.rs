//! Text within the columns of a terminal: wide characters take two, and what is too long is cut.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// Cuts the end of a text that takes more than so many columns, and marks the place.
pub(super) fn cut(text: &str, columns: usize, mark: &str) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(width(mark));
    beginning(text.chars(), room).chain(mark.chars().take(columns)).collect()
}

/// Cuts the middle out: what tells names apart is often their end.
pub(super) fn cut_middle(text: &str, columns: usize, mark: &str) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(width(mark));
    let end: Vec<char> = beginning(text.chars().rev(), room / 2).collect();
    let begin = beginning(text.chars(), room - room / 2);
    begin.chain(mark.chars().take(columns)).chain(end.into_iter().rev()).collect()
}

fn beginning(chars: impl Iterator<Item = char>, room: usize) -> impl Iterator<Item = char> {
    let mut taken = 0;
    chars.take_while(move |c| {
        taken += c.width().unwrap_or(0);
        taken <= room
    })
}

/// Writes one line from left to right.
pub(super) struct Pen<'b> {
    buffer: &'b mut Buffer,
    x: u16,
    end: u16,
    y: u16,
    mark: &'static str,
}

impl<'b> Pen<'b> {
    /// At the beginning of a line of this area; what does not fit is cut at its `mark`.
    pub(super) fn at(buffer: &'b mut Buffer, area: Rect, line: u16, mark: &'static str) -> Self {
        let inside = line < area.height;
        let end = if inside { area.right() } else { area.x };
        Self { buffer, x: area.x, end, y: area.y.saturating_add(line), mark }
    }

    /// Columns that are left.
    pub(super) fn room(&self) -> usize {
        usize::from(self.end - self.x)
    }

    /// Writes a text, cut to what is left.
    pub(super) fn write(&mut self, text: &str, style: Style) -> &mut Self {
        let room = self.room();
        if room > 0 {
            let text = cut(text, room, self.mark);
            (self.x, _) = self.buffer.set_stringn(self.x, self.y, text, room, style);
        }
        self
    }

    /// Writes a text if there is room for all of it, and then nothing if there is not.
    pub(super) fn write_whole(&mut self, text: &str, style: Style) -> &mut Self {
        if width(text) > self.room() {
            self.end = self.x;
        }
        self.write(text, style)
    }

    /// Goes on after so many columns.
    pub(super) fn skip(&mut self, columns: usize) -> &mut Self {
        let columns = columns.min(self.room());
        self.x += u16::try_from(columns).unwrap_or(0);
        self
    }

    /// Writes a text within so many columns, at their left or right edge, and goes on after them.
    pub(super) fn cell(&mut self, text: &str, columns: usize, left: bool, style: Style) -> &mut Self {
        let columns = columns.min(self.room());
        let text = cut(text, columns, self.mark);
        let (begin, space) = (self.x, columns - width(&text));
        if !left {
            self.skip(space);
        }
        self.write(&text, style);
        self.x = begin + u16::try_from(columns).unwrap_or(0);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_by_the_columns_that_it_takes() {
        assert_eq!(cut("backend", 7, "…"), "backend");
        assert_eq!(cut("backends", 7, "…"), "backen…");
        assert_eq!(cut("後端後端", 6, "…"), "後端…", "half a character is none");
        assert_eq!(cut_middle("very-long-backend-1", 11, "…"), "very-…end-1");
        assert_eq!(cut_middle("後端伺服器一", 7, "…"), "後…一");
        for columns in 0..12 {
            for text in [
                "backend-123456789",
                "後端伺服器一二三",
                "e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}",
            ] {
                assert!(width(&cut(text, columns, "...")) <= columns, "{text} in {columns}");
                assert!(width(&cut_middle(text, columns, "...")) <= columns, "{text} in {columns}");
            }
        }
    }
}
