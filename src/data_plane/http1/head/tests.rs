//! Promises about header lines: what stays on this hop, and what contradicts itself.

use super::*;

fn gather(lines: &[(&'static str, &'static str)]) -> Result<Facts, Violation> {
    let fields: Vec<_> = lines.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
    Facts::gather(&fields)
}

#[test]
fn every_name_is_recognised_in_any_case() {
    for (text, name) in [
        ("TE", Name::Te),
        ("Via", Name::Via),
        ("HOST", Name::Host),
        ("eXpect", Name::Expect),
        ("Upgrade", Name::Upgrade),
        ("Forwarded", Name::Forwarded),
        ("Connection", Name::Connection),
        ("Keep-Alive", Name::KeepAlive),
        ("X-Request-ID", Name::XRequestId),
        ("Content-Length", Name::ContentLength),
        ("X-Forwarded-For", Name::XForwardedFor),
        ("X-Forwarded-Host", Name::XForwardedHost),
        ("Proxy-Connection", Name::ProxyConnection),
        ("Transfer-Encoding", Name::TransferEncoding),
        ("X-Forwarded-Proto", Name::XForwardedProto),
        ("Cookie", Name::Other),
    ] {
        assert_eq!(Name::of(text), name, "{text}");
    }
}

#[test]
fn the_lines_of_this_hop_are_dropped_with_those_that_connection_nominates() {
    let facts = gather(&[
        ("Connection", "close, X-Private"),
        ("x-private", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("TE", "trailers"),
        ("Accept", "*/*"),
    ])
    .expect("consistent");
    let dropped: Vec<_> = (0..6).filter(|index| facts.dropped.contains(*index)).collect();
    assert_eq!(dropped, [0, 1, 2, 3, 4]);
    assert!(facts.close);
}

#[test]
fn a_client_cannot_have_the_host_or_the_length_dropped() {
    let facts = gather(&[("Connection", "host, content-length"), ("Host", "a"), ("Content-Length", "1")])
        .expect("consistent");
    assert!(!facts.dropped.contains(1) && !facts.dropped.contains(2));
}

#[test]
fn equal_lengths_are_forwarded_once_and_differing_ones_refused() {
    let facts = gather(&[("Content-Length", "5"), ("content-length", "5")]).expect("consistent");
    assert_eq!(facts.content_length, Some(5));
    assert!(facts.dropped.contains(1) && !facts.dropped.contains(0));
    assert_eq!(
        gather(&[("Content-Length", "5"), ("Content-Length", "6")]).err(),
        Some(Violation::LengthsDiffer)
    );
}

#[test]
fn a_length_is_digits_and_nothing_else() {
    for value in ["", "+5", "-5", "5 ", "5,5", "0x5", "5.0", "18446744073709551616"] {
        assert_eq!(gather(&[("Content-Length", value)]).err(), Some(Violation::ContentLength), "{value:?}");
    }
    let largest = gather(&[("Content-Length", "18446744073709551615")]).expect("fits");
    assert_eq!(largest.content_length, Some(u64::MAX));
}

#[test]
fn only_chunked_once_is_an_encoding_that_is_understood() {
    for value in ["gzip", "gzip, chunked", "chunked, chunked", "chunked;q=1", "\u{b}chunked", "identity", ""]
    {
        let refused = gather(&[("Transfer-Encoding", value)]).err();
        assert_eq!(refused, Some(Violation::TransferEncoding), "{value:?}");
    }
    let twice = gather(&[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")]);
    assert_eq!(twice.err(), Some(Violation::TransferEncoding));
    let both = gather(&[("Transfer-Encoding", "Chunked"), ("Content-Length", "1")]);
    assert_eq!(both.err(), Some(Violation::LengthAndEncoding));
}

#[test]
fn a_lone_line_feed_is_no_line_ending() {
    assert!(check_line_endings(b"a\r\nb\r\n\r\n").is_ok());
    for head in [b"\n".as_slice(), b"a\nb\r\n", b"a\r\n\n"] {
        assert_eq!(check_line_endings(head), Err(Violation::LineEnding));
    }
}
