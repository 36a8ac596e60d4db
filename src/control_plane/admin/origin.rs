//! Who a request comes from: a program, or a page that a browser shows. Any page may have it post to loopback.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};

/// Tells whether a browser sends this for a page that is not ours. What changes something refuses it.
pub(super) fn comes_from_another_site(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &header::HeaderValue| value.as_bytes());
    let ours = text(header::HOST).map(|host| [b"http://", host].concat());
    text(header::ORIGIN).is_some_and(|origin| Some(origin) != ours.as_deref())
}

/// Tells whether a browser sends this, for whatever page: programs name no origin.
pub(super) fn comes_from_a_page(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN)
}

/// Tells whether `Host` is an address or `localhost`, which no other site can have for its own name. A program may leave it
/// out; a browser does not.
pub(super) fn names_no_domain(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).map_or(b"".as_slice(), |host| host.as_bytes());
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let name = name.to_ascii_lowercase();
    name.is_empty()
        || name == "localhost"
        || name.ends_with(".localhost")
        || address.parse::<IpAddr>().is_ok()
}
