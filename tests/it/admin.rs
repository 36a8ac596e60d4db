//! The admin server: what an operator and a Prometheus ask, on an address of its own.

use std::collections::BTreeSet;

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::metrics::promtool;
use crate::harness::setup::Setup;
use crate::harness::wire::Wire;

#[test]
fn metrics_are_served_as_prometheus_wants_them() {
    let backends = [Backend::saying("1"), Backend::saying("2")];
    let balancer = Setup::over(&backends).start();
    for _ in 0..4 {
        balancer.get("/");
    }
    balancer.expect_metric("plimsoll_requests_total", &["code=\"200\""], 4.0);
    let page = balancer.ask_admin("/metrics");
    assert_eq!(page.head.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let (verdict, said) = promtool(&page.body);
    assert!(verdict && said.trim().is_empty(), "promtool check metrics: {said}");
}

#[test]
fn series_of_a_backend_exist_before_its_first_request() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).start();
    let metrics = balancer.metrics();
    let backend = &["upstream=\"app\"", "backend=\"backend-1\""];
    for name in [
        "plimsoll_backend_up",
        "plimsoll_backend_state",
        "plimsoll_backend_weight",
        "plimsoll_backend_inflight_requests",
        "plimsoll_request_duration_seconds_count",
        "plimsoll_requests_total",
        "plimsoll_attempts_total",
        "plimsoll_retries_total",
    ] {
        assert!(metrics.has(name, backend), "{name} is there with 0");
    }
}

#[test]
fn every_request_is_counted_once() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).start();
    for _ in 0..3 {
        balancer.get("/");
    }
    balancer.ask("GET / HTTP/1.1\r\n\r\n");
    balancer.expect_metric("plimsoll_requests_total", &[], 4.0);
    balancer.expect_metric("plimsoll_requests_total", &["upstream=\"none\"", "code=\"400\""], 1.0);
    balancer.expect_metric("plimsoll_request_duration_seconds_count", &["backend=\"backend-1\""], 3.0);
}

#[test]
fn the_upstreams_are_told_in_json_and_in_plain_text() {
    let backends = [Backend::saying("1"), Backend::saying("2")];
    let balancer = Setup::over(&backends).start();
    let api = balancer.ask_admin("/api/v1/upstreams");
    assert_eq!(api.head.field("content-type"), Some("application/json"));
    let json: serde_json::Value = serde_json::from_slice(&api.body).expect("the answer is JSON");
    let text = json.to_string();
    let check = balancer.ask_admin("/check");
    for backend in ["backend-1", "backend-2"] {
        assert!(text.contains(backend), "{text}");
        assert!(check.text().contains(backend), "{}", check.text());
    }
}

#[test]
fn what_does_not_exist_is_not_found() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).start();
    assert_eq!(balancer.ask_admin("/nothing").status(), 404);
    let mut client = Wire::connect(balancer.admin);
    let answer = client.exchange("DELETE /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(answer.status(), 405);
}

#[test]
fn garbage_does_not_disturb_the_admin_server() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).start();
    let mut client = Wire::connect(balancer.admin);
    client.send("\x16\x03\x01 garbage\r\n\r\n");
    let _ = client.read_to_end();
    assert_eq!(balancer.ask_admin("/live").status(), 200);
}

#[test]
fn admin_and_traffic_do_not_share_a_port() {
    let backend = Backend::saying("from the backend");
    let balancer = Setup::over([&backend]).start();
    assert_ne!(balancer.address, balancer.admin);
    assert_eq!(balancer.get("/metrics").text(), "from the backend");
}

#[test]
fn the_page_about_metrics_names_what_is_exported() {
    let backend = Backend::saying("ok");
    // Families of TCP mode are exported where it is used.
    let relaying = "listeners:\n  relaying: {address: 127.0.0.1:0, protocol: tcp}";
    let balancer = Balancer::start(&Setup::over([&backend]).yaml().replacen("listeners:", relaying, 1));
    let name = regex::Regex::new(r"`(plimsoll_[a-z_]+)`").expect("invariant: a constant pattern");
    let page = include_str!("../../monitoring/METRICS.md");
    let described: BTreeSet<&str> = page
        .lines()
        .filter(|line| line.starts_with("| "))
        .filter_map(|line| name.captures(line.split('|').nth(1)?)?.get(1))
        .map(|name| name.as_str())
        .collect();
    let metrics = balancer.metrics();
    let types = metrics.text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let exported: BTreeSet<&str> = types.filter(|name| name.starts_with("plimsoll_")).collect();
    assert_eq!(described, exported, "described and exported");
}
