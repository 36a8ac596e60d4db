//! Words of a configuration with their places.

use std::fmt;

/// Stands for the dollar sign of an environment variable, which plimsoll reads as well; any other `$` is only text.
pub(crate) const VARIABLE: char = '\u{1}';

/// Where something stands in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// A word without its quotes and escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) place: Place,
}

impl Word {
    pub(crate) fn is(&self, text: &str) -> bool {
        self.text == text
    }
}

/// Words side by side, as they are shown to the reader.
pub(crate) fn joined(words: &[Word]) -> String {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    shown(&texts.join(" "))
}

/// A text as it is shown to the reader: on one line, not too long.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let line = escaped(text);
    if line.chars().count() <= LONGEST {
        return line;
    }
    let head: String = line.chars().take(LONGEST - 1).collect();
    format!("{}…", head.trim_end())
}

/// A text as it may stand in a comment: what would end the line is escaped.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            VARIABLE => out.push('$'),
            '\u{2028}' | '\u{2029}' | '\u{feff}' => out.extend(c.escape_unicode()),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}
