//! Backends that are configured by a host name: looked up when the configuration is loaded, and again while the process
//! runs.
//!
//! Names that change are made with a private `/etc`: the balancer runs in a mount namespace of its own, in which a folder of
//! the test stands there. Only root may do so; elsewhere these tests say why they are skipped.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::{Arc, Barrier};

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::metrics::Metrics;
use crate::harness::setup::Setup;
use crate::harness::wire::Wire;
use crate::harness::{eventually, eventually_ok, free_address};

/// Becomes the rest of the command line, with the folder that is its first argument in the place of `/etc`.
const WITHIN: &str = "mount --bind \"$0\" /etc && exec \"$@\"";

const HOLD: &str = "GET /hold HTTP/1.1\r\nhost: a\r\n\r\n";

/// The folder that stands for `/etc`: no name has an address but those that the test gives one.
struct Names(tempfile::TempDir);

impl Names {
    /// None, after saying why, where there can be none.
    fn new() -> Option<Self> {
        let names = Self(tempfile::tempdir().expect("a temporary folder can be made"));
        // Without a name server nobody is asked, and what is not in the table is unknown at once.
        std::fs::write(names.0.path().join("nsswitch.conf"), "hosts: files\n").expect("a file can be made");
        // Or the first line of a name would be all that is read of it.
        std::fs::write(names.0.path().join("host.conf"), "multi on\n").expect("a file can be made");
        names.set(&[]);
        let [program, rest @ ..] = names.prefix();
        let output = Command::new(program).args(rest).args(["cat", "/etc/hosts"]).output();
        let failed = match output {
            Ok(output) if output.status.success() => return Some(names),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        let _ = writeln!(std::io::stderr(), "no name can change here, so that is not tested: {failed}");
        None
    }

    /// Gives these names these addresses, and all others none.
    fn set(&self, names: &[(&str, Ipv4Addr)]) {
        let lines: String = names.iter().map(|(name, address)| format!("{address} {name}\n")).collect();
        let (fresh, table) = (self.0.path().join("fresh"), self.0.path().join("hosts"));
        std::fs::write(&fresh, lines).expect("a file can be made");
        // At once, so that no look-up reads half a table.
        std::fs::rename(fresh, table).expect("a file can be renamed");
    }

    fn prefix(&self) -> [String; 6] {
        let folder = self.0.path().to_str().expect("the temporary directory has a name in UTF-8");
        ["unshare", "--mount", "sh", "-c", WITHIN, folder].map(str::to_owned)
    }

    fn start(&self, yaml: &str) -> Balancer {
        Balancer::start_by(&self.prefix(), yaml)
    }
}

/// An address of the loopback network and a port that is free there.
fn address(last: u8, port: u16) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 0, last), port).into()
}

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

/// The configuration of these backends, looked up ten times a second.
fn yaml(backends: &[String], upstream: &str) -> String {
    let placeholder = Backend::nobody();
    let setup = Setup::at([placeholder]).upstream("lookup_interval: 100ms").upstream("response_header: true");
    let setup = if upstream.is_empty() { setup } else { setup.upstream(upstream) };
    setup.yaml().replace(&placeholder.to_string(), &backends.join(", "))
}

fn lookups(metrics: &Metrics, result: &str) -> f64 {
    metrics.sum("plimsoll_backend_lookups_total", &["backend=\"backend-1\"", &format!("result=\"{result}\"")])
}

#[track_caller]
fn eventually_logged(balancer: &Balancer, parts: &[&str]) {
    eventually_ok(|| {
        let log = balancer.log();
        let found = log.iter().any(|line| parts.iter().all(|part| line.contains(part)));
        found.then_some(()).ok_or_else(|| format!("no line with {parts:?} in:\n{}", log.join("\n")))
    });
}

