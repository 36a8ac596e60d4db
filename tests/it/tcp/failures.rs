//! A backend that cannot be connected to is none of the client's business, as long as there is another one.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use super::{at, echo, over};
use crate::harness::backend::Backend;
use crate::harness::wire::Wire;
use crate::harness::{SHORT, eventually};

#[test]
fn a_refused_connect_is_tried_elsewhere_and_the_client_does_not_notice() {
    let well = echo("well");
    let balancer = at([Backend::nobody(), well.address]).start();
    for _ in 0..4 {
        let mut client = balancer.connect();
        client.send("early");
        assert_eq!(client.exactly(9), b"wellearly", "what was sent before is not lost");
    }
    let refused = ["backend=\"backend-1\"", "outcome=\"connect_refused\""];
    let metrics = balancer.metrics();
    assert!(metrics.sum("plimsoll_attempts_total", &refused) >= 1.0);
    assert!(metrics.sum("plimsoll_retries_total", &["backend=\"backend-1\"", "reason=\"connect\""]) >= 1.0);
    assert!(metrics.sum("plimsoll_rescues_total", &["backend=\"backend-2\""]) >= 1.0);
    balancer.expect_metric("plimsoll_tcp_connections_total", &["backend=\"backend-1\""], 0.0);
}

#[test]
fn a_host_that_does_not_answer_is_passed_over_after_a_moment() {
    let well = echo("well");
    let balancer = at([Backend::vanished(), well.address]).upstream("timeouts: {connect: 5s}").start();
    for _ in 0..2 {
        assert_eq!(balancer.connect().exactly(4), b"well");
    }
    let late = ["backend=\"backend-1\"", "outcome=\"connect_timeout\""];
    balancer.expect_metric("plimsoll_attempts_total", &late, 1.0);
}

#[test]
fn where_nobody_answers_the_connection_is_closed_and_counted() {
    let balancer = at([Backend::nobody(), Backend::nobody()]).start();
    balancer.connect().expect_end();
    balancer.expect_metric("plimsoll_tcp_connections_total", &["outcome=\"connect_refused\""], 1.0);

    let refusing = at([Backend::nobody()])
        .upstream("health: {interval: 50ms, timeout: 50ms}")
        .upstream("when_none_available: refuse")
        .start();
    eventually("the check has failed", || refusing.metrics().sum("plimsoll_backend_up", &[]) == 0.0);
    refusing.connect().expect_end();
    let nobody = ["backend=\"none\"", "outcome=\"none_available\""];
    refusing.expect_metric("plimsoll_tcp_connections_total", &nobody, 1.0);
    refusing.expect_metric("plimsoll_requests_refused_total", &["reason=\"none_available\""], 1.0);
}

#[test]
fn a_backend_that_is_down_gets_no_connection() {
    let well = echo("well");
    let balancer =
        at([Backend::nobody(), well.address]).upstream("health: {interval: 50ms, timeout: 50ms}").start();
    let down = ["backend=\"backend-1\""];
    eventually("the check has failed", || balancer.metrics().sum("plimsoll_backend_up", &down) == 0.0);
    let before = balancer.metrics().sum("plimsoll_attempts_total", &down);
    for _ in 0..4 {
        assert_eq!(balancer.connect().exactly(4), b"well");
    }
    assert_eq!(balancer.metrics().sum("plimsoll_attempts_total", &down), before);
}

#[test]
fn failed_connects_in_a_row_eject_and_a_connect_readmits() {
    let well = echo("well");
    let dead = Backend::nobody();
    let balancer = at([dead, well.address])
        .upstream("outliers: {consecutive_failures: 1, ejection_time: 1h, max_ejection_time: 1h}")
        .start();
    let ejected = || {
        drop(balancer.connect().exactly(4));
        balancer.metrics().sum("plimsoll_backend_transitions_total", &["state=\"ejected\""]) >= 1.0
    };
    eventually("it is ejected", ejected);
}

