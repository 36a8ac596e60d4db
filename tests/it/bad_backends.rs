//! Answers of backends that break the rules: 502 or 504 for the client, counted, and no harm to the next exchange.

use crate::harness::backend::Backend;
use crate::harness::setup::Setup;

const BAD: &[(&str, &str)] = &[
    ("garbage", "this is not HTTP\r\n\r\n"),
    ("another protocol", "\x16\x03\x01\x02\0\x01\0\r\n\r\n"),
    ("a status that is no number", "HTTP/1.1 abc OK\r\n\r\n"),
    ("a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"),
    ("a status below 100", "HTTP/1.1 099 OK\r\n\r\n"),
    ("a version of the future", "HTTP/3.0 200 OK\r\n\r\n"),
    (
        "length and coding",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
    ("a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nab"),
    ("an unknown coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab"),
    ("a folded line", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
    ("a bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"),
    ("a space before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"),
    ("a NUL in a field", "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n"),
];

#[test]
fn an_answer_that_is_no_http_becomes_502() {
    for (name, bytes) in BAD {
        let backend = Backend::once(*bytes);
        let balancer = Setup::over([&backend]).start();
        let answer = balancer.get("/");
        assert_eq!(answer.status(), 502, "{name}: {}", answer.text());
        balancer.expect_metric("plimsoll_attempts_total", &["outcome=\"bad_response\""], 1.0);
        balancer.expect_metric("plimsoll_requests_total", &["code=\"502\""], 1.0);
    }
}

#[test]
fn a_head_without_an_end_becomes_502() {
    let backend = Backend::scripted(|mut wire, _| {
        let Some(_) = wire.request() else { return };
        wire.send("HTTP/1.1 200 OK\r\n");
        while wire.try_send("x-more: and more\r\n") {}
    });
    let balancer = Setup::over([&backend]).start();
    assert_eq!(balancer.get("/").status(), 502);
}

#[test]
fn endless_informational_answers_become_502_or_504() {
    let backend = Backend::scripted(|mut wire, _| {
        let Some(_) = wire.request() else { return };
        while wire.try_send("HTTP/1.1 102 Processing\r\n\r\n".repeat(100)) {}
    });
    let balancer = Setup::over([&backend]).upstream("timeouts: { response: 1s }").start();
    let mut client = balancer.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let status = client.answer(false).status();
    assert!(matches!(status, 502 | 504), "{status}");
}

#[test]
fn a_backend_that_closes_before_it_answers_becomes_502() {
    let backend = Backend::scripted(|mut wire, memory| {
        if let Some(request) = wire.request() {
            memory.note(request);
        }
    });
    let balancer = Setup::over([&backend]).start();
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\na";
    assert_eq!(balancer.ask(post).status(), 502);
    assert_eq!(backend.requests().len(), 1, "what may have had an effect is not sent again");
}

#[test]
fn a_backend_that_says_nothing_becomes_504() {
    let backend = Backend::scripted(|mut wire, _| {
        let _ = wire.read_to_end();
    });
    let balancer = Setup::over([&backend])
        .upstream("timeouts: { response: 300ms }")
        .upstream("retries: { attempts: 1 }")
        .start();
    assert_eq!(balancer.get("/").status(), 504);
    balancer.expect_metric("plimsoll_attempts_total", &["outcome=\"timeout\""], 1.0);
}

#[test]
fn a_backend_that_stops_within_its_answer_is_given_up() {
    let backend = Backend::scripted(|mut wire, _| {
        let Some(_) = wire.request() else { return };
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort");
        let _ = wire.read_to_end();
    });
    let balancer = Setup::over([&backend]).upstream("timeouts: { response: 300ms }").start();
    let mut client = balancer.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head().expect("the head was whole");
    assert_eq!(client.read_to_end(), b"short");
    balancer.expect_metric("plimsoll_attempts_total", &["outcome=\"timeout\""], 1.0);
}

#[test]
fn bytes_after_an_answer_are_never_taken_for_the_next_one() {
    let backend = Backend::answering(|request| {
        let body = request.head.target().to_owned();
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison",
            body.len()
        )
        .into_bytes()
    });
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    for target in ["/1", "/2", "/3"] {
        assert_eq!(client.exchange(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).text(), target);
    }
}

#[test]
fn malformed_chunks_in_an_answer_end_the_connection() {
    let (go_on, told) = std::sync::mpsc::channel::<()>();
    let told = std::sync::Mutex::new(told);
    let backend = Backend::scripted(move |mut wire, _| {
        let Some(_) = wire.request() else { return };
        wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
        let _ = told.lock().map(|told| told.recv());
        wire.send("zz\r\n");
        let _ = wire.read_to_end();
    });
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().map(|head| head.status()), Some(200));
    assert_eq!(client.exactly(7), b"2\r\nok\r\n");
    go_on.send(()).expect("the backend waits");
    let rest = client.read_to_end();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "the answer is not passed off as whole: {rest:?}");
    balancer.expect_metric("plimsoll_attempts_total", &["outcome=\"bad_response\""], 1.0);
}