#[test]
fn a_backend_may_be_named() {
    let backend = Backend::saying("ok");
    let yaml = Setup::over([&backend]).yaml();
    let named = format!("localhost:{}", backend.address.port());
    let balancer = Balancer::start(&yaml.replace(&backend.address.to_string(), &named));
    assert_eq!(balancer.get("/").text(), "ok");
    balancer.expect_metric("plimsoll_backend_lookups_total", &["result=\"changed\""], 1.0);
}

#[test]
fn a_name_without_an_address_prevents_neither_start_nor_reload_and_joins_when_it_has_one() {
    let Some(names) = Names::new() else { return };
    let port = free_address().port();
    let here = Backend::saying("here");
    let both = [format!("app.internal:{port}"), here.address.to_string()];
    let balancer = names.start(&yaml(&both, "health: { tcp: true, interval: 100ms }"));
    assert_eq!(balancer.get("/").text(), "here");
    balancer.expect_metric("plimsoll_backend_up", &["backend=\"backend-1\""], 0.0);
    let down = &["backend=\"backend-1\"", "state=\"down\"", "cause=\"lookup\""];
    balancer.expect_metric("plimsoll_backend_transitions_total", down, 1.0);
    assert!(lookups(&balancer.metrics(), "failed") >= 1.0);
    eventually_logged(&balancer, &["cannot resolve", "app.internal", "\"app\"", "backend-1"]);
    let report = balancer.ask_admin("/check");
    let line = format!("app.internal:{port} DOWN  backend-1");
    let said = report.text().contains(&line) && report.text().contains("cannot resolve app.internal: ");
    assert!(said, "{}", report.text());
    let api = balancer.ask_admin("/api/v1/upstreams");
    assert!(
        api.text().contains("\"host\":\"app.internal\"") && api.text().contains("\"error\":\""),
        "{}",
        api.text()
    );

    let far = Backend::saying_at(address(2, port), "far");
    names.set(&[("app.internal", ip(2))]);
    eventually("the backend joins", || balancer.get("/").text() == "far");
    eventually_logged(&balancer, &["has another address", "app.internal", "127.0.0.2"]);
    balancer.expect_metric(
        "plimsoll_backend_lookups_total",
        &["backend=\"backend-1\"", "result=\"changed\""],
        1.0,
    );
    // A name that is gone is not a backend that is gone, also after a reload.
    names.set(&[]);
    eventually_logged(&balancer, &["cannot resolve", "its last address stays", "127.0.0.2"]);
    let third = [&both[..], &[format!("other.internal:{port}")]].concat();
    balancer.reload(&yaml(&third, "health: { tcp: true, interval: 100ms }"));
    balancer.expect_metric("plimsoll_config_reloads_total", &["result=\"ok\""], 2.0);
    balancer.expect_metric("plimsoll_backend_up", &["backend=\"backend-3\""], 0.0);
    eventually("it goes on at its last address", || balancer.get("/").text() == "far");
    names.set(&[("app.internal", ip(2))]);
    eventually_logged(&balancer, &["can be resolved again", "app.internal"]);
    assert!(!far.requests().is_empty());
}

#[test]
fn another_address_takes_effect_and_what_is_in_flight_ends_where_it_is() {
    let Some(names) = Names::new() else { return };
    let port = free_address().port();
    let let_go = Arc::new(Barrier::new(2));
    let gate = Arc::clone(&let_go);
    let old = Backend::scripted_at(address(2, port), move |mut wire: Wire, memory| {
        while let Some(request) = wire.request() {
            let held = request.head.start.contains("/hold");
            memory.note(request);
            if held {
                gate.wait();
            }
            if !wire.try_send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nold") {
                return;
            }
        }
    });
    let new = Backend::saying_at(address(3, port), "new");
    names.set(&[("app.internal", ip(2))]);
    let balancer = names.start(&yaml(&[format!("app.internal:{port}")], "retries: { hedge: off }"));
    assert_eq!(balancer.get("/").text(), "old");
    let mut held = balancer.connect();
    held.send(HOLD);
    eventually("it is in flight", || old.requests().len() == 2);

    names.set(&[("app.internal", ip(3))]);
    eventually("the new address is asked", || balancer.get("/").text() == "new");
    eventually_logged(&balancer, &["has another address", "127.0.0.2", "127.0.0.3"]);
    let metrics = balancer.metrics();
    assert_eq!(metrics.sum("plimsoll_config_generation", &[]), 1.0, "nothing was reloaded");
    let to_slow_start = &["state=\"slow_start\"", "cause=\"lookup\""];
    assert_eq!(metrics.sum("plimsoll_backend_transitions_total", to_slow_start), 1.0);
    let_go.wait();
    assert_eq!(held.answer(false).text(), "old", "what was in flight is finished where it was");
    assert!(!new.requests().is_empty());
    // The series of the name go on.
    let answered = (old.requests().len() + new.requests().len()) as f64;
    balancer.expect_metric("plimsoll_requests_total", &["backend=\"backend-1\"", "code=\"200\""], answered);
}

