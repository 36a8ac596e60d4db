//! Slow clients: the head, the body, idling and reading each have a deadline, and what is late is counted.

use crate::harness::backend::Backend;
use crate::harness::setup::Setup;

const SHORT: &str = "timeouts: { head: 300ms, body: 300ms, idle: 300ms, write: 300ms }";

#[test]
fn a_head_that_does_not_end_is_answered_408() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).listener(SHORT).start();
    let mut client = balancer.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    let answer = client.answer(false);
    assert_eq!((answer.status(), answer.head.field("connection")), (408, Some("close")));
    client.expect_end();
    balancer.expect_metric("plimsoll_requests_refused_total", &["reason=\"head_timeout\""], 1.0);
    assert_eq!(backend.connections(), 0, "no backend is kept waiting");
}

#[test]
fn dripping_bytes_does_not_postpone_the_deadline_of_the_head() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).listener(SHORT).start();
    let mut client = balancer.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    for _ in 0..200 {
        if !client.try_send("x: y\r\n") {
            break;
        }
        crate::harness::pause(std::time::Duration::from_millis(20));
    }
    balancer.expect_metric("plimsoll_requests_refused_total", &["reason=\"head_timeout\""], 1.0);
}

#[test]
fn a_body_that_stops_is_answered_408() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).listener(SHORT).start();
    let mut client = balancer.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfour");
    assert_eq!(client.answer(false).status(), 408);
    client.expect_end();
    balancer.expect_metric("plimsoll_requests_refused_total", &["reason=\"body_timeout\""], 1.0);
    assert!(backend.requests().is_empty(), "the backend never gets it whole");
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).listener(SHORT).start();
    let mut client = balancer.connect();
    assert_eq!(client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text(), "ok");
    client.expect_end();
    assert!(balancer.metrics().sum("plimsoll_requests_refused_total", &[]) < 0.5, "idling is no offence");
}

#[test]
fn a_connection_that_never_says_anything_is_closed() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).listener(SHORT).start();
    balancer.connect().expect_end();
    balancer.expect_metric("plimsoll_listener_active_connections", &["listener=\"web\""], 0.0);
}

#[test]
fn a_client_that_does_not_read_does_not_hold_its_backend_for_ever() {
    let backend = Backend::answering(|_| {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n";
        [head.as_bytes(), &vec![b'a'; 50_000_000]].concat()
    });
    let balancer = Setup::over([&backend]).listener(SHORT).start();
    let mut client = balancer.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    balancer.expect_metric("plimsoll_client_aborts_total", &["listener=\"web\""], 1.0);
    balancer.expect_metric("plimsoll_backend_inflight_requests", &["backend=\"backend-1\""], 0.0);
    balancer.expect_metric("plimsoll_listener_active_connections", &["listener=\"web\""], 0.0);
}

#[test]
fn a_client_that_leaves_is_recorded_once() {
    let backend = Backend::scripted(|mut wire, memory| {
        if let Some(request) = wire.request() {
            memory.note(request);
        }
        let _ = wire.read_to_end();
    });
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    crate::harness::eventually("the request reaches the backend", || backend.requests().len() == 1);
    client.reset();
    balancer.expect_metric("plimsoll_client_aborts_total", &["listener=\"web\""], 1.0);
    balancer.expect_metric("plimsoll_requests_total", &[], 1.0);
    balancer.expect_metric("plimsoll_attempts_total", &["outcome=\"client_abort\""], 1.0);
    balancer.expect_metric("plimsoll_backend_inflight_requests", &["backend=\"backend-1\""], 0.0);
}
