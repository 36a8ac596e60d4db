//! Header rules: which lines of a request or an answer a route takes out, and which it puts in.
//!
//! Compiled when the configuration is loaded: names to compare, and lines that are complete but for parts of a request.
//! A route without rules has none of this, and pays one comparison.

use super::facts::RequestFacts;
use super::template::TextPart;

/// What a route does to the header lines of a request, or of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderRules {
    /// The names whose lines are taken out, in any case: those that are removed, and those that are set.
    pub removed: Box<[Box<str>]>,
    /// The lines that come in, line ends included, in parts.
    pub lines: Box<[TextPart]>,
}

impl HeaderRules {
    /// Makes rules of names and of lines with their values in parts.
    #[must_use]
    pub fn new<'a>(
        removed: impl IntoIterator<Item = &'a str>,
        lines: impl IntoIterator<Item = (&'a str, Vec<TextPart>)>,
    ) -> Self {
        let mut parts = Vec::new();
        let mut text = String::new();
        for (name, value) in lines {
            text.push_str(name);
            text.push_str(": ");
            for part in value {
                if let TextPart::Literal(literal) = part {
                    text.push_str(&literal);
                    continue;
                }
                parts.push(TextPart::Literal(std::mem::take(&mut text).into()));
                parts.push(part);
            }
            text.push_str("\r\n");
        }
        if !text.is_empty() {
            parts.push(TextPart::Literal(text.into()));
        }
        Self { removed: removed.into_iter().map(Box::from).collect(), lines: parts.into() }
    }

    /// Tells whether lines of this name are taken out.
    #[must_use]
    pub fn removes(&self, name: &[u8]) -> bool {
        self.removed.iter().any(|removed| name.eq_ignore_ascii_case(removed.as_bytes()))
    }

    /// Appends the lines that come in.
    pub fn write_lines(&self, facts: &RequestFacts<'_>, out: &mut Vec<u8>) {
        self.lines.iter().for_each(|part| part.write(facts, out));
    }

    /// Applies the rules to the complete lines in `out` from `start` on.
    pub fn apply(&self, facts: &RequestFacts<'_>, start: usize, out: &mut Vec<u8>) {
        let (mut kept, mut at) = (start, start);
        while let Some(end) = memchr::memchr(b'\n', &out[at..]) {
            let next = at + end + 1;
            let name = memchr::memchr(b':', &out[at..next]).map_or(at, |colon| at + colon);
            if !self.removes(&out[at..name]) {
                out.copy_within(at..next, kept);
                kept += next - at;
            }
            at = next;
        }
        out.truncate(kept);
        self.write_lines(facts, out);
    }
}
