//! Promises of the request parser: a table of what is refused and why, and what is read out of the rest.

use proptest::prelude::*;

use super::super::head::field_slots;
use super::*;

const LIMITS: Limits = Limits { head: 1024, fields: 16, target: 64, body: 1000 };

/// Parses `input` and hands the head to `look`.
fn with<R>(input: &[u8], look: impl FnOnce(&RequestHead<'_, '_>) -> R) -> Result<Option<R>, Violation> {
    let mut slots = field_slots();
    Ok(RequestHead::parse(input, &mut slots, &LIMITS)?.map(|head| look(&head)))
}

fn refusal(input: &str) -> Option<Violation> {
    with(input.as_bytes(), |_| ()).err()
}

#[test]
fn a_head_is_read_where_it_ends() {
    let input = b"GET /a?b=c HTTP/1.1\r\nHost: example.org:80\r\n\r\nrest";
    with(input, |head| {
        assert_eq!((head.method, head.target, head.authority), ("GET", "/a?b=c", "example.org:80"));
        assert_eq!(head.path_and_query(), ("/a", "b=c"));
        assert_eq!(head.len, input.len() - 4);
        assert_eq!(head.framing, Framing::None);
        assert!(head.persistent());
    })
    .expect("well-formed")
    .expect("complete");
}

#[test]
fn what_is_ambiguous_or_malformed_is_refused() {
    for (input, violation) in [
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Violation::RequestLine),
        ("GET /\r\nHost: a\r\n\r\n", Violation::RequestLine),
        ("G\u{1}T / HTTP/1.1\r\nHost: a\r\n\r\n", Violation::RequestLine),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", Violation::LineEnding),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", Violation::LineEnding),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", Violation::LineEnding),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Violation::LineEnding),
        ("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", Violation::Header),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n", Violation::Header),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Violation::Header),
        ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", Violation::Header),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n", Violation::Header),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", Violation::Version),
        ("GET / HTTP/1.1\r\n\r\n", Violation::HostMissing),
        ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", Violation::HostRepeated),
        ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", Violation::Host),
        ("GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", Violation::Host),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Violation::Host),
        ("GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n", Violation::Host),
        ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", Violation::Host),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", Violation::Target),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", Violation::Target),
        ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", Violation::Target),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", Violation::Target),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Violation::Target),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", Violation::Connect),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", Violation::BodyTooLarge),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Violation::EncodingInHttp10),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", Violation::Expectation),
    ] {
        assert_eq!(refusal(input), Some(violation), "{input:?}");
    }
}

#[test]
fn limits_are_refused_with_the_status_that_says_which() {
    let target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(64));
    assert_eq!(refusal(&target).map(Violation::status), Some(414));
    let endless_target = format!("GET /{}", "x".repeat(200));
    assert_eq!(refusal(&endless_target).map(Violation::status), Some(414));
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(1024));
    assert_eq!(refusal(&head).map(Violation::status), Some(431));
    let fields = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(16));
    assert_eq!(refusal(&fields).map(Violation::status), Some(431));
}

#[test]
fn the_absolute_form_names_the_host_whatever_the_header_says() {
    with(b"GET http://b:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n", |head| {
        assert_eq!((head.target, head.authority, head.absolute_form), ("/x?y", "b:81", true));
    })
    .expect("well-formed")
    .expect("complete");
}

#[test]
fn an_old_client_needs_no_host_and_closes_unless_it_says_otherwise() {
    with(b"GET / HTTP/1.0\r\n\r\n", |head| assert!(!head.persistent()))
        .expect("well-formed")
        .expect("complete");
    with(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", |head| assert!(head.persistent()))
        .expect("well-formed")
        .expect("complete");
}

#[test]
fn an_upgrade_is_passed_on_but_never_to_h2c() {
    let upgrade = |protocol: &str| {
        let input =
            format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n");
        with(input.as_bytes(), |head| head.upgrade().map(<[u8]>::to_vec))
            .expect("well-formed")
            .expect("complete")
    };
    assert_eq!(upgrade("websocket").as_deref(), Some(b"websocket".as_slice()));
    assert_eq!(upgrade("h2c"), None);
    assert_eq!(upgrade("foo, H2C"), None);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(input in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = with(&input, |_| ());
    }

    #[test]
    fn a_head_cut_anywhere_is_incomplete_and_not_an_error(cut in 0_usize..58) {
        let input = b"POST /a HTTP/1.1\r\nHost: example.org\r\nContent-Length: 5\r\n\r\n";
        prop_assert_eq!(with(&input[..cut], |_| ()), Ok(None));
    }
}
