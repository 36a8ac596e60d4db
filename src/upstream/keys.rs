//! What a balancer may ask about a request: the keys of the consistent hash, and the sticky cookie.
//!
//! A trait, because the model below the data plane knows nothing of its buffers and heads. Nothing is asked, and so
//! nothing is parsed, unless the balancer needs it.

use std::borrow::Cow;
use std::net::IpAddr;

use super::stable_hash::hash;

/// A request, as far as picking a backend may depend on it.
pub trait RequestKeys {
    /// Returns the client's address.
    fn source(&self) -> IpAddr;

    /// Returns the path as it was sent, without the query. Empty when there is none.
    fn path(&self) -> &[u8] {
        b""
    }

    /// Returns the query as it was sent, without the `?`. Empty when there is none.
    fn query(&self) -> &[u8] {
        b""
    }

    /// Returns the first value of a header, whose name is compared without regard to case. None when it is absent.
    fn header(&self, name: &str) -> Option<&[u8]> {
        let _ = name;
        None
    }
}

/// A connection that carries no request we look into: only its source is known.
impl RequestKeys for IpAddr {
    fn source(&self) -> IpAddr {
        *self
    }
}

/// What of a request a consistent hash is taken of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    /// The client's address.
    Source,
    /// The path, without the query.
    Path,
    /// The first value of a header.
    Header(Box<str>),
    /// The value of a cookie.
    Cookie(Box<str>),
    /// The value of a query parameter, as it was sent: percent-encoding is not undone.
    Query(Box<str>),
}

impl HashKey {
    /// Hashes the key of a request. None when the request has no such key.
    #[must_use]
    pub fn of(&self, request: &impl RequestKeys) -> Option<u64> {
        let key: Cow<'_, [u8]> = match self {
            Self::Source => return Some(hash_address(request.source())),
            Self::Path => request.path().into(),
            Self::Header(name) => request.header(name)?.into(),
            Self::Cookie(name) => cookie(request, name)?.into(),
            Self::Query(name) => query_parameter(request.query(), name.as_bytes())?.into(),
        };
        Some(hash(&key))
    }
}

/// Returns the value of a cookie (RFC 6265 section 4.2.1). None when the request has none of this name.
pub(super) fn cookie<'a>(request: &'a impl RequestKeys, name: &str) -> Option<&'a [u8]> {
    let cookies = request.header("cookie")?;
    cookies.split(|&byte| byte == b';').find_map(|pair| {
        let (found, value) = split_once(pair.trim_ascii(), b'=')?;
        (found == name.as_bytes()).then_some(value)
    })
}

fn query_parameter<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    query.split(|&byte| byte == b'&').find_map(|pair| {
        let (found, value) = split_once(pair, b'=').unwrap_or((pair, b""));
        (found == name).then_some(value)
    })
}

fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == separator)?;
    Some((&text[..at], &text[at + 1..]))
}

/// An IPv4 address written as an IPv6 one is the same client.
fn hash_address(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => hash(&v4.octets()),
        IpAddr::V6(v6) => hash(&v6.octets()),
    }
}

#[cfg(test)]
mod tests;
