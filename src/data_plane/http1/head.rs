//! What request heads and response heads share: the header lines, which of them stay on this hop, and what they say
//! about the connection and the body.

use std::mem::MaybeUninit;

use httparse::Header;

use super::Violation;

/// The most header lines that a head can have, whatever the configuration says: one bit each in [`Lines`].
pub const FIELDS_MAX: usize = 128;

/// The most bytes that a head can have, whatever the configuration says: it is parsed in one buffer of the worker.
pub const HEAD_MAX: usize = 48 * 1024;

/// Room for the header lines of one head, on the stack of whoever parses it.
pub type FieldSlots<'b> = [MaybeUninit<Header<'b>>; FIELDS_MAX];

/// Returns room for the header lines of one head.
#[must_use]
pub fn field_slots<'b>() -> FieldSlots<'b> {
    [const { MaybeUninit::uninit() }; FIELDS_MAX]
}

/// How a body is delimited (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// Exactly so many bytes.
    Length(u64),
    /// The chunked transfer coding.
    Chunked,
    /// Everything until the connection closes; responses only.
    UntilClose,
}

/// The header names that forwarding looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// `Connection`.
    Connection,
    /// `Content-Length`.
    ContentLength,
    /// `Expect`.
    Expect,
    /// `Forwarded`.
    Forwarded,
    /// `Host`.
    Host,
    /// `Keep-Alive`.
    KeepAlive,
    /// `Proxy-Connection`, which old clients send by mistake.
    ProxyConnection,
    /// `TE`.
    Te,
    /// `Transfer-Encoding`.
    TransferEncoding,
    /// `Upgrade`.
    Upgrade,
    /// `Via`.
    Via,
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `X-Forwarded-Host`.
    XForwardedHost,
    /// `X-Forwarded-Proto`.
    XForwardedProto,
    /// `X-Request-Id`.
    XRequestId,
    /// Any other.
    Other,
}

impl Name {
    /// Classifies a header name; the length is compared first, so that most names cost one comparison.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let (candidates, len): (&[(&str, Self)], usize) = match name.len() {
            2 => (&[("te", Self::Te)], 2),
            3 => (&[("via", Self::Via)], 3),
            4 => (&[("host", Self::Host)], 4),
            6 => (&[("expect", Self::Expect)], 6),
            7 => (&[("upgrade", Self::Upgrade)], 7),
            9 => (&[("forwarded", Self::Forwarded)], 9),
            10 => (&[("connection", Self::Connection), ("keep-alive", Self::KeepAlive)], 10),
            12 => (&[("x-request-id", Self::XRequestId)], 12),
            14 => (&[("content-length", Self::ContentLength)], 14),
            15 => (&[("x-forwarded-for", Self::XForwardedFor)], 15),
            16 => (
                &[("x-forwarded-host", Self::XForwardedHost), ("proxy-connection", Self::ProxyConnection)],
                16,
            ),
            17 => (
                &[
                    ("transfer-encoding", Self::TransferEncoding),
                    ("x-forwarded-proto", Self::XForwardedProto),
                ],
                17,
            ),
            _ => return Self::Other,
        };
        debug_assert!(
            candidates.iter().all(|(text, _)| text.len() == len),
            "names are listed under their length"
        );
        candidates
            .iter()
            .find(|(text, _)| name.eq_ignore_ascii_case(text))
            .map_or(Self::Other, |(_, known)| *known)
    }

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A set of header lines of one head, by position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lines(u128);

impl Lines {
    /// Adds the line at `index`, which is below [`FIELDS_MAX`].
    pub fn insert(&mut self, index: usize) {
        self.0 |= 1 << index;
    }

    /// Returns whether the line at `index` is in the set.
    #[must_use]
    pub fn contains(self, index: usize) -> bool {
        self.0 >> index & 1 == 1
    }
}

/// What the header lines of one head say, gathered in one pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts {
    /// The lines that belong to this hop and are not copied (RFC 9110 §7.6.1), plus those that forwarding rewrites.
    pub dropped: Lines,
    /// `Connection: close`.
    pub close: bool,
    /// `Connection: keep-alive`.
    pub keep_alive: bool,
    /// `Connection: upgrade`.
    pub upgrade: bool,
    /// The value of `Content-Length`.
    pub content_length: Option<u64>,
    /// `Transfer-Encoding: chunked`.
    pub chunked: bool,
    /// The position of the `Host` line.
    pub host: Option<usize>,
    seen: u32,
}

