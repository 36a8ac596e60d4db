//! Responses that plimsoll gives by itself: refusals, errors, redirects and fixed responses of routes.

use std::fmt::Write as _;

/// The parts of a response of our own.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// Complete header lines besides those about length and connection.
    pub lines: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// Appends `answer` to `out`. `head_only` leaves the body out (the request was a `HEAD`), `close` announces the end of
/// the connection.
pub fn write(answer: &Answer<'_>, head_only: bool, close: bool, out: &mut Vec<u8>) {
    let mut head = String::with_capacity(160 + answer.lines.len());
    let _ = write!(head, "HTTP/1.1 {} {}\r\n{}", answer.status, reason_phrase(answer.status), answer.lines);
    // RFC 9110 §8.6: no Content-Length in 1xx and 204.
    let has_body = answer.status >= 200 && answer.status != 204 && answer.status != 304;
    if has_body {
        let _ = write!(head, "content-length: {}\r\n", answer.body.len());
    }
    if close {
        head.push_str("connection: close\r\n");
    }
    head.push_str("\r\n");
    out.extend_from_slice(head.as_bytes());
    if has_body && !head_only {
        out.extend_from_slice(answer.body);
    }
}

/// Returns the reason phrase of a status code (RFC 9110 §15), empty for one that has none here.
#[must_use]
pub fn reason_phrase(status: u16) -> &'static str {
    hyper::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_head_announces_the_length_and_leaves_the_body_out() {
        let mut out = Vec::new();
        let answer = Answer { status: 503, lines: "retry-after: 1\r\n", body: b"no backend\n" };
        write(&answer, true, true, &mut out);
        let text = String::from_utf8(out).expect("ascii");
        assert_eq!(
            text,
            "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 11\r\nconnection: close\r\n\r\n"
        );
    }
}
