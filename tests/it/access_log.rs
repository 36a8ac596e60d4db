//! The access log: one line of JSON per exchange, with what happened and how long each stage took.

use crate::harness::backend::Backend;
use crate::harness::eventually;
use crate::harness::setup::Setup;

/// The lines of the log after `requests` were made, with the given keys.
#[track_caller]
fn lines(keys: &str, requests: &[&str], expected: usize) -> Vec<serde_json::Value> {
    let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    let backend = Backend::saying("ok");
    let telemetry = format!(
        "telemetry: {{ log: {{ format: json }}, access_log: {{ {keys}, path: \"{}\" }} }}",
        file.path().display()
    );
    let balancer = Setup::at([Backend::nobody(), backend.address]).top(&telemetry).start();
    for request in requests {
        balancer.ask(request);
    }
    balancer.expect_metric("plimsoll_requests_total", &[], requests.len() as f64);
    let mut lines = Vec::new();
    eventually("the lines are written", || {
        let text = std::fs::read_to_string(file.path()).unwrap_or_default();
        lines = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        lines.len() >= expected
    });
    assert_eq!(lines.len(), expected, "one line per exchange: {lines:?}");
    lines
}

const GET: &str =
    "GET /a?b=c HTTP/1.1\r\nHost: example.org\r\nUser-Agent: tests\r\nConnection: close\r\n\r\n";
const BAD: &str = "GET / HTTP/1.1\r\n\r\n";

#[test]
fn each_exchange_has_one_line_that_says_what_happened() {
    let lines = lines("mode: on", &[GET, BAD], 2);
    let served = &lines[0];
    for (key, value) in [
        ("listener", "web"),
        ("upstream", "app"),
        ("backend", "backend-2"),
        ("method", "GET"),
        ("host", "example.org"),
        ("path", "/a"),
        ("user_agent", "tests"),
    ] {
        assert_eq!(served[key], value, "{key} in {served}");
    }
    assert_eq!(served["status"], 200);
    let tries = served["tries"].as_array().expect("a list of tries");
    let answered = tries.last().expect("a try that was answered");
    let said = [&answered["backend"], &answered["pick"], &answered["outcome"]];
    assert_eq!(said, ["backend-2", "balanced", "ok"], "{served}");
    for time in ["start_ms", "connect_ms", "send_ms", "wait_ms", "relay_ms", "total_ms"] {
        assert!(answered[time].is_number(), "{time} in {served}");
    }
    assert_eq!(served["attempts"], tries.len(), "{served}");
    assert!(served["timings_ms"].is_object(), "{served}");
    assert_eq!(lines[1]["status"], 400);
    assert_eq!(lines[1]["reason"], "bad_host");
}

#[test]
fn a_sampled_log_still_has_every_failure() {
    let lines = lines("mode: sampled, sample: 0.000001%", &[GET, BAD, BAD], 2);
    assert!(lines.iter().all(|line| line["status"] == 400), "{lines:?}");
}

#[test]
fn what_a_client_makes_up_cannot_break_a_line() {
    let hostile = "GET /\\\"%0a{}' HTTP/1.1\r\nHost: a\r\nUser-Agent: \"\\\t\u{e9}\u{2028}\",\"status\":1\r\nConnection: close\r\n\r\n";
    let lines = lines("mode: on", &[hostile], 1);
    assert_eq!(lines[0]["status"], 200);
    assert_eq!(lines[0]["path"], "/\\\"%0a{}'");
}

#[test]
fn a_request_that_goes_nowhere_is_logged_with_what_it_asked_for() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    let balancer = Setup::at([Backend::nobody()])
        .upstream("health: { http: /health, interval: 100ms, timeout: 100ms }")
        .upstream("when_none_available: refuse")
        .top("routes: [{ name: app, match: { path: /app }, upstream: app }]")
        .top(&format!(
            "telemetry: {{ access_log: {{ mode: on, path: \"{}\" }}, log: {{ format: json }} }}",
            file.path().display()
        ))
        .start();
    balancer.expect_metric("plimsoll_backend_up", &["backend=\"backend-1\""], 0.0);
    let mut client = balancer.connect();
    assert_eq!(client.exchange("PUT /nowhere HTTP/1.1\r\nHost: a\r\n\r\n").status(), 404);
    assert_eq!(client.exchange("DELETE /app/1 HTTP/1.1\r\nHost: a\r\n\r\n").status(), 503);
    let lines: Vec<serde_json::Value> = crate::harness::eventually_ok(|| {
        let text = std::fs::read_to_string(file.path()).unwrap_or_default();
        let lines: Vec<_> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        if lines.len() == 2 { Ok(lines) } else { Err(format!("two lines are written: {text}")) }
    });
    for (line, status, reason, method, path) in [
        (&lines[0], 404, "no_route", "PUT", "/nowhere"),
        (&lines[1], 503, "none_available", "DELETE", "/app/1"),
    ] {
        assert_eq!(line["status"], status, "{line}");
        for (key, value) in [("reason", reason), ("method", method), ("path", path)] {
            assert_eq!(line[key], value, "{key} in {line}");
        }
    }
}
