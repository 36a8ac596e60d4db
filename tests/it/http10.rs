//! HTTP/1.0 on either side: answers that it can read, and connections that end when it expects them to.

use crate::harness::backend::Backend;
use crate::harness::setup::Setup;

#[test]
fn an_old_client_gets_an_answer_that_ends_with_the_connection() {
    let backend = Backend::answering(|_| {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n"
            .to_vec()
    });
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let head = client.head().expect("an answer");
    assert_eq!((head.status(), head.field("transfer-encoding")), (200, None), "no chunks for an old client");
    assert_eq!(client.read_to_end(), b"hello world");
    let seen = backend.only_request();
    assert!(
        seen.head.start.ends_with("HTTP/1.1"),
        "the backend is spoken to in our version: {}",
        seen.head.start
    );
    assert_eq!(seen.head.fields("host").count(), 1, "and is told a host");
}

#[test]
fn an_old_client_that_asks_for_it_keeps_its_connection() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    for _ in 0..3 {
        let answer = client.exchange("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(
            answer.head.field("connection").map(str::to_ascii_lowercase).as_deref(),
            Some("keep-alive")
        );
        assert_eq!(answer.text(), "ok");
    }
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer(false).text(), "ok");
    client.expect_end();
}

#[test]
fn an_old_backend_is_understood() {
    let backend = Backend::once("HTTP/1.0 200 OK\r\nServer: old\r\n\r\nuntil the end");
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    for _ in 0..3 {
        let answer = client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(answer.text(), "until the end");
        assert!(answer.head.start.starts_with("HTTP/1.1 "), "the answer is in our version");
    }
}

#[test]
fn an_old_backend_with_a_length_and_without_keep_alive_is_not_used_again() {
    let backend = Backend::once("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    for _ in 0..3 {
        assert_eq!(client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text(), "ok");
    }
    assert_eq!(backend.connections(), 3);
    assert!(balancer.metrics().sum("plimsoll_backend_connections_stale_total", &[]) < 0.5);
}

#[test]
fn the_expectation_of_an_old_client_is_ignored() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).start();
    let request = "POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na";
    assert_eq!(balancer.ask(request).text(), "ok");
    assert_eq!(
        backend.only_request().head.field("expect"),
        None,
        "it would begin to mean something under HTTP/1.1"
    );
}

#[test]
fn an_old_client_that_asks_for_it_is_told_that_an_answer_of_our_own_is_the_last() {
    let backend = Backend::saying("app");
    let own = "routes: [{ name: own, match: { path: / }, respond: { status: 200, body: own } }]";
    let balancer = Setup::over([&backend]).top(own).start();
    let mut client = balancer.connect();
    let answer = client.exchange("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!((answer.text(), answer.head.field("connection")), ("own", Some("close")));
    client.expect_end();
}
