//! Reads a request head (RFC 9112 §3, §6) and says what it asks of the connection.

use httparse::{Header, Status};

use super::Violation;
use super::head::{Facts, FieldSlots, Framing, Name, check_line_endings, list};

/// The bounds of a request head and body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a head, at most [`super::head::HEAD_MAX`].
    pub head: usize,
    /// The most header lines, at most [`super::head::FIELDS_MAX`].
    pub fields: usize,
    /// The most bytes of a request target.
    pub target: usize,
    /// The most bytes of a body; `u64::MAX` for no limit.
    pub body: u64,
}

/// One parsed request head; everything borrows from the buffer that was read.
#[derive(Debug)]
pub struct RequestHead<'h, 'b> {
    /// The method, as sent.
    pub method: &'b str,
    /// The target in origin form (or `*`): path and query.
    pub target: &'b str,
    /// The host and port that the request names, empty if none.
    pub authority: &'b str,
    /// Whether the authority came in the target (absolute form) and replaces the `Host` line (RFC 9112 §3.2.2).
    pub absolute_form: bool,
    /// The minor version: 0 or 1.
    pub minor: u8,
    /// The header lines.
    pub fields: &'h [Header<'b>],
    /// What they say.
    pub facts: Facts,
    /// How the body is delimited.
    pub framing: Framing,
    /// The head's length in bytes; the body begins there.
    pub len: usize,
    /// The head's bytes.
    pub bytes: &'b [u8],
}

impl<'h, 'b> RequestHead<'h, 'b> {
    /// Parses the head at the front of `input`; `None` when it is not complete yet.
    ///
    /// # Errors
    /// The first rule or limit that it breaks.
    pub fn parse(
        input: &'b [u8],
        slots: &'h mut FieldSlots<'b>,
        limits: &Limits,
    ) -> Result<Option<Self>, Violation> {
        let mut request = httparse::Request::new(&mut []);
        let window = &input[..input.len().min(limits.head)];
        let room = limits.fields.min(slots.len());
        let Status::Complete(len) = request.parse_with_uninit_headers(window, &mut slots[..room])? else {
            return incomplete(window, limits);
        };
        let bytes = &input[..len];
        check_line_endings(bytes)?;
        let (Some(method), Some(raw), Some(minor)) = (request.method, request.path, request.version) else {
            return Err(Violation::RequestLine);
        };
        if raw.len() > limits.target {
            return Err(Violation::TargetTooLong);
        }
        let fields: &'h [Header<'b>] = request.headers;
        let facts = Facts::gather(fields)?;
        let framing = framing(&facts, minor, limits)?;
        let (target, absolute) = split_target(method, raw)?;
        let authority = authority(&facts, fields, absolute, minor)?;
        check_expectation(&facts, fields, minor)?;
        let absolute_form = absolute.is_some();
        Ok(Some(Self { method, target, authority, absolute_form, minor, fields, facts, framing, len, bytes }))
    }

    /// Returns whether the client wants to send another request on this connection (RFC 9112 §9.3).
    #[must_use]
    pub fn persistent(&self) -> bool {
        !self.facts.close && (self.minor == 1 || self.facts.keep_alive)
    }

    /// Returns the protocols of an `Upgrade` that is passed on, as sent.
    ///
    /// `None` for `h2c`: RFC 9113 withdrew it, and a tunnel of requests that nobody routes is a way around every rule.
    #[must_use]
    pub fn upgrade(&self) -> Option<&'b [u8]> {
        if self.minor == 0 || !self.facts.upgrade || !self.facts.has(Name::Upgrade) {
            return None;
        }
        let value = self.values(Name::Upgrade).next()?;
        let h2c = list(value).any(|protocol| protocol.eq_ignore_ascii_case(b"h2c"));
        (!h2c && self.values(Name::Upgrade).count() == 1).then_some(value)
    }

    /// Iterates over the values of the lines called `name`, in order.
    pub fn values(&self, name: Name) -> impl Iterator<Item = &'b [u8]> + use<'_, 'h, 'b> {
        self.fields.iter().filter(move |field| Name::of(field.name) == name).map(|field| field.value)
    }

    /// Returns the path and the query (without `?`) of the target.
    #[must_use]
    pub fn path_and_query(&self) -> (&'b str, &'b str) {
        self.target.split_once('?').unwrap_or((self.target, ""))
    }
}

