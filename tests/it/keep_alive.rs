//! Connections are kept on both sides, requests may be pipelined, and answers come in the order of the requests.

use crate::harness::backend::Backend;
use crate::harness::setup::Setup;

/// A backend that answers with the target of the request.
fn echo_target() -> Backend {
    Backend::answering(|request| {
        let target = request.head.target();
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{target}", target.len()).into_bytes()
    })
}

#[test]
fn many_requests_share_one_connection_on_each_side() {
    let backend = echo_target();
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    for index in 0..20 {
        let answer = client.exchange(format!("GET /{index} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(answer.text(), format!("/{index}"));
    }
    assert_eq!(backend.connections(), 1, "the connection to the backend is used again");
    let backend_is = &["backend=\"backend-1\""];
    balancer.expect_metric("plimsoll_backend_connections_opened_total", backend_is, 1.0);
    balancer.expect_metric("plimsoll_backend_connections_reused_total", backend_is, 19.0);
}

#[test]
fn another_client_uses_the_kept_connection_to_the_backend() {
    let backend = echo_target();
    let balancer = Setup::over([&backend]).start();
    for _ in 0..5 {
        assert_eq!(balancer.get("/x").status(), 200);
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let backend = echo_target();
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    let requests: String = (0..50).map(|index| format!("GET /{index} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.send(requests);
    for index in 0..50 {
        assert_eq!(client.answer(false).text(), format!("/{index}"));
    }
    let labels = &["upstream=\"app\"", "code=\"200\""];
    balancer.expect_metric("plimsoll_requests_total", labels, 50.0);
}

#[test]
fn pipelined_requests_with_bodies_are_kept_apart() {
    let backend = Backend::answering(|request| {
        let body = format!("{} {}", request.head.target(), request.text());
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    });
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send(concat!(
        "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none",
        "POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n",
        "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
    ));
    assert_eq!(client.answer(false).text(), "/1 one");
    assert_eq!(client.answer(false).text(), "/2 two");
    assert_eq!(client.answer(false).text(), "/3 ");
}

#[test]
fn a_request_that_arrives_byte_by_byte_is_one_request() {
    let backend = echo_target();
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    for byte in b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.answer(false).text(), "/slow");
}

#[test]
fn a_client_that_asks_for_the_end_gets_it() {
    let backend = echo_target();
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    let answer = client.exchange("GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(answer.head.field("connection"), Some("close"));
    client.expect_end();
}

#[test]
fn a_client_that_closes_while_it_waits_is_taken_for_gone() {
    // Whether it closed one direction or both cannot be told apart; nearly always it has given up.
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let backend = Backend::scripted(move |mut wire, memory| {
        let Some(request) = wire.request() else { return };
        memory.note(request);
        let _ = released.lock().map(|released| released.recv());
    });
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send("GET /half HTTP/1.1\r\nHost: a\r\n\r\n");
    crate::harness::eventually("the request reaches the backend", || backend.requests().len() == 1);
    client.finish();
    client.expect_end();
    balancer.expect_metric("plimsoll_client_aborts_total", &["listener=\"web\""], 1.0);
    drop(release);
}

#[test]
fn the_last_request_that_a_connection_may_carry_says_so() {
    let backend = echo_target();
    let balancer = Setup::over([&backend]).listener("limits: { requests_per_connection: 2 }").start();
    let mut client = balancer.connect();
    assert_eq!(client.exchange("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").head.field("connection"), None);
    let last = client.exchange("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(last.head.field("connection"), Some("close"));
    client.expect_end();
}

#[test]
fn a_backend_that_ends_after_each_answer_costs_a_connection_each_and_no_error() {
    let backend = Backend::once("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    for _ in 0..5 {
        let answer = client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((answer.status(), answer.text()), (200, "ok"));
        assert_eq!(answer.head.field("connection"), None, "the backend's wish stays on its hop");
    }
    assert_eq!(backend.connections(), 5);
}
