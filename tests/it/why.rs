//! What the process remembers of its latest exchanges, and why each went where it did.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::setup::Setup;
use crate::harness::{eventually, pause};

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
    let [refused, answered] = rescued["tries"].as_array().expect("tries").as_slice() else {
        panic!("two tries in {rescued}");
    };
    for (one, backend, outcome) in [(refused, "backend-1", "connect_refused"), (answered, "backend-2", "ok")]
    {
        let said = [&one["backend"], &one["pick"], &one["outcome"]];
        assert_eq!(said, [backend, "balanced", outcome], "{one}");
        assert_eq!(one["in_flight"], 0, "{one}");
    }
    let words = rescued["words"].as_str().expect("words");
    let expected =
        "backend-1 was picked (round robin's turn) and refused the connection; backend-2 rescued it; ";
    assert!(words.starts_with(expected), "{words}");
    assert_eq!(missing(refused), ["send_ms", "wait_ms", "relay_ms"], "{refused}");
    assert_eq!(refused["connect_ms"], refused["total_ms"], "{refused}");
    assert_eq!(missing(answered), [""; 0], "{answered}");
    let ms = |one: &serde_json::Value, key: &str| one[key].as_f64().expect("a number");
    let ended = |one| ms(one, "start_ms") + ms(one, "total_ms");
    assert!(ms(answered, "start_ms") >= ended(refused), "{rescued}");
    assert!(ended(answered) <= ms(rescued, "duration_ms") + 0.001, "{rescued}");
}

/// The stages that a try did not come to.
fn missing(one: &serde_json::Value) -> Vec<&'static str> {
    let stages = ["connect_ms", "send_ms", "wait_ms", "relay_ms", "total_ms"];
    stages.into_iter().filter(|stage| !one[*stage].is_number()).collect()
}

#[test]
fn the_time_of_a_try_is_told_by_stages() {
    let slow = Backend::scripted(|mut wire, _| {
        while wire.request().is_some() {
            pause(Duration::from_millis(40));
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no");
            pause(Duration::from_millis(20));
            wire.send("k");
        }
    });
    let balancer = Setup::over([&slow]).start();
    let mut client = balancer.connect();
    for _ in 0..2 {
        assert_eq!(client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status(), 200);
    }
    balancer.expect_metric("plimsoll_requests_total", &[], 2.0);
    let told = exchanges(&balancer, "");
    let [second, first] = [&told[0]["tries"][0], &told[1]["tries"][0]];
    assert_eq!((&first["dialled"], &second["dialled"]), (&true.into(), &false.into()), "{told:?}");
    assert_eq!(missing(first), [""; 0], "{first}");
    assert_eq!(missing(second), ["connect_ms"], "{second}");
    for one in [first, second] {
        let ms = |key: &str| one[key].as_f64().unwrap_or_default();
        assert!(ms("total_ms") >= 60.0, "{one}");
        let stages: f64 = ["connect_ms", "send_ms", "wait_ms", "relay_ms"].map(ms).iter().sum();
        assert!((stages - ms("total_ms")).abs() < 0.005, "they follow each other without a gap: {one}");
    }
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
