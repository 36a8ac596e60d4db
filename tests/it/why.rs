//! What the process remembers of its latest exchanges, and why each went where it did.

use rustix::process::Signal;

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::eventually;
use crate::harness::setup::Setup;

/// The exchanges that are told, newest first.
#[track_caller]
fn exchanges(balancer: &Balancer, query: &str) -> Vec<serde_json::Value> {
    let answer = balancer.ask_admin(&format!("/api/v1/why{query}"));
    let told: serde_json::Value = serde_json::from_slice(&answer.body).expect("the answer is JSON");
    assert_eq!(told["silent_workers"], serde_json::json!([]), "{told}");
    told["exchanges"].as_array().expect("a list of exchanges").clone()
}

#[test]
fn a_rescue_is_told_with_who_failed_and_how() {
    let well = Backend::saying("well");
    let balancer = Setup::at([Backend::nobody(), well.address]).start();
    for _ in 0..4 {
        assert_eq!(balancer.get("/a?secret=1").status(), 200);
    }
    balancer.expect_metric("plimsoll_requests_total", &[], 4.0);
    assert_eq!(exchanges(&balancer, "").len(), 4);
    let rescued = exchanges(&balancer, "?backend=backend-1&upstream=app&notable=true&limit=1");
    let rescued = rescued.first().expect("round robin gives one of the first two to who refuses");
    assert_eq!((&rescued["method"], &rescued["path"]), (&"GET".into(), &"/a".into()));
    assert_eq!((&rescued["status"], &rescued["balance"]), (&200.into(), &"round_robin".into()));
    let tries = serde_json::json!([
        { "backend": "backend-1", "pick": "balanced", "in_flight": 0, "outcome": "connect_refused" },
        { "backend": "backend-2", "pick": "balanced", "in_flight": 0, "outcome": "ok" },
    ]);
    assert_eq!(rescued["tries"], tries);
    let words = rescued["words"].as_str().expect("words");
    let expected =
        "backend-1 was picked (round robin's turn) and refused the connection; backend-2 rescued it; ";
    assert!(words.starts_with(expected), "{words}");
}

#[test]
fn whoever_asks_while_it_drains_is_answered_and_cuts_nothing_off() {
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let backend = Backend::scripted(move |mut wire, memory| {
        let Some(request) = wire.request() else { return };
        memory.note(request);
        let _ = gone.lock().map(|gone| gone.recv());
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone");
    });
    let mut balancer = Setup::over([&backend]).start();
    balancer.ask("GET / HTTP/1.1\r\n\r\n");
    let mut busy = balancer.connect();
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request reaches the backend", || backend.requests().len() == 1);
    balancer.signal(Signal::TERM);
    eventually("it is no longer ready", || balancer.ask_admin("/ready").status() == 503);
    assert_eq!(balancer.ask_admin("/api/v1/why").status(), 200);
    go.send(()).expect("the backend waits");
    assert_eq!(busy.answer(false).text(), "done");
    assert!(balancer.wait().success());
}
