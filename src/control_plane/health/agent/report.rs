//! What an agent says in one line. Pure.
//!
//! | word | means |
//! |---|---|
//! | `up` | the backend is well, and takes work: ends `down` and `drain` |
//! | `ready` | it takes work: ends `drain` and `maint` |
//! | `drain`, `maint` | it finishes what it has and gets nothing new |
//! | `down`, `fail`, `stopped` | it is not well: it counts as failed |
//! | `50%` | it gets this part of its weight; more than 100% is 100% |
//! | `#` | what follows is for people |
//!
//! Words are parted by spaces, tabs or commas, in any order and any case. What a line does not mention stays as it was.
//! Of words that contradict each other the more careful one counts. Other words are ignored, HAProxy's `maxconn:30`
//! among them: the load line is not the agent's to draw.
//!
//! Two things differ from HAProxy. There `up` does not end a drain, so that a script which says `drain` and later `up`
//! takes its server out for good; and `maint` also stops the checks, which would blind us to why.

/// What an agent says. None of something is not mentioned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Report {
    /// Whether the backend is well.
    pub(in super::super) well: Option<bool>,
    /// Whether it wants to drain.
    pub(in super::super) drain: Option<bool>,
    /// The part of its weight that it wants, in percent, at most 100.
    pub(in super::super) percent: Option<u8>,
    /// The first word that means nothing to us.
    pub(in super::super) unknown: Option<Box<str>>,
    /// The line for people: printable, and not too long.
    pub(in super::super) words: Box<str>,
}

/// The longest line that is shown, in characters.
const SHOWN: usize = 100;

impl Report {
    /// Reads a line. Whatever it is, it means something or nothing, and never fails.
    pub(in super::super) fn parse(line: &[u8]) -> Self {
        let mut report = Self { words: shown(line), ..Self::default() };
        let said = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        for word in said.split(|byte| matches!(byte, b' ' | b'\t' | b',')).filter(|word| !word.is_empty()) {
            report.take(word);
        }
        report
    }

    fn take(&mut self, word: &[u8]) {
        match &*word.to_ascii_lowercase() {
            b"up" => {
                self.well = Some(self.well.unwrap_or(true));
                self.drain = Some(self.drain.unwrap_or(false));
            }
            b"ready" => self.drain = Some(self.drain.unwrap_or(false)),
            b"drain" | b"maint" => self.drain = Some(true),
            b"down" | b"fail" | b"stopped" => self.well = Some(false),
            other => match percent(other) {
                Some(percent) => self.percent = Some(self.percent.map_or(percent, |said| said.min(percent))),
                None => self.unknown = self.unknown.take().or_else(|| Some(shown(word))),
            },
        }
    }

    /// Whether the line says anything that counts.
    pub(in super::super) fn says_something(&self) -> bool {
        self.well.is_some() || self.drain.is_some() || self.percent.is_some()
    }
}

/// Reads `75%`; a number that is too large for anything is still more than 100.
fn percent(word: &[u8]) -> Option<u8> {
    let digits = word.strip_suffix(b"%").filter(|digits| !digits.is_empty())?;
    digits.iter().try_fold(0_u8, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
        Some(u8::try_from(u32::from(sum) * 10 + u32::from(digit)).unwrap_or(100).min(100))
    })
}

/// What a line looks like without what a terminal would act upon.
fn shown(line: &[u8]) -> Box<str> {
    let characters = line.iter().take(SHOWN).map(|byte| match byte {
        b'\t' => ' ',
        b' '..=b'~' => char::from(*byte),
        _ => '·',
    });
    characters.collect::<String>().trim().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a line says: well, drain, percent.
    fn said(line: &str) -> (Option<bool>, Option<bool>, Option<u8>) {
        let Report { well, drain, percent, .. } = Report::parse(line.as_bytes());
        (well, drain, percent)
    }

    #[test]
    fn each_word_means_what_the_table_says() {
        let (yes, no) = (Some(true), Some(false));
        for (line, means) in [
            ("up", (yes, no, None)),
            ("ready", (None, no, None)),
            ("drain", (None, yes, None)),
            ("maint", (None, yes, None)),
            ("down", (no, None, None)),
            ("fail", (no, None, None)),
            ("stopped", (no, None, None)),
            ("75%", (None, None, Some(75))),
            ("0%", (None, None, Some(0))),
            ("250%", (None, None, Some(100))),
            ("99999999999999999999%", (None, None, Some(100))),
            ("up 50%", (yes, no, Some(50))),
            ("UP,50%", (yes, no, Some(50))),
            ("\tReady ,, 10%\tup ", (yes, no, Some(10))),
            ("ready down", (no, no, None)),
            ("down#disk is full", (no, None, None)),
            ("down # up again soon", (no, None, None)),
            ("up drain", (yes, yes, None)),
            ("drain up", (yes, yes, None)),
            ("down up", (no, no, None)),
            ("up down", (no, no, None)),
            ("60% 40%", (None, None, Some(40))),
            ("", (None, None, None)),
            ("# nothing to say", (None, None, None)),
        ] {
            assert_eq!(said(line), means, "{line:?}");
            assert_eq!(Report::parse(line.as_bytes()).unknown, None, "{line:?}");
        }
    }

    #[test]
    fn other_words_are_ignored_and_the_first_is_remembered() {
        for (line, means, unknown) in [
            ("maxconn:30 up", (Some(true), Some(false), None), "maxconn:30"),
            ("fine thanks", (None, None, None), "fine"),
            ("50", (None, None, None), "50"),
            ("%", (None, None, None), "%"),
            ("-5%", (None, None, None), "-5%"),
            ("5.5%", (None, None, None), "5.5%"),
            ("HTTP/1.1 400 Bad Request", (None, None, None), "HTTP/1.1"),
        ] {
            assert_eq!(said(line), means, "{line:?}");
            assert_eq!(Report::parse(line.as_bytes()).unknown.as_deref(), Some(unknown), "{line:?}");
        }
    }

    #[test]
    fn what_is_shown_is_short_and_printable() {
        assert_eq!(&*Report::parse(b"down\t# disk \x1b[2Jfull\xff").words, "down # disk ·[2Jfull·");
        assert_eq!(Report::parse(&[b'x'; 1000]).words.len(), SHOWN);
    }

    proptest! {
        #[test]
        fn no_line_makes_the_parser_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let report = Report::parse(&line);
            prop_assert!(report.percent.is_none_or(|percent| percent <= 100));
            prop_assert!(report.words.chars().all(|c| c == '·' || c == ' ' || c.is_ascii_graphic()));
        }

        #[test]
        fn the_order_of_known_words_does_not_matter(
            words in proptest::sample::subsequence(vec!["up", "down", "drain", "ready", "30%", "70%"], 0..=6)
                .prop_shuffle(),
        ) {
            let mut sorted = words.clone();
            sorted.sort_unstable();
            prop_assert_eq!(said(&words.join(" ")), said(&sorted.join(",")));
        }
    }
}