#[test]
fn clients_do_not_notice_that_a_backend_moves_back_and_forth() {
    let Some(names) = Names::new() else { return };
    let port = free_address().port();
    let (one, other) =
        (Backend::saying_at(address(2, port), "one"), Backend::saying_at(address(3, port), "other"));
    let stays = Backend::saying("stays");
    names.set(&[("app.internal", ip(2))]);
    let balancer = names.start(&yaml(&[format!("app.internal:{port}"), stays.address.to_string()], ""));
    let mut client = balancer.connect();
    for round in 0..6 {
        let (last, wanted) = if round % 2 == 0 { (3, "other") } else { (2, "one") };
        names.set(&[("app.internal", ip(last))]);
        eventually("the backend has moved", || {
            let answer = client.exchange("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
            assert_eq!(answer.status(), 200);
            answer.text() == wanted
        });
    }
    let metrics = balancer.metrics();
    assert_eq!(metrics.sum("plimsoll_retries_total", &[]), 0.0, "no attempt has failed");
    let answered = one.requests().len() + other.requests().len() + stays.requests().len();
    balancer.expect_metric("plimsoll_requests_total", &["code=\"200\""], answered as f64);
}

#[test]
fn the_present_one_of_several_addresses_stays() {
    let Some(names) = Names::new() else { return };
    let port = free_address().port();
    let [first, second] = [2, 3].map(|last| Backend::saying_at(address(last, port), "ok"));
    names.set(&[("app.internal", ip(2)), ("app.internal", ip(3))]);
    let balancer = names.start(&yaml(&[format!("app.internal:{port}")], ""));
    eventually_logged(&balancer, &["several addresses", "127.0.0.2", "127.0.0.3"]);
    let report = balancer.ask_admin("/check");
    assert!(report.text().contains("is 127.0.0.2, one of 2 addresses"), "{}", report.text());
    names.set(&[("app.internal", ip(3)), ("app.internal", ip(2))]);
    let before = lookups(&balancer.metrics(), "ok");
    eventually("it is looked up in the new order", || lookups(&balancer.metrics(), "ok") >= before + 2.0);
    assert_eq!(balancer.get("/").text(), "ok");
    assert_eq!((first.requests().len(), second.requests().len()), (1, 0));
    assert_eq!(lookups(&balancer.metrics(), "changed"), 1.0);
}

#[test]
fn check_warns_of_a_name_without_an_address() {
    let Some(names) = Names::new() else { return };
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a temporary file can be made");
    std::fs::write(file.path(), yaml(&["app.internal:80".to_owned()], "")).expect("the file can be written");
    let [program, rest @ ..] = names.prefix();
    let output = Command::new(program)
        .args(rest)
        .args([env!("CARGO_BIN_EXE_plimsoll"), "check", "-c"])
        .arg(file.path())
        .output()
        .expect("it can be started");
    let [said, warned] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{warned}");
    assert!(said.contains("1 backend, 1 warning"), "{said}");
    assert!(warned.contains("warning: cannot resolve `app.internal`: "), "{warned}");
}
