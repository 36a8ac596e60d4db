//! Notes: what became of each directive.

use std::cell::RefCell;
use std::fmt;

use crate::word::{Place, Word, escaped, joined, shown};

/// What became of a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// plimsoll does the same; the note names the key.
    Mapped,
    /// plimsoll does so anyway, or has no use for it; the note says why.
    NotNeeded,
    /// plimsoll does not do this; the note says what to do instead.
    NotSupported,
    /// The word is not known here: mistyped, or of another release.
    Unknown,
    /// The other program would refuse the file, or nothing would be left of it.
    Error,
}

/// What became of one directive, or of a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where it stands.
    pub place: Place,
    /// What became of it.
    pub kind: Kind,
    /// The directive.
    pub subject: String,
    /// The key, the reason, or what to do.
    pub text: String,
}

/// Collects notes.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    list: RefCell<Vec<Note>>,
}

impl Notes {
    pub(crate) fn add(&self, kind: Kind, words: &[Word], text: impl Into<String>) {
        let place = words.first().map(|word| word.place).unwrap_or_default();
        self.add_at(place, kind, joined(words), text);
    }

    pub(crate) fn add_at(
        &self,
        place: Place,
        kind: Kind,
        subject: impl Into<String>,
        text: impl Into<String>,
    ) {
        let text = escaped(&text.into());
        self.list.borrow_mut().push(Note { place, kind, subject: shown(&subject.into()), text });
    }

    pub(crate) fn mapped(&self, words: &[Word], text: impl Into<String>) {
        self.add(Kind::Mapped, words, text);
    }

    pub(crate) fn not_needed(&self, words: &[Word], text: impl Into<String>) {
        self.add(Kind::NotNeeded, words, text);
    }

    pub(crate) fn not_supported(&self, words: &[Word], text: impl Into<String>) {
        self.add(Kind::NotSupported, words, text);
    }

    pub(crate) fn error(&self, words: &[Word], text: impl Into<String>) {
        self.add(Kind::Error, words, text);
    }

    /// Notes a word that is not known, and the one of `known` that may be meant.
    pub(crate) fn unknown<'a>(&self, words: &[Word], what: &str, known: impl IntoIterator<Item = &'a str>) {
        let word = words.first().map_or("", |word| word.text.as_str());
        let text = match similar(word, known) {
            Some(meant) => format!("this is no {what} that is known here; is `{meant}` meant?"),
            None => format!("this is no {what} that is known here; look it up in your program's manual"),
        };
        self.add(Kind::Unknown, words, text);
    }

    /// All notes, in the order of the file.
    pub(crate) fn into_sorted(self) -> Vec<Note> {
        let mut list = self.list.into_inner();
        list.sort_by_key(|note| note.place);
        list.dedup();
        list
    }
}

/// The known word that is spelt most like this one. None when none is near.
pub(crate) fn similar<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing costs the product of the lengths; nobody mistypes a novel.
    let short: String = word.chars().take(64).collect();
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&short, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mapped => "mapped",
            Self::NotNeeded => "not needed",
            Self::NotSupported => "not supported",
            Self::Unknown => "unknown",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: `{}`: {}", self.place, self.kind, self.subject, self.text)
    }
}