impl Facts {
    /// Gathers the facts of `fields`.
    ///
    /// # Errors
    /// A [`Violation`] when the lines contradict each other about framing or host.
    pub fn gather(fields: &[Header<'_>]) -> Result<Self, Violation> {
        let mut facts = Self::default();
        let mut nominated = false;
        for (index, field) in fields.iter().enumerate() {
            let name = Name::of(field.name);
            if name == Name::Other {
                continue;
            }
            nominated |= facts.note(index, name, field.value)?;
            facts.seen |= name.bit();
        }
        if facts.chunked && facts.content_length.is_some() {
            return Err(Violation::LengthAndEncoding);
        }
        if nominated {
            facts.drop_nominated(fields);
        }
        Ok(facts)
    }

    /// Returns whether a line with this name is there.
    #[must_use]
    pub fn has(&self, name: Name) -> bool {
        self.seen & name.bit() != 0
    }

    /// Notes one line; returns whether it is a `Connection` that nominates further lines as hop-by-hop.
    fn note(&mut self, index: usize, name: Name, value: &[u8]) -> Result<bool, Violation> {
        match name {
            Name::Connection => {
                self.dropped.insert(index);
                return Ok(self.note_connection(value));
            }
            Name::KeepAlive | Name::ProxyConnection | Name::Te | Name::Upgrade => self.dropped.insert(index),
            Name::TransferEncoding => {
                self.dropped.insert(index);
                // Exactly one coding, once: what follows "chunked" or comes twice is read differently by different parsers.
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Violation::TransferEncoding);
                }
                self.chunked = true;
            }
            Name::ContentLength => {
                let length = content_length(value)?;
                match self.content_length {
                    None => self.content_length = Some(length),
                    Some(earlier) if earlier == length => self.dropped.insert(index),
                    Some(_) => return Err(Violation::LengthsDiffer),
                }
            }
            Name::Host if self.host.is_some() => return Err(Violation::HostRepeated),
            Name::Host => self.host = Some(index),
            _ => {}
        }
        Ok(false)
    }

    fn note_connection(&mut self, value: &[u8]) -> bool {
        let mut nominated = false;
        for token in list(value) {
            if token.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if token.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if token.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else {
                nominated = true;
            }
        }
        nominated
    }

    /// Marks the lines that `Connection` nominates, except those that say where the message goes and where it ends:
    /// dropping `Host` or `Content-Length` at a client's wish would change the meaning of the message.
    fn drop_nominated(&mut self, fields: &[Header<'_>]) {
        let connection = fields.iter().filter(|field| Name::of(field.name) == Name::Connection);
        for token in connection.flat_map(|field| list(field.value)) {
            for (index, field) in fields.iter().enumerate() {
                let protected = matches!(Name::of(field.name), Name::Host | Name::ContentLength);
                if !protected && field.name.as_bytes().eq_ignore_ascii_case(token) {
                    self.dropped.insert(index);
                }
            }
        }
    }
}

/// Checks that every line of a head ends in CR LF: `httparse` takes a lone LF for a line end, other parsers do not.
///
/// # Errors
/// [`Violation::LineEnding`] at the first lone LF.
pub fn check_line_endings(head: &[u8]) -> Result<(), Violation> {
    let lone = |at: usize| at == 0 || head[at - 1] != b'\r';
    if memchr::memchr_iter(b'\n', head).any(lone) { Err(Violation::LineEnding) } else { Ok(()) }
}

/// Iterates over the members of a comma-separated list (RFC 9110 §5.6.1), without empty members.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// Parses `Content-Length` (RFC 9110 §8.6): digits alone, no sign, no list, no overflow.
fn content_length(value: &[u8]) -> Result<u64, Violation> {
    if value.is_empty() {
        return Err(Violation::ContentLength);
    }
    let append = |length: u64, byte: &u8| {
        let digit = (*byte as char).to_digit(10)?;
        length.checked_mul(10)?.checked_add(u64::from(digit))
    };
    value.iter().try_fold(0, append).ok_or(Violation::ContentLength)
}

#[cfg(test)]
mod tests;
