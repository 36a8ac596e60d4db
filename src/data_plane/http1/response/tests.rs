//! Promises of the response parser: how a body is delimited, and which answers are not accepted.

use proptest::prelude::*;

use super::super::head::field_slots;
use super::*;

fn with<R>(input: &[u8], look: impl FnOnce(&ResponseHead<'_, '_>) -> R) -> Result<Option<R>, Violation> {
    let mut slots = field_slots();
    Ok(ResponseHead::parse(input, &mut slots, 1024)?.map(|head| look(&head)))
}

#[test]
fn the_body_is_delimited_as_the_rfc_says() {
    for (input, to_head, framing) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, Framing::Length(5)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, Framing::None),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, Framing::Chunked),
        ("HTTP/1.1 200 OK\r\n\r\n", false, Framing::UntilClose),
        ("HTTP/1.0 200 OK\r\n\r\n", false, Framing::UntilClose),
        ("HTTP/1.1 204 No Content\r\n\r\n", false, Framing::None),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, Framing::None),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, Framing::None),
    ] {
        let found =
            with(input.as_bytes(), |head| head.framing(to_head)).expect("well-formed").expect("complete");
        assert_eq!(found, framing, "{input:?}");
    }
}

#[test]
fn a_backend_keeps_its_connection_only_if_the_end_of_the_answer_is_known() {
    for (input, persistent) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", true),
    ] {
        let found = with(input.as_bytes(), |head| head.persistent(head.framing(false)));
        assert_eq!(found, Ok(Some(persistent)), "{input:?}");
    }
}

#[test]
fn an_answer_that_contradicts_itself_is_refused() {
    for (input, violation) in [
        ("garbage\r\n\r\n", Violation::Version),
        ("HTTP/1.1 999999 OK\r\n\r\n", Violation::StatusLine),
        ("HTTP/1.1 099 OK\r\n\r\n", Violation::StatusLine),
        ("HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\n", Violation::LineEnding),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", Violation::ContentLength),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            Violation::LengthAndEncoding,
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Violation::TransferEncoding),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Violation::EncodingInHttp10),
    ] {
        assert_eq!(with(input.as_bytes(), |_| ()).err(), Some(violation), "{input:?}");
    }
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(1024));
    assert_eq!(with(endless.as_bytes(), |_| ()).err(), Some(Violation::HeadTooLarge));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(input in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = with(&input, |head| head.framing(false));
    }
}
