//! SIGHUP and `plimsoll ctl reload` take up a new configuration without dropping a request; a bad one changes nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::harness::backend::Backend;
use crate::harness::free_address;
use crate::harness::setup::Setup;

/// Tells the clients to stop, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn a_reload_changes_the_backends_without_dropping_a_request() {
    let old = Backend::saying("old");
    let new = Backend::saying("new");
    let balancer = Setup::over([&old]).top("workers: 2").start();
    let done = AtomicBool::new(false);
    let client = || {
        let mut client = balancer.connect();
        let mut count = 0;
        while !done.load(Ordering::Acquire) {
            let answer = client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(answer.status(), 200, "{}", answer.text());
            if answer.head.field("connection") == Some("close") {
                client = balancer.connect();
            }
            count += 1;
        }
        count
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..3).map(|_| scope.spawn(client)).collect();
        let stop = Stop(&done);
        for generation in 0..6 {
            let backend = if generation % 2 == 0 { &new } else { &old };
            let reloads = balancer.metrics().sum("plimsoll_config_reloads_total", &["result=\"ok\""]);
            balancer.reload(&Setup::over([backend]).top("workers: 2").yaml());
            balancer.expect_metric("plimsoll_config_reloads_total", &["result=\"ok\""], reloads + 1.0);
        }
        drop(stop);
        for client in clients {
            let count = client.join().expect("no request fails");
            assert!(count > 0, "each client was served");
        }
    });
    assert_eq!(balancer.get("/").text(), "old", "the last configuration is in force");
    assert!(!new.requests().is_empty(), "the other one was");
}

#[test]
fn a_bad_file_changes_nothing_and_says_what_is_wrong() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).start();
    balancer.reload("listeners:\n  web:\n    adress: 127.0.0.1:0\n");
    balancer.expect_metric("plimsoll_config_reloads_total", &["result=\"failed\""], 1.0);
    balancer.expect_metric("plimsoll_config_last_reload_successful", &[], 0.0);
    assert_eq!(balancer.get("/").text(), "ok");
    let log = balancer.log().join("\n");
    assert!(log.contains(":3:5") && log.contains("adress"), "the log names the place: {log}");
}

#[test]
fn a_reload_keeps_what_is_known_about_a_backend_that_stays() {
    let stays = Backend::saying("stays");
    let balancer = Setup::over([&stays]).start();
    for _ in 0..5 {
        balancer.get("/");
    }
    let backend = &["backend=\"backend-1\"", "code=\"200\""];
    balancer.expect_metric("plimsoll_requests_total", backend, 5.0);
    let reloads = balancer.metrics().sum("plimsoll_config_reloads_total", &["result=\"ok\""]);
    balancer.reload(&Setup::over([&stays]).upstream("response_header: true").yaml());
    balancer.expect_metric("plimsoll_config_reloads_total", &["result=\"ok\""], reloads + 1.0);
    balancer.expect_metric("plimsoll_requests_total", backend, 5.0);
    assert_eq!(balancer.get("/").head.field("x-plimsoll-backend"), Some("backend-1"));
    balancer.expect_metric("plimsoll_requests_total", backend, 6.0);
}

#[test]
fn a_reload_opens_and_closes_listeners() {
    let backend = Backend::saying("ok");
    let setup = Setup::over([&backend]);
    let balancer = setup.start();
    let free = free_address();
    let second = format!("listeners:\n  other:\n    address: {free}\n  web:\n");
    let yaml = setup.yaml();
    let reloads = balancer.metrics().sum("plimsoll_config_reloads_total", &["result=\"ok\""]);
    balancer.reload(&yaml.replacen("listeners:\n  web:\n", &second, 1));
    balancer.expect_metric("plimsoll_config_reloads_total", &["result=\"ok\""], reloads + 1.0);
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert_eq!(crate::harness::wire::Wire::connect(free).exchange(request).text(), "ok");
    balancer.reload(&yaml);
    balancer.expect_metric("plimsoll_config_reloads_total", &["result=\"ok\""], reloads + 2.0);
    crate::harness::eventually("the listener is closed", || std::net::TcpStream::connect(free).is_err());
    assert_eq!(balancer.get("/").text(), "ok");
}

#[test]
fn the_end_of_checks_is_a_transition_that_operators_can_read() {
    let setup = Setup::at([Backend::nobody()]);
    let balancer = setup.clone().upstream("health: { tcp: true, interval: 50ms }").start();
    balancer.expect_metric("plimsoll_backend_up", &["backend=\"backend-1\""], 0.0);
    balancer.reload(&setup.yaml());
    balancer.expect_metric("plimsoll_backend_up", &["backend=\"backend-1\""], 1.0);
    let transitions = balancer.ask_admin("/api/v1/transitions");
    assert!(transitions.text().contains("not checked any more"), "{}", transitions.text());
    crate::harness::eventually("it is logged", || balancer.log().join("\n").contains("not checked any more"));
}

#[test]
fn metrics_show_the_balance_rule_that_is_in_force_and_no_other() {
    let backend = Backend::saying("ok");
    let setup = Setup::over([&backend]);
    let balancer = setup.start();
    let shown = |labels: &[&str]| balancer.metrics().sum("plimsoll_upstream_info", labels);
    assert_eq!(shown(&["upstream=\"app\"", "balance=\"round_robin\"", "sticky=\"false\""]), 1.0);
    balancer.reload(&setup.upstream("balance: least_requests\n    sticky: { cookie: at }").yaml());
    let rule = ["balance=\"least_requests\"", "sticky=\"true\""];
    balancer.expect_metric("plimsoll_upstream_info", &rule, 1.0);
    assert_eq!(shown(&["upstream=\"app\""]), 1.0, "one upstream has one rule");
}

#[test]
fn an_operator_reloads_and_hears_what_came_of_it() {
    let (old, new) = (Backend::saying("old"), Backend::saying("new"));
    let balancer = Setup::over([&old]).start();
    assert_eq!(balancer.get("/").text(), "old");
    balancer.rewrite(&Setup::over([&new]).top("workers: 2").yaml());
    assert_eq!(balancer.get("/").text(), "old", "a file alone changes nothing");
    let told = balancer.ctl(&["reload"]);
    let said = String::from_utf8_lossy(&told.stdout);
    assert!(told.status.success() && said.contains("in force, number 2"), "{told:?}");
    assert!(said.contains("`workers` changed; it takes effect when"), "as in the log: {said}");
    assert_eq!(balancer.get("/").text(), "new", "it is in force once that is said");

    balancer.rewrite("listeners:\n  web:\n    adress: 127.0.0.1:0\n");
    let told = balancer.ctl(&["reload"]);
    let said = String::from_utf8_lossy(&told.stderr);
    assert!(!told.status.success(), "{told:?}");
    assert!(said.contains(":3:5") && said.contains("adress") && said.contains("nothing changed"), "{said}");
    assert_eq!(balancer.get("/").text(), "new");
    let failed = balancer.metrics().sum("plimsoll_config_reloads_total", &["result=\"failed\""]);
    assert_eq!(failed, 1.0, "it is counted as a reload");
}

#[test]
fn a_page_of_another_site_cannot_have_the_file_read() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).start();
    let request = "POST /api/v1/reload HTTP/1.1\r\nhost: localhost\r\norigin: https://example.org\r\n\
                   content-length: 0\r\nconnection: close\r\n\r\n";
    assert_eq!(crate::harness::wire::Wire::connect(balancer.admin).exchange(request).status(), 403);
    assert_eq!(balancer.metrics().sum("plimsoll_config_generation", &[]), 1.0);
}
