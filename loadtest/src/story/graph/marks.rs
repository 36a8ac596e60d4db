//! Chooses where the marked moments get their lines and words: those that coincide share them, and no word is
//! crossed.
//!
//! It stands apart from drawing because it is all about not overlapping, which tests check best with numbers.

use super::layout::Layout;
use super::palette::{self, Ink};
use crate::story::Story;

/// A line across the graph, and perhaps its words above.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed {
    /// When, in seconds.
    pub(super) at: f64,
    pub(super) ink: Ink,
    /// None where there is no room.
    pub(super) label: Option<Label>,
}

/// Words above the graph, beside their line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Label {
    pub(super) text: String,
    /// The row, from the top.
    pub(super) row: usize,
    /// Whether the text ends at the line instead of beginning there.
    pub(super) before: bool,
}

/// The most rows of words above a graph.
const ROWS_MAX: usize = 3;

/// Between a line and its words, and between words and the next line.
const SPACE: f64 = 4.0;

/// Places the marks of `story` on a graph of which `width` pixels show its whole time.
pub(super) fn place(story: &Story, layout: &Layout, width: f64) -> Vec<Placed> {
    let x = |at: f64| at / story.seconds.max(0.001) * width;
    let one_backend = story.outages.windows(2).all(|pair| pair[0].backend == pair[1].backend);
    let mut groups: Vec<(Placed, String, usize)> = Vec::new();
    for mark in story.marks() {
        if mark.at > story.seconds {
            continue;
        }
        let name = story.backends.get(mark.backend).map_or("", |backend| backend.name.as_str());
        match groups.last_mut() {
            Some((last, text, backend))
                if *backend == mark.backend && x(mark.at) - x(last.at) < layout.apart =>
            {
                *text = format!("{text}, {}", mark.kind.word());
            }
            _ => {
                let text = if one_backend {
                    mark.kind.word().to_owned()
                } else {
                    format!("{name} {}", mark.kind.word())
                };
                let placed = Placed { at: mark.at, ink: palette::mark(mark.kind), label: None };
                groups.push((placed, text, mark.backend));
            }
        }
    }
    let mut taken = Taken::default();
    let placed =
        groups.into_iter().map(|(placed, text, _)| {
            let label = taken
                .room(x(placed.at), layout.text_width(&text), width)
                .map(|(row, before)| Label { text, row, before });
            Placed { label, ..placed }
        });
    placed.collect()
}

/// The rows that the words of `placed` take.
pub(super) fn rows(placed: &[Placed]) -> usize {
    placed.iter().filter_map(|placed| placed.label.as_ref()).map(|label| label.row + 1).max().unwrap_or(0)
}

/// How far to the right each row is taken by words. A line goes down from its words' row, through all rows below.
#[derive(Default)]
struct Taken {
    until: [f64; ROWS_MAX],
}

impl Taken {
    /// The row for words that are so wide, and whether they go before their line at `x`. None when there is no
    /// room.
    fn room(&mut self, x: f64, text: f64, width: f64) -> Option<(usize, bool)> {
        let before = x + SPACE + text > width;
        let from = if before { x - SPACE - text } else { x };
        if from < 0.0 {
            return None;
        }
        // Below the lowest row with words that reach here: a line from above would cross them.
        let row = self.until.iter().rposition(|until| *until > from).map_or(0, |row| row + 1);
        *self.until.get_mut(row)? = if before { x } else { x + SPACE + text + SPACE };
        Some((row, before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_would_overlap_go_beneath_each_other() {
        let mut taken = Taken::default();
        assert_eq!(taken.room(100.0, 50.0, 900.0), Some((0, false)));
        assert_eq!(taken.room(120.0, 50.0, 900.0), Some((1, false)));
        assert_eq!(taken.room(140.0, 50.0, 900.0), Some((2, false)));
        assert_eq!(taken.room(145.0, 50.0, 900.0), None, "a fourth row would leave no graph");
        assert_eq!(taken.room(300.0, 50.0, 900.0), Some((0, false)));
        assert_eq!(taken.room(890.0, 50.0, 900.0), Some((0, true)), "at the rim they go before the line");
    }

    #[test]
    fn a_picture_that_is_too_narrow_for_words_has_lines() {
        assert_eq!(Taken::default().room(10.0, 50.0, 40.0), None);
    }
}
