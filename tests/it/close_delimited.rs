//! Answers that end with the backend's connection: the client learns where they end, and that they were cut.

use crate::harness::backend::Backend;
use crate::harness::setup::Setup;

#[test]
fn an_answer_that_ends_with_the_connection_is_whole() {
    let backend = Backend::once(format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(100_000)));
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    for _ in 0..3 {
        let answer = client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((answer.status(), answer.body.len()), (200, 100_000));
    }
}

#[test]
fn an_answer_shorter_than_its_length_is_not_passed_off_as_whole() {
    let backend = Backend::once("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort");
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.head().expect("the head was whole");
    assert_eq!(head.field("content-length"), Some("10"));
    assert_eq!(client.read_to_end(), b"short", "and the connection ends, which tells the client");
    balancer.expect_metric("plimsoll_attempts_total", &["outcome=\"reset\""], 1.0);
}

#[test]
fn a_chunked_answer_without_its_end_is_not_passed_off_as_whole() {
    let backend = Backend::once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head().expect("the head was whole");
    let rest = client.read_to_end();
    assert!(rest.starts_with(b"5\r\nfirst\r\n") && !rest.ends_with(b"0\r\n\r\n"), "{rest:?}");
    balancer.expect_metric("plimsoll_attempts_total", &["outcome=\"reset\""], 1.0);
}

#[test]
fn each_part_of_an_answer_without_length_arrives_as_a_whole_chunk() {
    let (go, gone) = std::sync::mpsc::channel::<&'static str>();
    let gone = std::sync::Mutex::new(gone);
    let backend = Backend::scripted(move |mut wire, _| {
        let Some(_) = wire.request() else { return };
        wire.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
        let Ok(gone) = gone.lock() else { return };
        while let Ok(part) = gone.recv() {
            wire.send(part);
        }
    });
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.head().expect("the head comes at once");
    assert_eq!(head.field("transfer-encoding"), Some("chunked"));
    for part in ["data: 1\n\n", "data: two\n\n", "data: and three\n\n"] {
        go.send(part).expect("the backend waits");
        // A browser hands an event on when its chunk is complete: the end must not wait for the next part.
        let chunk = format!("{:x}\r\n{part}\r\n", part.len());
        assert_eq!(client.exactly(chunk.len()), chunk.as_bytes());
    }
    drop(go);
    assert_eq!(client.exactly(5), b"0\r\n\r\n");
    drop(backend);
}
