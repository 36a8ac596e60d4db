//! An answer that was given stays given: whatever ends the connection later must not take it back on its way.
//!
//! The danger is the kernel, which resets a connection that is closed with unread input, and then drops what it had
//! still to send.

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::setup::Setup;
use crate::harness::wire::Wire;

/// Larger than what the client's kernel takes before the client reads, small enough for the balancer's to keep.
const BODY: usize = 60_000;

/// A backend whose answers are large, and truncated for `/cut`.
fn generous() -> Backend {
    Backend::scripted(|mut wire, memory| {
        while let Some(request) = wire.request() {
            let cut = request.head.target() == "/cut";
            memory.note(request);
            wire.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {BODY}\r\n\r\n"));
            wire.send(vec![b'a'; if cut { 10 } else { BODY }]);
            if cut {
                return;
            }
        }
    })
}

/// Sends requests for `targets` and many more behind them, without reading an answer.
fn ask_ahead(balancer: &Balancer, targets: &[&str]) -> Wire {
    let mut client = balancer.connect();
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    let wanted: String = targets.iter().map(|target| get(target)).collect();
    let more = get("/more").repeat(5000);
    client.send(wanted + &more);
    client
}

#[test]
fn a_truncated_answer_does_not_take_back_those_before_it() {
    let backend = generous();
    let balancer = Setup::over([&backend]).start();
    let mut client = ask_ahead(&balancer, &["/1", "/2", "/3", "/cut"]);
    // Only now does the client begin to read.
    balancer.expect_metric("plimsoll_attempts_total", &["outcome=\"reset\""], 1.0);
    for _ in 0..3 {
        assert_eq!(client.answer(false).body.len(), BODY);
    }
    assert_eq!(client.head().map(|head| head.status()), Some(200));
    assert_eq!(client.read_to_end(), b"aaaaaaaaaa", "what came of the truncated one, and the end");
    assert_eq!(backend.requests().len(), 4, "what is asked behind it is not begun");
}

#[test]
fn the_end_after_the_last_request_does_not_take_back_its_answer() {
    let backend = generous();
    let balancer = Setup::over([&backend]).listener("limits: { requests_per_connection: 3 }").start();
    let mut client = ask_ahead(&balancer, &["/1", "/2", "/3"]);
    balancer.expect_metric("plimsoll_requests_total", &["code=\"200\""], 3.0);
    for last in [false, false, true] {
        let answer = client.answer(false);
        assert_eq!(answer.body.len(), BODY);
        assert_eq!(answer.head.field("connection"), last.then_some("close"));
    }
    client.expect_end();
    assert_eq!(backend.requests().len(), 3);
}
