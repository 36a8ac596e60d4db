//! What a route answers by itself: a redirection or a fixed response.

use super::facts::{RequestFacts, bare_host};

/// A redirection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// The value of `Location`, in parts.
    pub to: Box<[RedirectPart]>,
}

/// A part of a redirection's `Location`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedirectPart {
    /// Text taken as it is.
    Literal(Box<str>),
    /// The request's host, without its port.
    Host,
    /// The request's path, as it was sent.
    Path,
    /// The request's query with its `?`, or nothing.
    Query,
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
        let mut location = String::new();
        for part in &self.to {
            match part {
                RedirectPart::Literal(text) => location.push_str(text),
                RedirectPart::Host => location.push_str(bare_host(facts.host)),
                RedirectPart::Path if location.is_empty() => {
                    location.push('/');
                    location.push_str(facts.path.trim_start_matches(['/', '\\']));
                }
                RedirectPart::Path => location.push_str(facts.path),
                RedirectPart::Query if facts.query.is_empty() => {}
                RedirectPart::Query => {
                    location.push('?');
                    location.push_str(facts.query);
                }
            }
        }
        location
    }
}
