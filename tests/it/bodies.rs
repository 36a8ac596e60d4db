//! Bodies travel unchanged in both directions, whatever their framing and size, with their trailers.

use crate::harness::backend::Backend;
use crate::harness::setup::Setup;

/// A backend that sends back the body and the trailers it received, in chunks.
fn echo() -> Backend {
    Backend::answering(|request| {
        let mut out = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for chunk in request.body.chunks(10_000) {
            out.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            out.extend(chunk);
            out.extend(b"\r\n");
        }
        out.extend(b"0\r\n");
        for trailer in &request.trailers {
            out.extend(format!("{trailer}\r\n").into_bytes());
        }
        out.extend(b"\r\n");
        out
    })
}

/// Bytes without a short period, so that a lost or doubled buffer shows.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 + index / 251) as u8).collect()
}

#[test]
fn a_request_body_of_known_length_arrives_unchanged() {
    let backend = echo();
    let balancer = Setup::over([&backend]).start();
    for length in [1, 1000, 16_384, 100_000, 3_000_000] {
        let body = pattern(length);
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        let mut client = balancer.connect();
        let answer = client.exchange([head.as_bytes(), &body].concat());
        assert_eq!(answer.status(), 200);
        assert!(answer.body == body, "{length} bytes come back unchanged");
    }
    let first = backend.requests().remove(0);
    assert_eq!(first.head.field("content-length"), Some("1"), "the framing is kept");
    assert_eq!(first.head.field("transfer-encoding"), None);
}

#[test]
fn a_chunked_request_body_arrives_unchanged_with_its_trailers() {
    let backend = echo();
    let balancer = Setup::over([&backend]).start();
    let mut request =
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: checksum\r\n\r\n".to_vec();
    let body = pattern(200_000);
    for chunk in body.chunks(7_001) {
        request.extend(format!("{:X};name=\"value\"\r\n", chunk.len()).into_bytes());
        request.extend(chunk);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\nChecksum: 42\r\nContent-Length: 7\r\n\r\n");
    let answer = balancer.connect().exchange(request);
    assert!(answer.body == body, "the body comes back unchanged");
    let trailers: Vec<String> = answer.trailers.iter().map(|line| line.to_ascii_lowercase()).collect();
    assert_eq!(trailers, ["checksum: 42"], "trailers travel, except those that would frame");
    let seen = backend.only_request();
    assert_eq!(seen.head.fields("transfer-encoding").collect::<Vec<_>>(), ["chunked"]);
}

#[test]
fn a_chunked_body_of_single_bytes_arrives_unchanged() {
    let backend = echo();
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for part in ["1", "\r", "\na\r\n", "2\r\nb", "c", "\r\n0\r\n", "\r\n"] {
        client.send(part);
    }
    assert_eq!(client.answer(false).text(), "abc");
}

#[test]
fn an_answer_of_known_length_arrives_unchanged() {
    for length in [0, 1, 20_000, 5_000_000] {
        let backend = Backend::answering(move |_| {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            [head.as_bytes(), &pattern(length)].concat()
        });
        let balancer = Setup::over([&backend]).start();
        let mut client = balancer.connect();
        for _ in 0..2 {
            let answer = client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert!(answer.body == pattern(length), "{length} bytes come back unchanged, and again");
        }
        balancer.expect_metric("plimsoll_requests_total", &["upstream=\"app\"", "code=\"200\""], 2.0);
    }
}

#[test]
fn an_answer_of_unknown_length_arrives_while_it_is_made() {
    let backend = Backend::scripted(|mut wire, _| {
        let Some(_) = wire.head() else { return };
        wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        let _ = wire.exactly(4);
        wire.send("6\r\nsecond\r\n0\r\n\r\n");
    });
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    let head = client.head().expect("the head of the answer arrives before the request is complete");
    assert_eq!(head.status(), 200);
    assert_eq!(client.exactly(10), b"5\r\nfirst\r\n", "and the first part of its body");
    client.send("more");
    assert_eq!(client.exactly(16), b"6\r\nsecond\r\n0\r\n\r\n");
}

#[test]
fn bytes_in_both_directions_are_counted() {
    let backend = echo();
    let balancer = Setup::over([&backend]).start();
    let body = "b".repeat(5000);
    let request =
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\nConnection: close\r\n\r\n{body}");
    assert_eq!(balancer.ask(&request).body.len(), 5000);
    balancer.expect_metric(
        "plimsoll_listener_received_bytes_total",
        &["listener=\"web\""],
        request.len() as f64,
    );
    let metrics = balancer.metrics();
    for name in [
        "plimsoll_listener_sent_bytes_total",
        "plimsoll_backend_sent_bytes_total",
        "plimsoll_backend_received_bytes_total",
    ] {
        let bytes = metrics.sum(name, &[]);
        assert!((5000.0..6000.0).contains(&bytes), "{name} is {bytes}");
    }
}
