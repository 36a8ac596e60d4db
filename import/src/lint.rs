//! What plimsoll itself would refuse, so that nothing is written that does not pass `plimsoll check`.

use crate::address::is_host_name;

/// The most memory that one compiled expression may take in plimsoll, in bytes.
const REGEX_LIMIT: usize = 1 << 20;

/// Whether plimsoll takes the expression. Both programs use PCRE, whose look-around and back references it has not.
pub(crate) fn regex(text: &str) -> bool {
    // The regex crate's own parser is recursive in the length of a text.
    text.len() <= 4096
        && regex::bytes::RegexBuilder::new(text).unicode(false).size_limit(REGEX_LIMIT).build().is_ok()
}

/// Whether a path can be this, or begin with this.
pub(crate) fn path_start(text: &str) -> bool {
    text.starts_with('/') && path_end(text)
}

/// Whether a path can end with this.
pub(crate) fn path_end(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|c| matches!(c, '?' | '#' | ' ') || c.is_control())
}

/// Whether the text can be asked for in a check: a path, with a query or not.
pub(crate) fn check_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|b| (b'!'..=b'~').contains(&b))
}

/// Whether the text is a host as a check sends it.
pub(crate) fn check_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
}

/// Whether the text is a token (RFC 9110 section 5.6.2): a method, the name of a header or a cookie.
pub(crate) fn token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Whether a request's method can be this.
pub(crate) fn method(text: &str) -> bool {
    const STANDARD: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    let upper = text.to_ascii_uppercase();
    token(text) && (upper == text || !STANDARD.contains(&upper.as_str()))
}

/// Whether the text can be the value of a header.
pub(crate) fn header_value(text: &str) -> bool {
    text.trim() == text && text.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b))
}

/// What to do instead where plimsoll writes this header itself. None when a route may write it. `header` is in lower case.
pub(crate) fn is_reserved(header: &str) -> Option<&'static str> {
    Some(match header {
        "content-length" | "transfer-encoding" | "trailer" => "the balancer frames each message itself",
        "connection" | "keep-alive" | "proxy-connection" | "te" => {
            "it is about one connection, which the balancer keeps or closes itself"
        }
        "upgrade" => "it is passed on where client and backend agree on another protocol",
        "host" => "backends read the client's Host, or what `upstreams.*.host_header` says",
        "expect" => "the balancer passes it on where it still means something",
        "traceparent" => "`telemetry.traces` writes it",
        _ => return None,
    })
}

/// A host as a route asks for it: a name, or `*.` and a domain; without a port. None when it can be neither.
pub(crate) fn host_pattern(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    if let Ok(address) = lower.trim_matches(['[', ']']).parse::<std::net::IpAddr>() {
        return Some(if address.is_ipv6() { format!("[{address}]") } else { address.to_string() });
    }
    let bare = lower.strip_suffix('.').unwrap_or(&lower);
    let domain = bare.strip_prefix("*.").unwrap_or(bare);
    is_host_name(domain).then(|| bare.to_owned())
}

/// Whether the text can be the path of a cookie.
pub(crate) fn cookie_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|b| (b'!'..=b'~').contains(&b) && b != b';')
}
