//! The HTTP/1.1 codec: no input makes it panic, and what it forwards is read the same way by the next parser.
//!
//! The second half is the one that matters: a request smuggled past a proxy is two parsers that disagree.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use libfuzzer_sys::fuzz_target;
use plimsoll::data_plane::http1::Violation;
use plimsoll::data_plane::http1::chunked::{Chunked, Keep};
use plimsoll::data_plane::http1::head::{Framing, field_slots};
use plimsoll::data_plane::http1::request::{Limits, RequestHead};
use plimsoll::data_plane::http1::response::ResponseHead;
use plimsoll::data_plane::http1::rewrite::{self, Back, ClientLines, ForwardPolicy, Onward};
use plimsoll::telemetry::{Sampling, TraceContext};

const LIMITS: Limits = Limits { head: 16 * 1024, fields: 100, target: 4096, body: u64::MAX };

fuzz_target!(|input: &[u8]| {
    request(input);
    response(input);
    chunked(input);
});

/// What is forwarded parses again, with the same target, framing and end of the head.
fn request(input: &[u8]) {
    let mut slots = field_slots();
    let Ok(Some(head)) = RequestHead::parse(input, &mut slots, &LIMITS) else { return };
    assert!(head.len <= input.len());
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let policy = ForwardPolicy { x_forwarded: true, forwarded: true, via: true, ..ForwardPolicy::default() };
    let client = ClientLines::new(&policy, client, SocketAddr::from((Ipv4Addr::LOCALHOST, 80)));
    let mut out = Vec::new();
    let trace =
        Some(TraceContext::new(None, false, &Sampling::new(1.0), || 7)).filter(|_| input.len() % 2 == 1);
    let onward = Onward { client: &client, host: None, request_id: Some(1), trace, rules: None };
    let parent = rewrite::request(&head, &onward, &mut out);
    assert_eq!(parent.is_some(), trace.is_some());
    if let Some(at) = parent {
        assert!(out[at..at + 16].iter().all(u8::is_ascii_hexdigit), "an attempt's id goes there");
    }

    let generous = Limits { head: usize::MAX, fields: 128, target: 4096, body: u64::MAX };
    let mut slots = field_slots();
    match RequestHead::parse(&out, &mut slots, &generous) {
        Ok(Some(again)) => {
            assert_eq!(again.len, out.len(), "nothing follows the forwarded head");
            assert_eq!((again.method, again.target, again.framing), (head.method, head.target, head.framing));
            if !head.authority.is_empty() {
                assert_eq!(again.authority, head.authority);
            }
            assert!(!again.facts.close, "the client's wish to close stays on its hop");
        }
        // The lines that forwarding adds may be one too many for the parser's own bound.
        Err(Violation::TooManyHeaders) => {}
        other => unreachable!("a forwarded head does not parse: {other:?}"),
    }
}

/// What goes back to the client parses again, with the same status and framing.
fn response(input: &[u8]) {
    let mut slots = field_slots();
    let Ok(Some(head)) = ResponseHead::parse(input, &mut slots, 16 * 1024) else { return };
    let framing = head.framing(false);
    let mut out = Vec::new();
    let chunked = framing == Framing::Chunked;
    rewrite::response(&head, &Back { chunked, close: !chunked, ..Back::default() }, &mut out);
    let mut slots = field_slots();
    match ResponseHead::parse(&out, &mut slots, usize::MAX) {
        Ok(Some(again)) => {
            assert_eq!(again.len, out.len(), "nothing follows the returned head");
            assert_eq!((again.status, again.framing(false)), (head.status, framing));
        }
        Err(Violation::TooManyHeaders) => {}
        other => unreachable!("a returned head does not parse: {other:?}"),
    }
}

/// A body decodes to the same bytes however the network cuts it, and what is kept decodes to itself.
fn chunked(input: &[u8]) {
    let whole = decode(input, input.len().max(1), Keep::Framed);
    let bytewise = decode(input, 1, Keep::Framed);
    assert_eq!(whole, bytewise, "where the reads end makes no difference");
    let data = decode(input, 7, Keep::Data);
    if let (Ok((kept, used, true)), Ok((data, ..))) = (whole, data) {
        assert!(used <= input.len());
        let (again, all, done) =
            decode(&kept, kept.len(), Keep::Framed).expect("what is kept is well-formed");
        assert_eq!((again, all, done), (kept.clone(), kept.len(), true));
        assert_eq!(decode(&kept, kept.len(), Keep::Data).map(|(data, ..)| data), Ok(data));
    }
}

/// Feeds `input` in pieces; returns what was kept, how much was consumed and whether the body ended.
fn decode(input: &[u8], piece: usize, keep: Keep) -> Result<(Vec<u8>, usize, bool), Violation> {
    let mut decoder = Chunked::new();
    let (mut kept, mut consumed) = (Vec::new(), 0);
    for piece in input.chunks(piece) {
        let mut buffer = piece.to_vec();
        let decoded = decoder.decode(&mut buffer, keep)?;
        kept.extend_from_slice(&buffer[..decoded.kept]);
        consumed += decoded.consumed;
        if decoded.done {
            if let (Some(section), Keep::Framed) = (decoder.take_trailers()?, keep) {
                kept.extend_from_slice(&section);
            }
            return Ok((kept, consumed, true));
        }
    }
    Ok((kept, consumed, false))
}