#[test]
fn a_client_that_breaks_off_is_told_from_a_backend_that_does() {
    let backends = [echo("hello")];
    let balancer = over(&backends).start();
    let mut client = balancer.connect();
    assert_eq!(client.exactly(5), b"hello");
    client.reset();
    balancer.expect_metric("plimsoll_tcp_connections_total", &["outcome=\"client_reset\""], 1.0);
    balancer.expect_metric("plimsoll_client_aborts_total", &[], 1.0);
    balancer.expect_metric("plimsoll_backend_inflight_requests", &[], 0.0);

    let breaking = Backend::scripted(|mut wire, _| {
        drop(wire.some());
        wire.reset();
    });
    let balancer = over([&breaking]).start();
    let mut client = balancer.connect();
    client.send("x");
    client.expect_end();
    balancer.expect_metric("plimsoll_tcp_connections_total", &["outcome=\"backend_reset\""], 1.0);
    balancer.expect_metric("plimsoll_attempts_total", &["outcome=\"reset\""], 1.0);
}

#[test]
fn a_backend_at_its_limit_lets_connections_wait() {
    let backends = [echo("hello")];
    let balancer = over(&backends).upstream("limits: {in_flight: 1, queue: 1, queue_timeout: 10s}").start();
    let mut first = balancer.connect();
    assert_eq!(first.exactly(5), b"hello");
    let mut second = balancer.connect();
    second.send("patient");
    balancer.expect_metric("plimsoll_queued_requests", &[], 1.0);
    // The queue is full.
    balancer.connect().expect_end();
    balancer.expect_metric(
        "plimsoll_tcp_connections_total",
        &["backend=\"none\"", "outcome=\"overloaded\""],
        1.0,
    );
    first.finish();
    assert_eq!(first.read_to_end(), b"end");
    assert_eq!(second.exactly(12), b"hellopatient");
    let third = balancer.connect();
    balancer.expect_metric("plimsoll_queued_requests", &[], 1.0);
    third.reset();
    balancer.expect_metric("plimsoll_tcp_connections_total", &["outcome=\"client_abort\""], 1.0);
}

#[test]
fn silence_ends_a_connection_when_it_has_lasted_too_long() {
    let backends = [echo("hello")];
    let balancer = over(&backends).listener("timeouts: {tunnel: 500ms}").start();
    let mut client = balancer.connect();
    assert_eq!(client.exactly(5), b"hello");
    for _ in 0..4 {
        crate::harness::pause(SHORT);
        client.send("x");
        assert_eq!(client.exactly(1), b"x", "what moves is no silence");
    }
    client.expect_end();
    balancer.expect_metric("plimsoll_tcp_connections_total", &["outcome=\"idle_timeout\""], 1.0);
}

#[test]
fn a_reset_is_passed_on_as_one() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let balancer = at([listener.local_addr().expect("it is bound")]).start();
    let pair = || {
        let client = TcpStream::connect(balancer.address).expect("it listens");
        let mut backend = listener.accept().expect("it connects").0;
        for stream in [&client, &backend] {
            stream.set_read_timeout(Some(crate::harness::PATIENCE)).expect("invariant: not zero");
        }
        backend.write_all(b"part").expect("the connection stands");
        (&client).read_exact(&mut [0; 4]).expect("it is relayed");
        (client, backend)
    };
    for client_breaks in [false, true] {
        let (client, backend) = pair();
        let (breaking, mut other) = if client_breaks { (client, backend) } else { (backend, client) };
        Wire::new(breaking).reset();
        let end = other.read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(end, Err(ErrorKind::ConnectionReset), "by the client: {client_breaks}");
    }
}

#[test]
fn a_client_that_has_spoken_and_breaks_off_leaves_the_queue() {
    let backends = [echo("hello")];
    let balancer = over(&backends).upstream("limits: {in_flight: 1, queue: 1, queue_timeout: 10m}").start();
    let mut first = balancer.connect();
    assert_eq!(first.exactly(5), b"hello");
    let mut second = balancer.connect();
    second.send("x");
    balancer.expect_metric("plimsoll_queued_requests", &[], 1.0);
    second.reset();
    balancer.expect_metric("plimsoll_tcp_connections_total", &["outcome=\"client_abort\""], 1.0);
}
