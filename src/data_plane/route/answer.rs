//! What a route answers by itself: a redirection or a fixed response.

use super::facts::RequestFacts;
use super::template::TextPart;

/// A redirection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// The value of `Location`, in parts.
    pub to: Box<[TextPart]>,
}

/// An answer that the configuration holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedResponse {
    /// The status code.
    pub status: u16,
    /// The header fields, without `Content-Length`.
    pub headers: Box<[(Box<str>, Box<str>)]>,
    /// The body. Empty for none.
    pub body: Box<[u8]>,
}

impl Redirect {
    /// Writes the `Location` for a request.
    ///
    /// A location that begins with the request's path stays on this host: of `//elsewhere/` and `/\elsewhere/`, which
    /// browsers take for another host, only one slash is kept.
    #[must_use]
    pub fn location(&self, facts: &RequestFacts<'_>) -> String {
        let mut location = Vec::new();
        for part in &self.to {
            if *part == TextPart::Path && location.is_empty() {
                location.push(b'/');
                location.extend_from_slice(facts.path.trim_start_matches(['/', '\\']).as_bytes());
            } else {
                part.write(facts, &mut location);
            }
        }
        String::from_utf8(location).unwrap_or_default()
    }
}
