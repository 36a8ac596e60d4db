//! The access log: one line per exchange, with what happened and how long each stage took; where its lines go, and what
//! it costs when they cannot.

use std::os::unix::net::UnixDatagram;
use std::path::Path;

use rustix::process::Signal;

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::setup::Setup;
use crate::harness::{PATIENCE, eventually, eventually_ok};

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
    let lines: Vec<serde_json::Value> = eventually_ok(|| {
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

/// A configuration whose access log has these keys.
fn logging(backend: &Backend, keys: &str) -> Setup {
    Setup::over([backend])
        .top(&format!("telemetry: {{ log: {{ format: json }}, access_log: {{ mode: on, {keys} }} }}"))
}

/// Waits until a file has `count` lines, and returns them.
#[track_caller]
fn expect_lines(file: &Path, count: usize) -> Vec<String> {
    eventually_ok(|| {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        if lines.len() == count { Ok(lines) } else { Err(format!("{count} lines are written: {text}")) }
    })
}

/// How often the balancer's own log says something.
fn said(balancer: &Balancer, words: &str) -> usize {
    balancer.log().iter().filter(|line| line.contains(words)).count()
}

#[test]
fn a_rotated_file_is_left_on_sigusr1_and_nothing_else_is_read_anew() {
    let folder = tempfile::tempdir().expect("a directory can be made");
    let (file, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let backend = Backend::saying("ok");
    let balancer = logging(&backend, &format!("path: \"{}\"", file.display())).start();
    balancer.get("/1");
    expect_lines(&file, 1);
    std::fs::rename(&file, &moved).expect("the file is there");
    balancer.get("/2");
    expect_lines(&moved, 2);
    balancer.signal(Signal::USR1);
    eventually("there is a new file", || file.exists());
    balancer.get("/3");
    assert!(expect_lines(&file, 1)[0].contains("\"/3\""));
    expect_lines(&moved, 2);
    balancer.expect_metric("plimsoll_config_generation", &[], 1.0);
    assert_eq!(said(&balancer, "configuration reloaded"), 0);
}

#[test]
fn a_reload_changes_target_and_format_at_once_and_loses_no_line() {
    let folder = tempfile::tempdir().expect("a directory can be made");
    let (old, new) = (folder.path().join("old.log"), folder.path().join("new.log"));
    let backend = Backend::saying("ok");
    let balancer = logging(&backend, &format!("path: \"{}\"", old.display())).start();
    balancer.get("/1");
    balancer.expect_metric("plimsoll_requests_total", &[], 1.0);
    // The line may not have been handed over yet.
    balancer.reload(&logging(&backend, &format!("format: logfmt, path: \"{}\"", new.display())).yaml());
    balancer.expect_metric("plimsoll_config_generation", &[], 2.0);
    balancer.get("/2");
    assert!(expect_lines(&old, 1)[0].starts_with("{\"time\":"));
    let line = &expect_lines(&new, 1)[0];
    assert!(
        line.starts_with("time=") && line.contains(" path=/2 ") && line.contains(" status=200 "),
        "{line}"
    );
    // A reload that cannot have its file changes nothing.
    balancer.reload(&logging(&backend, "path: /nonexistent/access.log").yaml());
    balancer.expect_metric("plimsoll_config_reloads_total", &["result=\"failed\""], 1.0);
    balancer.get("/3");
    assert!(expect_lines(&new, 2)[1].contains(" path=/3 "));
    balancer.expect_metric("plimsoll_access_log_dropped_total", &[], 0.0);
}

#[test]
fn a_syslog_daemon_that_is_away_costs_lines_alone_and_is_found_when_it_is_back() {
    let folder = tempfile::tempdir().expect("a directory can be made");
    let socket = folder.path().join("log");
    let backend = Backend::saying("ok");
    let balancer = logging(&backend, &format!("format: httplog, syslog: \"{}\"", socket.display())).start();
    for lost in 1..=3 {
        assert_eq!(balancer.get("/lost").status(), 200);
        balancer.expect_metric("plimsoll_access_log_dropped_total", &[], f64::from(lost));
    }
    assert_eq!(said(&balancer, "cannot write the access log"), 1, "it says so once");
    let daemon = UnixDatagram::bind(&socket).expect("the path is free");
    daemon.set_read_timeout(Some(PATIENCE)).expect("invariant: not zero");
    assert_eq!(balancer.get("/kept").status(), 200);
    let mut message = [0; 4096];
    let length = daemon.recv(&mut message).expect("a message comes");
    let message = String::from_utf8_lossy(&message[..length]).into_owned();
    assert!(
        message.starts_with("<134>plimsoll[") && message.ends_with("\"GET /kept HTTP/1.1\""),
        "{message}"
    );
    balancer.expect_metric("plimsoll_access_log_lines_total", &[], 1.0);
    eventually("it says that it works again", || said(&balancer, "the access log is written again") == 1);
    balancer.expect_metric("plimsoll_access_log_dropped_total", &[], 3.0);
}

#[test]
fn a_connection_on_which_nothing_came_has_a_line_only_if_wanted() {
    let folder = tempfile::tempdir().expect("a directory can be made");
    let backend = Backend::saying("ok");
    for (keys, lines) in [("dontlognull: false", 2), ("dontlognull: true", 1)] {
        let file = folder.path().join(format!("{lines}.log"));
        let balancer = logging(&backend, &format!("{keys}, path: \"{}\"", file.display())).start();
        drop(balancer.connect());
        balancer.expect_metric("plimsoll_listener_connections_total", &[], 1.0);
        balancer.expect_metric("plimsoll_listener_active_connections", &[], 0.0);
        balancer.get("/");
        let lines = expect_lines(&file, lines);
        let null: serde_json::Value = serde_json::from_str(&lines[0]).expect("a line is JSON");
        if lines.len() == 2 {
            assert_eq!((&null["status"], &null["reason"]), (&499.into(), &"incomplete".into()), "{null}");
        }
        balancer.expect_metric("plimsoll_requests_total", &[], 1.0);
    }
}
