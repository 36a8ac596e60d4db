//! The sticky cookie: a client stays with the backend that answered it first.
//!
//! The cookie's value stands for the backend without telling a client its name or address: a hash of the names of
//! upstream and backend. It means the same after a restart, after a reload, and to another balancer with the same
//! configuration, so nothing is stored.

use super::keys::{self, RequestKeys};
use super::stable_hash::hash;

/// How clients are made to stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StickySettings {
    /// The cookie's name.
    pub cookie: Box<str>,
    /// What follows the value in `Set-Cookie` (RFC 6265 section 4.1), with its leading `; `: `; Path=/; HttpOnly`.
    pub attributes: Box<str>,
}

/// The cookies of an upstream's backends.
#[derive(Debug)]
pub(super) struct Sticky {
    cookie: Box<str>,
    /// Values and the backends that they stand for, sorted by value.
    by_value: Box<[(u64, u32)]>,
    /// A `Set-Cookie` value for each backend.
    set_cookie: Box<[Box<str>]>,
}

impl Sticky {
    pub(super) fn new<'a>(
        settings: &StickySettings,
        upstream: &str,
        backends: impl Iterator<Item = &'a str>,
    ) -> Self {
        let values: Vec<u64> = backends.map(|backend| value(upstream, backend)).collect();
        let set_cookie = values
            .iter()
            .map(|value| format!("{}={value:016x}{}", settings.cookie, settings.attributes).into())
            .collect();
        let mut by_value: Box<[(u64, u32)]> = values.into_iter().zip(0..).collect();
        by_value.sort_unstable();
        Self { cookie: settings.cookie.clone(), by_value, set_cookie }
    }

    /// Returns the backend that the request's cookie stands for. None without a cookie, or with one of a backend that
    /// is not configured (any more).
    pub(super) fn wanted(&self, request: &impl RequestKeys) -> Option<usize> {
        let value = parse(keys::cookie(request, &self.cookie)?)?;
        let at = self.by_value.binary_search_by_key(&value, |&(value, _)| value).ok()?;
        Some(self.by_value[at].1 as usize)
    }

    /// Returns the `Set-Cookie` value that makes a client stay with a backend.
    pub(super) fn set_cookie(&self, backend: usize) -> &str {
        &self.set_cookie[backend]
    }
}

fn value(upstream: &str, backend: &str) -> u64 {
    // A separator that no name contains: `a` + `bc` is not `ab` + `c`.
    hash(format!("{upstream}\n{backend}").as_bytes())
}

/// Reads exactly what [`Sticky::set_cookie`] wrote.
fn parse(value: &[u8]) -> Option<u64> {
    let is_ours = value.len() == 16 && value.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !is_ours {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(value).ok()?, 16).ok()
}
