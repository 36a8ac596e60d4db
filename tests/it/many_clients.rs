//! Many clients at once: each gets its own answer, each request is counted, and what is open is bounded.

use std::thread;

use crate::harness::backend::Backend;
use crate::harness::setup::Setup;

/// A backend that answers with the target and the body of the request.
fn echo() -> Backend {
    Backend::answering(|request| {
        let text = format!("{} {}", request.head.target(), request.text());
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len()).into_bytes()
    })
}

#[test]
fn nobody_gets_the_answer_of_another() {
    const CLIENTS: usize = 40;
    const REQUESTS: usize = 25;
    let backends = [echo(), echo(), echo()];
    let balancer = Setup::over(&backends).top("workers: 2").start();
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let balancer = &balancer;
            scope.spawn(move || {
                let mut client = balancer.connect();
                for index in 0..REQUESTS {
                    let target = format!("/{number}/{index}");
                    let body = format!("{index:0width$}", width = 1 + index * 37);
                    let length = body.len();
                    let head =
                        format!("PUT {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
                    let answer = client.exchange(format!("{head}{body}"));
                    assert_eq!(answer.text(), format!("{target} {body}"));
                }
            });
        }
    });
    let all = (CLIENTS * REQUESTS) as f64;
    balancer.expect_metric("plimsoll_requests_total", &["code=\"200\""], all);
    balancer.expect_metric("plimsoll_requests_total", &[], all);
    balancer.expect_metric("plimsoll_request_duration_seconds_count", &[], all);
    balancer.expect_metric("plimsoll_backend_inflight_requests", &[], 0.0);
    balancer.expect_metric("plimsoll_listener_active_connections", &[], 0.0);
    let counts = backends.iter().map(|backend| backend.requests().len());
    assert!(
        counts.clone().all(|count| count.abs_diff(CLIENTS * REQUESTS / 3) <= 1),
        "{:?}",
        counts.collect::<Vec<_>>()
    );
}

#[test]
fn connections_over_the_limit_are_closed_and_counted() {
    let backend = echo();
    let balancer = Setup::over([&backend]).listener("max_connections: 3").start();
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut open: Vec<_> = (0..3).map(|_| balancer.connect()).collect();
    for client in &mut open {
        assert_eq!(client.exchange(request).status(), 200);
    }
    balancer.connect().expect_end();
    balancer.expect_metric("plimsoll_listener_connections_refused_total", &["listener=\"web\""], 1.0);
    drop(open.pop());
    balancer.expect_metric("plimsoll_listener_active_connections", &["listener=\"web\""], 2.0);
    assert_eq!(balancer.connect().exchange(request).status(), 200, "a place that is left is taken");
}

#[test]
fn nothing_stays_open_after_clients_and_backends_that_misbehave() {
    // Answers the first path, breaks off on the second, hangs up on the third, and tunnels on the fourth.
    let backend = Backend::scripted(|mut wire, _| {
        let Some(request) = wire.request() else { return };
        match request.head.target() {
            "/well" => wire.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"),
            "/short" => wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok"),
            "/reset" => wire.reset(),
            _ => wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
        }
    });
    let balancer = Setup::over([&backend]).start();
    let visit = |request: &str, read: bool| {
        let mut client = balancer.connect();
        client.send(request);
        if read {
            let _ = client.read_to_end();
        }
    };
    visit("GET /well HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", true);
    balancer.expect_metric("plimsoll_listener_active_connections", &[], 0.0);
    let before = balancer.descriptors();
    for _ in 0..20 {
        visit("GET /well HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false);
        visit("GET /short HTTP/1.1\r\nHost: a\r\n\r\n", true);
        visit("GET /reset HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", true);
        visit("GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", true);
        visit("GET / HTTP/1.1\r\n\r\n", true);
        visit("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfour", false);
    }
    balancer.expect_metric("plimsoll_listener_active_connections", &[], 0.0);
    balancer.expect_metric("plimsoll_backend_inflight_requests", &[], 0.0);
    crate::harness::eventually("descriptors are given back", || balancer.descriptors() <= before);
}
