//! Tables of words that the other program has and plimsoll has not.

use crate::note::{Kind, Notes};
use crate::word::Word;

/// A word, or two of them; whether plimsoll needs it; and why. One that ends in `*` stands for all that begin so.
pub(crate) type Row = (&'static str, Kind, &'static str);

/// The row for a line: by its first two words, or by the first.
pub(crate) fn row(table: &'static [Row], line: &[Word]) -> Option<&'static Row> {
    let first = line.first()?.text.as_str();
    let both = line.get(1).map(|second| format!("{first} {}", second.text));
    let matches = |pattern: &str, text: &str| match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => text == pattern,
    };
    let by = |text: &str| table.iter().find(|(pattern, ..)| matches(pattern, text));
    both.and_then(|both| by(&both)).or_else(|| by(first))
}

/// Notes what the table says about a line. False when it says nothing.
pub(crate) fn tell(table: &'static [Row], line: &[Word], notes: &Notes) -> bool {
    let Some((_, kind, why)) = row(table, line) else { return false };
    notes.add(*kind, line, *why);
    true
}
