//! Texts with parts of a request in them, for `Location` and header values.

use std::io::Write as _;

use super::facts::{RequestFacts, bare_host};

/// Stands for the backend's name where that is not yet known. No part of a request has this byte.
const BACKEND: u8 = 0;

/// A part of a text that the configuration holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextPart {
    /// Text taken as it is.
    Literal(Box<str>),
    /// The request's host, without its port.
    Host,
    /// The request's host and port, as it was sent.
    Authority,
    /// The request's path, as it was sent.
    Path,
    /// The request's query with its `?`, or nothing.
    Query,
    /// The address of who sent the request, as far as the listener believes it.
    Client,
    /// The name of the backend that answers.
    Backend,
}

impl TextPart {
    /// Appends the part. The backend's name is left open, see [`name_backend`].
    pub(super) fn write(&self, facts: &RequestFacts<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Self::Host => out.extend_from_slice(bare_host(facts.host).as_bytes()),
            Self::Authority => out.extend_from_slice(facts.host.as_bytes()),
            Self::Path => out.extend_from_slice(facts.path.as_bytes()),
            Self::Query if facts.query.is_empty() => {}
            Self::Query => {
                out.push(b'?');
                out.extend_from_slice(facts.query.as_bytes());
            }
            Self::Client => {
                // Writing into a Vec cannot fail.
                let _ = write!(out, "{}", facts.source);
            }
            Self::Backend => out.push(BACKEND),
        }
    }
}

/// Appends lines, with the backend's name where it was left open.
pub fn name_backend(lines: &[u8], name: &str, out: &mut Vec<u8>) {
    for (n, text) in lines.split(|byte| *byte == BACKEND).enumerate() {
        if n > 0 {
            out.extend_from_slice(name.as_bytes());
        }
        out.extend_from_slice(text);
    }
}