impl crate::data_plane::route::Headers for RequestHead<'_, '_> {
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.fields.iter().any(|field| field.name.eq_ignore_ascii_case(name) && test(field.value))
    }
}

fn incomplete<T>(window: &[u8], limits: &Limits) -> Result<Option<T>, Violation> {
    let first_line_open = memchr::memchr(b'\n', window).is_none();
    // The line holds a method and a version besides the target; 32 bytes are more than both need.
    if first_line_open && window.len() > limits.target + 32 {
        return Err(Violation::TargetTooLong);
    }
    if window.len() >= limits.head { Err(Violation::HeadTooLarge) } else { Ok(None) }
}

fn framing(facts: &Facts, minor: u8, limits: &Limits) -> Result<Framing, Violation> {
    match facts.content_length {
        Some(length) if length > limits.body => Err(Violation::BodyTooLarge),
        Some(0) => Ok(Framing::None),
        Some(length) => Ok(Framing::Length(length)),
        None if !facts.chunked => Ok(Framing::None),
        None if minor == 0 => Err(Violation::EncodingInHttp10),
        None => Ok(Framing::Chunked),
    }
}

/// Splits a target into its origin form and, where it is in absolute form, its authority (RFC 9112 §3.2).
fn split_target<'b>(method: &str, raw: &'b str) -> Result<(&'b str, Option<&'b str>), Violation> {
    // A URI is printable ASCII, and a fragment never travels; quotes, backslashes and the like do, in practice.
    if !raw.bytes().all(|byte| (0x21..0x7f).contains(&byte) && byte != b'#') {
        return Err(Violation::Target);
    }
    if method == "CONNECT" {
        return Err(Violation::Connect);
    }
    if raw.starts_with('/') || (raw == "*" && method == "OPTIONS") {
        return Ok((raw, None));
    }
    let scheme_end = raw.find("://").ok_or(Violation::Target)?;
    let (scheme, rest) = (&raw[..scheme_end], &raw[scheme_end + 3..]);
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(Violation::Target);
    }
    match rest.find(['/', '?']) {
        Some(0) => Err(Violation::Target),
        Some(at) if rest[at..].starts_with('/') => Ok((&rest[at..], Some(&rest[..at]))),
        // "http://host?query" has an empty path, which the origin form cannot say without a copy; nobody sends it.
        Some(_) => Err(Violation::Target),
        None if rest.is_empty() => Err(Violation::Target),
        None => Ok(("/", Some(rest))),
    }
}

fn authority<'b>(
    facts: &Facts,
    fields: &[Header<'b>],
    absolute: Option<&'b str>,
    minor: u8,
) -> Result<&'b str, Violation> {
    let line = facts.host.map(|index| fields[index].value);
    if line.is_none() && minor == 1 {
        return Err(Violation::HostMissing);
    }
    let host = line.map(|value| std::str::from_utf8(value).map_err(|_| Violation::Host)).transpose()?;
    for candidate in [host, absolute].into_iter().flatten() {
        check_authority(candidate)?;
    }
    Ok(absolute.or(host).unwrap_or_default())
}

/// Checks `host[:port]` (RFC 3986 §3.2.2), without user information and without the comma that would make a list.
fn check_authority(authority: &str) -> Result<(), Violation> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or(Violation::Host)?;
            let port = if after.is_empty() { "" } else { after.strip_prefix(':').ok_or(Violation::Host)? };
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(Violation::Host);
            }
            ("", port)
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    let name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=%".contains(&byte);
    let well_formed =
        host.bytes().all(name_byte) && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    if well_formed { Ok(()) } else { Err(Violation::Host) }
}

fn check_expectation(facts: &Facts, fields: &[Header<'_>], minor: u8) -> Result<(), Violation> {
    if minor == 0 || !facts.has(Name::Expect) {
        return Ok(());
    }
    let mut expectations = fields.iter().filter(|field| Name::of(field.name) == Name::Expect);
    if expectations.all(|field| field.value.eq_ignore_ascii_case(b"100-continue")) {
        Ok(())
    } else {
        Err(Violation::Expectation)
    }
}

#[cfg(test)]
mod tests;
