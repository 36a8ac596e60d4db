//! The facts about a request that a route may ask for, and the form in which they are compared.

use std::borrow::Cow;
use std::net::IpAddr;

/// A request's head, as far as a route may look at it. Borrowed from the buffer that it was read into.
#[derive(Clone, Copy)]
pub struct RequestFacts<'a> {
    /// The name of the listener that accepted it.
    pub listener: &'a str,
    /// Who sent it, as far as the listener believes it.
    pub source: IpAddr,
    /// The method.
    pub method: &'a str,
    /// The host that was asked for, in any case, with or without a port.
    pub host: &'a str,
    /// The path as it was sent, without the query.
    pub path: &'a str,
    /// The query as it was sent, without its `?`. Empty when there is none.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a dyn Headers,
}

/// Looks for headers in whatever form a protocol keeps them.
pub trait Headers {
    /// Tells whether a value of the header called `name` passes the test; the name is in lower case. False when there
    /// is no such header.
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool;
}

/// Headers from a list, for questions that come from no connection.
impl Headers for Vec<(String, String)> {
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.iter().any(|(known, value)| known.eq_ignore_ascii_case(name) && test(value.as_bytes()))
    }
}

/// A request in the form in which routes compare it.
pub(super) struct View<'a> {
    facts: &'a RequestFacts<'a>,
    pub(super) host: &'a str,
    pub(super) path: Cow<'a, [u8]>,
}

impl<'a> View<'a> {
    pub(super) fn of(facts: &'a RequestFacts<'a>) -> Self {
        Self { facts, host: bare_host(facts.host), path: decode_unreserved(facts.path.as_bytes()) }
    }

    pub(super) fn listener(&self) -> &'a str {
        self.facts.listener
    }

    pub(super) fn source(&self) -> IpAddr {
        self.facts.source
    }

    pub(super) fn method(&self) -> &'a str {
        self.facts.method
    }

    pub(super) fn headers(&self) -> &'a dyn Headers {
        self.facts.headers
    }

    /// Tells whether a value of the query parameter called `name` passes the test.
    pub(super) fn any_parameter(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let pairs = self.facts.query.split('&').filter(|pair| !pair.is_empty());
        let mut named = pairs.filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (*decode_unreserved(key.as_bytes()) == *name.as_bytes()).then_some(value)
        });
        named.any(|value| test(&decode_unreserved(value.as_bytes())))
    }

    /// Tells whether a segment of the path is `.` or `..`. Encoded dots are dots here; and since some programs take
    /// `\` for `/`, so does this.
    pub(super) fn has_dot_segments(&self) -> bool {
        let mut segments = self.path.split(|&byte| byte == b'/' || byte == b'\\');
        self.path.contains(&b'.') && segments.any(|segment| matches!(segment, b"." | b".."))
    }
}

/// Removes a port and a final dot. An IPv6 address keeps its brackets.
pub(super) fn bare_host(host: &str) -> &str {
    let end_of_address = host.rfind(']').map_or(0, |at| at + 1);
    let host = match host[end_of_address..].find(':') {
        Some(colon) => &host[..end_of_address + colon],
        None => host,
    };
    host.strip_suffix('.').unwrap_or(host)
}

/// Decodes percent-encoded unreserved characters (RFC 3986 section 2.3) and leaves everything else as it is.
fn decode_unreserved(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(b'%', text) else { return text.into() };
    let mut decoded = text[..first].to_vec();
    let mut rest = &text[first..];
    while let Some(&byte) = rest.first() {
        match unreserved(rest) {
            Some(character) => {
                decoded.push(character);
                rest = &rest[3..];
            }
            None => {
                decoded.push(byte);
                rest = &rest[1..];
            }
        }
    }
    decoded.into()
}

/// Returns the unreserved character that a text begins with in percent-encoding. None when it begins otherwise.
fn unreserved(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = *text else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
    (byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)).then_some(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_loses_its_port_and_nothing_else() {
        for (sent, bare) in [
            ("example.org", "example.org"),
            ("example.org:8080", "example.org"),
            ("Example.org.:80", "Example.org"),
            ("[::1]:80", "[::1]"),
            ("[2001:db8::1]", "[2001:db8::1]"),
            ("", ""),
        ] {
            assert_eq!(bare_host(sent), bare);
        }
    }

    #[test]
    fn only_unreserved_characters_are_decoded() {
        for (sent, compared) in [
            ("/~user", "/~user"),
            ("/%7Euser%2fx", "/~user%2fx"),
            ("/%61%2E%2e", "/a.."),
            ("/100%", "/100%"),
            ("/%zz%4", "/%zz%4"),
            ("/%C3%A4", "/%C3%A4"),
            ("/%2561", "/%2561"),
        ] {
            assert_eq!(*decode_unreserved(sent.as_bytes()), *compared.as_bytes(), "{sent}");
        }
    }
}
