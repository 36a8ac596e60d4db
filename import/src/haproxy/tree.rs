//! Sections with their lines.

use super::lexer::Line;
use crate::note::Notes;
use crate::word::Word;

/// Every word that begins a section.
pub(crate) const SECTIONS: [&str; 19] = [
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "userlist",
    "peers",
    "resolvers",
    "mailers",
    "program",
    "http-errors",
    "ring",
    "cache",
    "log-forward",
    "log-profile",
    "fcgi-app",
    "crt-store",
    "traces",
    "acme",
];

/// A section: its first line, and those that follow it.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) head: Line,
    pub(crate) lines: Vec<Line>,
}

impl Section {
    pub(crate) fn kind(&self) -> &str {
        self.head.first().map_or("", |word| word.text.as_str())
    }

    pub(crate) fn name(&self) -> Option<&Word> {
        self.head.get(1)
    }

    /// The section of defaults that it asks for by `from`.
    pub(crate) fn from(&self) -> Option<&Word> {
        let at = self.head.iter().position(|word| word.is("from"))?;
        self.head.get(at + 1)
    }
}

/// The lines in their sections. What stands outside of them is noted.
pub(crate) fn sections(lines: Vec<Line>, notes: &Notes) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in lines {
        let Some(first) = line.first() else { continue };
        if first.text.starts_with('.') {
            notes.not_supported(
                &line,
                "what depends on it is read as if it were not there; take out by hand what shall not hold",
            );
        } else if SECTIONS.contains(&first.text.as_str()) {
            sections.push(Section { head: line, lines: Vec::new() });
        } else if let Some(section) = sections.last_mut() {
            section.lines.push(line);
        } else {
            notes.unknown(&line, "section", SECTIONS);
        }
    }
    sections
}
