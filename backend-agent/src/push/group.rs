//! The grouping key under which a gateway keeps what is pushed: `/metrics/job/…/instance/…`.
//!
//! As the Pushgateway's documentation has it (section "URL"): a value that a path segment cannot hold is sent in base64
//! (RFC 4648, section 5), and its label's name is followed by `@base64`.

use std::fmt::Write as _;

/// Returns the path of the group of `job` and `instance` under `base`, which does not end with a slash.
pub(super) fn path(base: &str, job: &str, instance: &str) -> String {
    let mut path = format!("{base}/metrics");
    for (label, value) in [("job", job), ("instance", instance)] {
        // `.` and `..` would be taken for steps on the way.
        if value.is_empty() || value.contains('/') || value == "." || value == ".." {
            let _ = write!(path, "/{label}@base64/{}", base64(value.as_bytes()));
        } else {
            let _ = write!(path, "/{label}/{}", escaped(value));
        }
    }
    path
}

/// Escapes all but the unreserved characters (RFC 3986, section 2.3).
fn escaped(value: &str) -> String {
    let mut segment = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            segment.push(char::from(byte));
        } else {
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    segment
}

/// Writes bytes in the alphabet for URLs, without padding; nothing at all is one `=`, because a segment cannot be empty.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..=chunk.len() {
            let six = bits >> (18 - 6 * place) & 0b11_1111;
            text.push(char::from(ALPHABET[six as usize]));
        }
    }
    if text.is_empty() { "=".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_a_segment_of_the_path() {
        assert_eq!(path("", "cpu_usage", "backend-1"), "/metrics/job/cpu_usage/instance/backend-1");
        assert_eq!(path("/gate", "a b", "ü:1"), "/gate/metrics/job/a%20b/instance/%C3%BC%3A1");
        assert_eq!(path("", "50%", "a?b#c"), "/metrics/job/50%25/instance/a%3Fb%23c");
    }

    #[test]
    fn what_a_segment_cannot_hold_is_sent_in_base64() {
        // The first two are the examples of the Pushgateway's documentation.
        assert_eq!(path("", "/var/tmp", ""), "/metrics/job@base64/L3Zhci90bXA/instance@base64/=");
        assert_eq!(path("", "..", "a/bc"), "/metrics/job@base64/Li4/instance@base64/YS9iYw");
        assert_eq!(base64(b"\xfb\xff\xfe"), "-__-");
    }
}
