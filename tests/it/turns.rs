//! Backends of equal weight take turns, over all connections and workers; also the simplest that there are.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::setup::Setup;

/// Python's web server in a directory of its own.
struct Python {
    child: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Python {
    #[track_caller]
    fn serving(text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        std::fs::write(directory.path().join("index.html"), text).expect("the directory can be written");
        let mut child = Command::new("python3")
            .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"])
            .current_dir(directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 is installed; ./check does it");
        let stdout = child.stdout.take().expect("invariant: the child's stdout is piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("the server says where it listens");
        let port =
            line.split_whitespace().find_map(|word| word.parse().ok()).expect("the line names the port");
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)), _directory: directory }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn two_python_servers_alternate() {
    let servers = [Python::serving("one"), Python::serving("two")];
    let balancer =
        Setup::at(servers.iter().map(|server| server.address)).upstream("health: { http: / }").start();
    for backend in ["backend-1", "backend-2"] {
        balancer.expect_metric("plimsoll_backend_up", &[&format!("backend=\"{backend}\"")], 1.0);
    }
    let answers: Vec<String> = (0..10).map(|_| balancer.get("/").text().to_owned()).collect();
    for pair in answers.windows(2) {
        assert_ne!(pair[0], pair[1], "{answers:?}");
    }
}

/// How many of `count` requests each backend answered.
fn shares(balancer: &Balancer, count: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..count {
        *shares.entry(balancer.get("/").text().to_owned()).or_default() += 1;
    }
    shares
}

#[test]
fn turns_are_taken_over_all_workers() {
    let backends = [Backend::saying("1"), Backend::saying("2"), Backend::saying("3")];
    let balancer = Setup::over(&backends).top("workers: 4").start();
    let shares = shares(&balancer, 60);
    assert!(shares.values().all(|share| *share == 20), "{shares:?}");
}

#[test]
fn shares_follow_the_weights() {
    let backends = [Backend::saying("1"), Backend::saying("2")];
    let yaml = Setup::over(&backends).yaml();
    let plain = format!("[{}, {}]", backends[0].address, backends[1].address);
    let weighted = format!(
        "[{{ address: \"{}\", weight: 3 }}, {{ address: \"{}\", weight: 1 }}]",
        backends[0].address, backends[1].address
    );
    let balancer = Balancer::start(&yaml.replace(&plain, &weighted));
    let shares = shares(&balancer, 40);
    assert_eq!((shares["1"], shares["2"]), (30, 10));
}

#[test]
fn every_balancer_serves_and_uses_every_backend() {
    for balance in ["least_requests", "peak_ewma", "random", "{ consistent_hash: { key: path } }"] {
        let backends = [Backend::saying("1"), Backend::saying("2"), Backend::saying("3")];
        let balancer = Setup::over(&backends).upstream(&format!("balance: {balance}")).start();
        for index in 0..90 {
            assert_eq!(balancer.get(&format!("/{index}")).status(), 200, "{balance}");
        }
        assert!(
            backends.iter().all(|backend| !backend.requests().is_empty()),
            "{balance} uses every backend"
        );
    }
}

#[test]
fn equal_keys_go_to_the_same_backend() {
    let backends = [Backend::saying("1"), Backend::saying("2"), Backend::saying("3")];
    let balancer = Setup::over(&backends).upstream("balance: { consistent_hash: { key: path } }").start();
    for path in ["/a", "/b", "/c", "/d"] {
        let first = balancer.get(path).text().to_owned();
        for _ in 0..4 {
            assert_eq!(balancer.get(path).text(), first);
        }
    }
}

#[test]
fn one_without_a_weight_answers_when_no_other_one_is_available() {
    let spared = Backend::saying("spared");
    let gone = Backend::nobody();
    let yaml = Setup::at([gone, spared.address]).upstream("health: { tcp: true, interval: 100ms }").yaml();
    let weightless = format!("{{ address: \"{}\", weight: 0 }}", spared.address);
    let balancer = Balancer::start(&yaml.replace(&spared.address.to_string(), &weightless));
    balancer.expect_metric("plimsoll_backend_up", &["backend=\"backend-1\""], 0.0);
    assert_eq!(balancer.get("/").text(), "spared");
    balancer.expect_metric("plimsoll_backend_intended_share", &["backend=\"backend-2\""], 1.0);
    balancer.expect_metric("plimsoll_none_available_total", &[], 0.0);
}

#[test]
fn a_source_behind_a_trusted_proxy_is_hashed_as_whom_it_forwards_for() {
    let backends = [Backend::saying("1"), Backend::saying("2"), Backend::saying("3"), Backend::saying("4")];
    let balancer = Setup::over(&backends)
        .upstream("balance: { consistent_hash: { key: source, load_bound: unlimited } }")
        .listener("forwarded: { trust: [127.0.0.0/8] }")
        .start();
    let mut reached = std::collections::HashSet::new();
    for client in 0..32 {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.{client}\r\nConnection: close\r\n\r\n"
        );
        let first = balancer.ask(&request);
        assert_eq!(balancer.ask(&request).text(), first.text());
        reached.insert(first.text().to_owned());
    }
    assert_eq!(reached.len(), 4, "clients spread over all backends");
}
