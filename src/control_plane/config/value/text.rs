//! Names of configured things, and regular expressions.

use std::borrow::Borrow;
use std::fmt;

use super::Invalid;

/// The most memory that one compiled expression may take, in bytes.
const REGEX_LIMIT: usize = 1 << 20;

/// The name of a listener, route, upstream or backend: a label in metrics, a field in logs, a part of admin URLs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// Reads a name of 1 to 64 letters, digits, `-`, `_` and `.`, beginning with a letter or digit.
    ///
    /// # Errors
    /// When the text is no such name.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if first && text.len() <= 64 && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new(format!("`{}` is not a usable name", text.escape_debug())).hint(
                "a name becomes a label in metrics: 1 to 64 letters, digits, `-`, `_` and `.`, a letter or digit first",
            ))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A compiled regular expression over bytes: `\w`, `\d` and case are those of ASCII, as paths and header fields are.
/// Unicode classes would multiply its size for texts that never arrive. Two are equal when they are written alike.
#[derive(Debug, Clone)]
pub struct Pattern(regex::bytes::Regex);

impl Pattern {
    /// Compiles the expression, on request such that it ignores case.
    ///
    /// # Errors
    /// When the expression is malformed or would take too much memory.
    pub fn compile(text: &str, ignore_case: bool) -> Result<Self, Invalid> {
        regex::bytes::RegexBuilder::new(text)
            .case_insensitive(ignore_case)
            .unicode(false)
            .size_limit(REGEX_LIMIT)
            .build()
            .map(Self)
            .map_err(|error| {
                Invalid::new(format!("`{text}` is not a regular expression: {}", reason(&error)))
            })
    }

    /// The compiled expression. It works on bytes, because a request's path need not be UTF-8.
    #[must_use]
    pub fn regex(&self) -> &regex::bytes::Regex {
        &self.0
    }

    /// The expression as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

/// The last line of the regex crate's report; the lines above it draw the expression again.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}
