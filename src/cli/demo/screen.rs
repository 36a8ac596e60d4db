//! Where the demo's view goes: redrawn in place on a terminal, line by line elsewhere, nowhere under `--json`.
//!
//! It draws on the normal screen and changes no mode of the terminal, so that there is nothing to restore, however
//! the demo ends, and the last table stays in view.

use super::table::View;
use crossterm::{cursor, queue, terminal};
use std::io::{self, IsTerminal as _, Write as _};

/// The place that views are drawn on.
pub(super) enum Screen {
    /// A terminal, and how many lines of it the last view took.
    Terminal {
        /// Lines above the cursor that the next view replaces.
        drawn: u16,
        /// Whether to use colours; `NO_COLOR` turns them off.
        colour: bool,
    },
    /// Lines on stdout.
    Lines,
    /// Stdout is kept for one JSON object; announcements go to stderr.
    Json,
}

impl Screen {
    /// Chooses by what stdout is.
    pub(super) fn new(json: bool) -> Screen {
        if json {
            Screen::Json
        } else if io::stdout().is_terminal() {
            let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            Screen::Terminal { drawn: 0, colour }
        } else {
            Screen::Lines
        }
    }

    /// Says something that is not redrawn.
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        match self {
            Screen::Json => writeln!(io::stderr(), "{text}"),
            Screen::Lines => writeln!(io::stdout(), "{text}"),
            Screen::Terminal { drawn, .. } => {
                *drawn = 0;
                writeln!(io::stdout(), "{text}")
            }
        }
    }

    /// Tells of an event. A terminal shows it with the next view.
    pub(super) fn tell(&mut self, event: &str) -> io::Result<()> {
        if let Screen::Terminal { .. } = self { Ok(()) } else { self.say(event) }
    }

    /// Shows the present view.
    pub(super) fn draw(&mut self, view: &View) -> io::Result<()> {
        match self {
            Screen::Json => Ok(()),
            Screen::Lines => writeln!(io::stdout(), "{}", view.line()),
            Screen::Terminal { drawn, colour } => {
                let (columns, rows) = terminal::size().unwrap_or((120, 40));
                let mut lines = view.lines(*colour, columns.into());
                lines.truncate(usize::from(rows.saturating_sub(1)).max(1));
                let mut out = Vec::new();
                queue!(out, terminal::BeginSynchronizedUpdate)?;
                if *drawn > 0 {
                    queue!(out, cursor::MoveToPreviousLine((*drawn).min(rows.saturating_sub(1))))?;
                }
                queue!(out, terminal::Clear(terminal::ClearType::FromCursorDown))?;
                for line in &lines {
                    out.extend_from_slice(cut(line, columns).as_bytes());
                    out.extend_from_slice(b"\r\n");
                }
                queue!(out, terminal::EndSynchronizedUpdate)?;
                *drawn = u16::try_from(lines.len()).unwrap_or(u16::MAX);
                let mut stdout = io::stdout().lock();
                stdout.write_all(&out)?;
                stdout.flush()
            }
        }
    }
}

/// Cuts a line to what a terminal shows without wrapping, which would put the next view in the wrong place. Escape
/// sequences take no room; all of them are kept, so that no colour runs on.
fn cut(line: &str, columns: u16) -> String {
    let mut room = columns;
    let mut escape = false;
    line.chars()
        .filter(|&c| {
            if escape || c == '\u{1b}' {
                escape = c != 'm';
                return true;
            }
            let fits = room > 0;
            room = room.saturating_sub(1);
            fits
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_to_the_width_without_losing_its_colours() {
        assert_eq!(cut("abcdef", 4), "abcd");
        assert_eq!(cut("a\u{1b}[31mbcdef\u{1b}[0mg", 3), "a\u{1b}[31mbc\u{1b}[0m");
        assert_eq!(cut("abc", 80), "abc");
    }
}
