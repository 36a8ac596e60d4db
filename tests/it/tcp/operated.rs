//! What the operator of relayed connections does and sees.

use rustix::process::Signal;

use super::{echo, over};
use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::eventually;
use crate::harness::setup::Setup;
use crate::harness::wire::Wire;

#[test]
fn a_drain_of_the_process_lets_connections_finish() {
    let backends = [echo("hello")];
    let mut balancer = over(&backends).top("drain: {timeout: 30s}").start();
    let mut client = balancer.connect();
    assert_eq!(client.exactly(5), b"hello");
    balancer.signal(Signal::TERM);
    eventually("nobody is let in any more", || std::net::TcpStream::connect(balancer.address).is_err());
    client.send("still there");
    assert_eq!(client.exactly(11), b"still there");
    client.finish();
    assert_eq!(client.read_to_end(), b"end");
    assert!(balancer.wait().success());
}

#[test]
fn what_is_left_of_a_drain_is_cut() {
    let backends = [echo("hello")];
    let mut balancer = over(&backends).top("drain: {timeout: 300ms}").start();
    let mut client = balancer.connect();
    assert_eq!(client.exactly(5), b"hello");
    balancer.signal(Signal::TERM);
    client.expect_end();
    balancer.wait();
}

#[test]
fn a_backend_that_drains_keeps_its_connections_until_its_deadline() {
    let backends = [echo("hello")];
    let balancer = over(&backends).upstream("timeouts: {drain: 500ms}").start();
    let mut client = balancer.connect();
    assert_eq!(client.exactly(5), b"hello");
    let post = "POST /api/v1/upstreams/app/backends/backend-1/drain HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    assert_eq!(Wire::connect(balancer.admin).exchange(post).status(), 200);
    client.send("x");
    assert_eq!(client.exactly(1), b"x");
    client.expect_end();
    balancer.expect_metric("plimsoll_tcp_connections_total", &["outcome=\"drained\""], 1.0);
    balancer.expect_metric("plimsoll_attempts_total", &["outcome=\"drained\""], 1.0);
}

#[test]
fn a_connection_outlives_the_listener_that_let_it_in() {
    let backends = [echo("hello")];
    let setup = over(&backends);
    let balancer = setup.start();
    let mut client = balancer.connect();
    assert_eq!(client.exactly(5), b"hello");
    balancer.reload(&setup.yaml().replace("  web:", "  other:"));
    eventually("the listener is gone", || std::net::TcpStream::connect(balancer.address).is_err());
    client.send("still there");
    assert_eq!(client.exactly(11), b"still there");
}

/// The lines of the access log that were written by the time that `count` of them are there.
fn lines(file: &std::path::Path, count: usize) -> Vec<String> {
    let read = || {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    eventually("the line is written", || read().len() >= count);
    read()
}

fn logging(backends: &[Backend], format: &str, folder: &tempfile::TempDir) -> (Balancer, std::path::PathBuf) {
    let file = folder.path().join("access.log");
    let telemetry = format!(
        "telemetry: {{log: {{format: json}}, access_log: {{mode: on, format: {format}, path: {}}}}}",
        file.display()
    );
    (over(backends).top(&telemetry).start(), file)
}

#[test]
fn each_connection_is_a_line_of_the_access_log() {
    let backends = [echo("hello")];
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (balancer, file) = logging(&backends, "json", &folder);
    let mut client = balancer.connect();
    client.send("abc");
    client.finish();
    assert_eq!(client.read_to_end(), b"helloabcend");
    let line: serde_json::Value = serde_json::from_str(&lines(&file, 1)[0]).expect("it is JSON");
    assert_eq!(line["version"], "TCP");
    assert_eq!(line["status"], 0);
    assert_eq!((&line["upstream"], &line["backend"]), (&"app".into(), &"backend-1".into()));
    assert_eq!((&line["request_bytes"], &line["response_bytes"]), (&3.into(), &11.into()));
    assert_eq!((&line["reason"], &line["attempts"]), (&serde_json::Value::Null, &1.into()));
}

#[test]
fn httplog_writes_the_line_of_tcplog() {
    let backends = [echo("hello")];
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (balancer, file) = logging(&backends, "httplog", &folder);
    let mut client = balancer.connect();
    client.finish();
    assert_eq!(client.read_to_end(), b"helloend");
    let line = lines(&file, 1).remove(0);
    let words: Vec<&str> = line.split(' ').collect();
    let [_, _, listener, names, timers, bytes, state, load, queues] = words[..] else { panic!("{line}") };
    assert_eq!((listener, names, bytes, state, queues), ("web", "app/backend-1", "8", "--", "0/0"));
    assert_eq!(timers.split('/').count(), 3, "{line}");
    assert!(load.starts_with("1/1/") && load.ends_with("/0"), "{line}");
}

#[test]
fn the_ring_tells_where_a_connection_went() {
    let well = echo("well");
    let balancer = super::at([Backend::nobody(), well.address]).start();
    for _ in 0..2 {
        let mut client = balancer.connect();
        client.finish();
        drop(client.read_to_end());
    }
    eventually("it is remembered", || {
        let told = balancer.ask_admin("/api/v1/why");
        told.text().contains("connect_refused") && told.text().contains("backend-2")
    });
}

#[test]
fn a_client_of_http_is_served_once_more_when_its_listener_begins_to_relay() {
    const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let backend = Backend::saying("ok");
    let setup = Setup::over([&backend]);
    let balancer = setup.start();
    let mut client = balancer.connect();
    assert_eq!(client.exchange(GET).status(), 200);
    let reloads = balancer.metrics().sum("plimsoll_config_reloads_total", &["result=\"ok\""]);
    balancer.reload(&setup.listener("protocol: tcp").yaml());
    balancer.expect_metric("plimsoll_config_reloads_total", &["result=\"ok\""], reloads + 1.0);
    assert_eq!(client.exchange(GET).status(), 200);
    client.expect_end();
}

#[test]
fn who_has_not_said_who_it_is_does_not_hold_up_a_drain() {
    let backends = [echo("hello")];
    let mut balancer = over(&backends)
        .listener("proxy_protocol: accept")
        .listener("timeouts: {head: 10m}")
        .top("drain: {timeout: 10m}")
        .start();
    let mut client = balancer.connect();
    balancer.expect_metric("plimsoll_listener_active_connections", &[], 1.0);
    balancer.signal(Signal::TERM);
    client.expect_end();
    assert!(balancer.wait().success());
}
