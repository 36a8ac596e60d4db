//! `Upgrade`: after 101 the connection is a tunnel that belongs to the two sides.

use crate::harness::backend::Backend;
use crate::harness::setup::Setup;

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";

/// A backend that agrees, then sends back what it gets, in capitals.
fn shouting() -> Backend {
    Backend::scripted(|mut wire, memory| {
        let Some(request) = wire.request() else { return };
        memory.note(request);
        wire.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello",
        );
        loop {
            let bytes = wire.some();
            if bytes.is_empty() {
                break;
            }
            wire.send(bytes.to_ascii_uppercase());
        }
        wire.send("end");
    })
}

#[test]
fn an_upgraded_connection_carries_both_directions() {
    let backend = shouting();
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send(REQUEST);
    let head = client.head().expect("an answer");
    assert_eq!(head.status(), 101);
    assert_eq!(head.field("upgrade"), Some("websocket"));
    assert_eq!(head.field("connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
    assert_eq!(client.exactly(5), b"hello", "what came with the head is not lost");
    for text in ["one", "two \r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        client.send(text);
        assert_eq!(client.exactly(text.len()), text.to_ascii_uppercase().as_bytes());
    }
    client.finish();
    assert_eq!(client.read_to_end(), b"end", "each direction ends by itself");
    let seen = backend.only_request().head;
    assert_eq!(seen.field("upgrade"), Some("websocket"));
    assert_eq!(seen.field("connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
    balancer.expect_metric("plimsoll_requests_total", &["upstream=\"app\"", "code=\"101\""], 1.0);
}

#[test]
fn what_the_client_sends_ahead_goes_into_the_tunnel() {
    let backend = shouting();
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send(format!("{REQUEST}early"));
    assert_eq!(client.head().map(|head| head.status()), Some(101));
    assert_eq!(client.exactly(10), b"helloEARLY");
}

#[test]
fn silence_ends_a_tunnel_when_it_has_lasted_too_long() {
    let backend = shouting();
    let balancer = Setup::over([&backend]).listener("timeouts: {tunnel: 300ms}").start();
    let mut client = balancer.connect();
    client.send(REQUEST);
    assert_eq!(client.head().map(|head| head.status()), Some(101));
    assert_eq!(client.read_to_end(), b"hello");
}

#[test]
fn a_backend_that_declines_answers_as_usual() {
    let backend = Backend::saying("no thanks");
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    let answer = client.exchange(REQUEST);
    assert_eq!((answer.status(), answer.text()), (200, "no thanks"));
    assert_eq!(client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status(), 200, "the connection goes on");
}

#[test]
fn an_upgrade_that_nobody_asked_for_is_a_bad_answer() {
    let backend =
        Backend::once("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    let balancer = Setup::over([&backend]).start();
    assert_eq!(balancer.get("/").status(), 502);
}

#[test]
fn http2_in_clear_text_is_not_tunnelled() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).start();
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    assert_eq!(balancer.connect().exchange(request).status(), 200);
    let seen = backend.only_request().head;
    assert_eq!((seen.field("upgrade"), seen.field("http2-settings")), (None, None));
}

#[test]
fn a_refusal_without_upgrade_says_what_to_upgrade_to() {
    let backend = Backend::answering(|_| {
        b"HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: TLS/1.3\r\nContent-Length: 3\r\n\r\nno\n"
            .to_vec()
    });
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    for last in [false, true] {
        let closing = if last { "Connection: close\r\n" } else { "" };
        let answer = client.exchange(format!("GET / HTTP/1.1\r\nHost: a\r\n{closing}\r\n"));
        assert_eq!((answer.status(), answer.text()), (426, "no\n"));
        assert_eq!(answer.head.field("upgrade"), Some("TLS/1.3"));
        let connection = answer.head.field("connection").unwrap_or_default().to_ascii_lowercase();
        assert!(connection.contains("upgrade"), "{connection}");
        assert_eq!(connection.contains("close"), last, "{connection}");
    }
    client.expect_end();
}

#[test]
fn an_agreement_before_the_request_is_complete_is_a_bad_answer() {
    // What is left of the body would be read as the other protocol.
    let backend = Backend::scripted(|mut wire, _| {
        let Some(_) = wire.head() else { return };
        wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        let _ = wire.read_to_end();
    });
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 8\r\n\r\nhalf",
    );
    assert_eq!(client.answer(false).status(), 502);
}
