//! Health checks: a backend that is unwell gets no traffic, and traffic again when it is well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::backend::Backend;
use crate::harness::setup::Setup;

const QUICK: &str = "health: { http: /live, interval: 50ms, timeout: 500ms, rise: 2, fall: 2 }";

/// A backend whose checks pass while `well` is set.
fn switchable(name: &'static str, well: &Arc<AtomicBool>) -> Backend {
    let well = Arc::clone(well);
    Backend::answering(move |request| {
        let status = if request.head.target() != "/live" || well.load(Ordering::Acquire) { 200 } else { 503 };
        format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{name}", name.len()).into_bytes()
    })
}

#[test]
fn an_unhealthy_backend_gets_no_traffic_until_it_is_well_again() {
    let well = Arc::new(AtomicBool::new(true));
    let backends = [switchable("one", &well), Backend::saying("two")];
    let balancer = Setup::over(&backends).upstream(QUICK).start();
    let up = ["backend=\"backend-1\""];
    balancer.expect_metric("plimsoll_backend_up", &up, 1.0);
    well.store(false, Ordering::Release);
    balancer.expect_metric("plimsoll_backend_up", &up, 0.0);
    for _ in 0..6 {
        assert_eq!(balancer.get("/").text(), "two");
    }
    well.store(true, Ordering::Release);
    balancer.expect_metric("plimsoll_backend_up", &up, 1.0);
    crate::harness::eventually("it gets traffic again", || balancer.get("/").text() == "one");
    assert!(balancer.metrics().sum("plimsoll_backend_transitions_total", &up) >= 2.0);
}

#[test]
fn a_backend_that_is_down_at_the_start_is_known_before_the_first_request() {
    let well = Backend::saying("well");
    let balancer = Setup::at([Backend::nobody(), well.address]).upstream(QUICK).start();
    balancer.expect_metric("plimsoll_backend_up", &["backend=\"backend-1\""], 0.0);
    assert_eq!(balancer.get("/").text(), "well");
    assert!(balancer.metrics().sum("plimsoll_health_checks_total", &["result=\"fail_connect\""]) >= 1.0);
}

#[test]
fn with_nobody_available_the_configured_choice_is_made_and_counted() {
    for (choice, status, label) in [("try_all", 200, "fail_open"), ("refuse", 503, "refuse")] {
        let backend = switchable("one", &Arc::new(AtomicBool::new(false)));
        let balancer = Setup::over([&backend])
            .upstream(QUICK)
            .upstream(&format!("when_none_available: {choice}"))
            .start();
        balancer.expect_metric("plimsoll_backend_up", &["backend=\"backend-1\""], 0.0);
        assert_eq!(balancer.get("/").status(), status, "{choice}");
        let labels = [&*format!("choice=\"{label}\"")];
        balancer.expect_metric("plimsoll_none_available_total", &labels, 1.0);
    }
}

#[test]
fn a_check_can_ask_for_a_status_and_a_body() {
    let backend = Backend::answering(|request| {
        let body = if request.head.target() == "/live" { "almost" } else { "ok" };
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    });
    let balancer = Setup::over([&backend])
        .upstream("health: { http: { path: /live, status: 200, body: ready }, interval: 50ms }")
        .start();
    balancer.expect_metric("plimsoll_backend_up", &["backend=\"backend-1\""], 0.0);
    assert!(balancer.metrics().sum("plimsoll_health_checks_total", &["result=\"fail_body\""]) >= 1.0);
}

#[test]
fn a_check_can_be_a_connection_alone() {
    let backend = Backend::scripted(|mut wire, _| {
        let _ = wire.read_to_end();
    });
    let balancer = Setup::over([&backend]).upstream("health: { tcp: true, interval: 50ms }").start();
    crate::harness::eventually("checks pass", || {
        balancer.metrics().sum("plimsoll_health_checks_total", &["result=\"pass\""]) >= 2.0
    });
    balancer.expect_metric("plimsoll_backend_up", &["backend=\"backend-1\""], 1.0);
}

#[test]
fn a_refusal_for_want_of_backends_does_not_cost_the_connection() {
    let balancer = Setup::at([Backend::nobody()])
        .upstream("health: { http: /health, interval: 100ms, timeout: 100ms }")
        .upstream("when_none_available: refuse")
        .start();
    balancer.expect_metric("plimsoll_backend_up", &["backend=\"backend-1\""], 0.0);
    let mut client = balancer.connect();
    for _ in 0..3 {
        let refused = client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((refused.status(), refused.head.field("connection")), (503, None));
        assert!(!refused.body.is_empty(), "it says why");
        let head = client.exchange("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(head.status(), 503);
        assert_eq!(head.head.field("content-length"), Some(&*refused.body.len().to_string()));
    }
    balancer.expect_metric("plimsoll_requests_refused_total", &["reason=\"none_available\""], 6.0);
}
