//! How things look: colours, where there are any, and characters that the terminal can show.

use ratatui::style::{Color, Modifier, Style};

use crate::telemetry::BackendState;

/// What the terminal can show. Nothing is told by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Look {
    /// Whether there are colours; `NO_COLOR` turns them off.
    pub(in super::super) colour: bool,
    /// Whether there is more than ASCII.
    pub(in super::super) unicode: bool,
}

/// Bars of no height, an eighth, … eight eighths.
const BARS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

const BARS_ASCII: [&str; 9] = [" ", ".", ":", "-", "=", "+", "*", "#", "@"];

impl Look {
    pub(super) fn plain() -> Style {
        Style::new()
    }

    pub(super) fn strong() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn faint() -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// What stands out as the place that keys are about.
    pub(super) fn chosen() -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub(super) fn good(self) -> Style {
        self.coloured(Color::Green)
    }

    pub(super) fn careful(self) -> Style {
        self.coloured(Color::Yellow)
    }

    pub(super) fn bad(self) -> Style {
        self.coloured(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub(super) fn graph(self) -> Style {
        self.coloured(Color::Cyan)
    }

    fn coloured(self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }

    /// A bar of so many eighths.
    pub(super) fn bar(self, eighths: usize) -> &'static str {
        let bars = if self.unicode { BARS } else { BARS_ASCII };
        bars[eighths.min(8)]
    }

    /// The first of two where it can be shown.
    pub(super) fn or(self, text: &'static str, ascii: &'static str) -> &'static str {
        if self.unicode { text } else { ascii }
    }

    /// A state: its shape, its word in five characters, its whole word, and its colour.
    pub(super) fn state(
        self,
        state: Option<BackendState>,
    ) -> (&'static str, &'static str, &'static str, Style) {
        match state {
            Some(BackendState::Up) => (self.or("●", "+"), "up", "up", self.good()),
            Some(BackendState::Down) => (self.or("✕", "x"), "down", "down", self.bad()),
            Some(BackendState::Draining) => (self.or("◐", "-"), "drain", "draining", self.careful()),
            Some(BackendState::SlowStart) => (self.or("◔", "~"), "slow", "slow start", self.careful()),
            Some(BackendState::Ejected) => (self.or("▲", "^"), "eject", "ejected", self.bad()),
            None => ("?", "?", "unknown", self.careful()),
        }
    }
}
