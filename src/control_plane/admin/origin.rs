//! Who a request comes from: a program, or a page that a browser shows. Any page may have it post to loopback.

use axum::http::{HeaderMap, header};

/// Tells whether a browser sends this for a page that is not ours. What changes something refuses it.
pub(super) fn comes_from_a_page(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &header::HeaderValue| value.as_bytes());
    let ours = text(header::HOST).map(|host| [b"http://", host].concat());
    text(header::ORIGIN).is_some_and(|origin| Some(origin) != ours.as_deref())
}
