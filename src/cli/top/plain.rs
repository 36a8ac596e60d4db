//! Text that came over the network and may be shown: a terminal obeys some characters instead of showing them.

use serde::{Deserialize, Deserializer};

/// The most characters of one text: nothing that is shown needs more.
const CHARS_MAX: usize = 512;

/// A text without a character that a terminal would obey. Every text that is read from the balancer is one, so that nothing
/// else can reach the screen.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Plain(Box<str>);

impl Plain {
    /// Takes over a text: line breaks and tabs become spaces, other characters that are obeyed become U+FFFD.
    pub(super) fn of(text: &str) -> Self {
        let shown = |c: char| match c {
            '\n' | '\r' | '\t' => ' ',
            c if is_obeyed(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        };
        Self(text.chars().take(CHARS_MAX).map(shown).collect())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'d> Deserialize<'d> for Plain {
    fn deserialize<D: Deserializer<'d>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::of(&text))
    }
}

/// Whether a character does something instead of being seen: the controls C0, DEL and C1 (ECMA-48), of which escape begins
/// every command to a terminal; what turns the direction of writing (UAX #9) or hides, which makes one text look like another;
/// and tags.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_as_a_mark() {
        assert_eq!(Plain::of("\u{1b}[31mred\u{7}").as_str(), "\u{fffd}[31mred\u{fffd}");
        assert_eq!(Plain::of("a\nb\tc\r").as_str(), "a b c ");
        assert_eq!(Plain::of("\u{9b}2J\u{202e}evil\u{200b}").as_str(), "\u{fffd}2J\u{fffd}evil\u{fffd}");
        assert_eq!(Plain::of("größer – 後端").as_str(), "größer – 後端", "other languages are no commands");
        let read: Plain = serde_json::from_str(r#""\u001b]0;title\u0007""#).expect("a text");
        assert_eq!(read.as_str(), "\u{fffd}]0;title\u{fffd}");
    }

    proptest! {
        #[test]
        fn no_text_commands_the_terminal(text: String) {
            let plain = Plain::of(&text);
            prop_assert!(!plain.as_str().chars().any(is_obeyed), "{:?}", plain);
            prop_assert!(plain.as_str().chars().count() <= CHARS_MAX);
        }
    }
}
