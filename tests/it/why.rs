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
fn an_exchange_is_found_by_its_request_id_its_trace_and_its_status() {
    let backend = Backend::saying("well");
    let balancer = Setup::over([&backend]).start();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traced = format!("traceparent: 00-{trace}-00f067aa0ba902b7-01\r\n");
    let mut client = balancer.connect();
    for (path, line) in [("/a", ""), ("/b", &*traced), ("/c", "")] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{line}\r\n");
        assert_eq!(client.exchange(&request).status(), 200);
    }
    assert_eq!(client.exchange("GET / HTTP/1.1\r\n\r\n").status(), 400);
    balancer.expect_metric("plimsoll_requests_total", &["code=\"200\""], 3.0);
    let requests = backend.requests();
    let id = requests[2].head.field("x-request-id").expect("a request id");
    let paths = |query: &str| -> Vec<serde_json::Value> {
        exchanges(&balancer, query).iter().map(|one| one["path"].clone()).collect()
    };
    assert_eq!(paths(&format!("?id={id}")), ["/c"]);
    assert_eq!(paths(&format!("?trace={trace}")), ["/b"]);
    assert_eq!(paths("?status=200"), ["/c", "/b", "/a"]);
    let found = exchanges(&balancer, &format!("?trace={trace}")).remove(0);
    assert_eq!((&found["trace_id"], &found["route"]), (&trace.into(), &"default".into()), "{found}");
    assert_eq!(found["listener"], "web", "{found}");
    let refused = exchanges(&balancer, "?status=4xx");
    assert_eq!((refused.len(), &refused[0]["reason"]), (1, &"bad_host".into()), "{refused:?}");
}

#[test]
fn a_slow_answer_is_notable_and_one_that_only_lasts_is_not() {
    let backend = Backend::scripted(|mut wire, _| {
        for late in [true, false] {
            let Some(_) = wire.request() else { return };
            pause(Duration::from_millis(if late { 2_000 } else { 0 }));
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no");
            pause(Duration::from_millis(if late { 0 } else { 2_000 }));
            wire.send("k");
        }
    });
    let balancer = Setup::over([&backend]).top("telemetry: { slow: 1s, log: { format: json } }").start();
    let mut client = balancer.connect();
    for path in ["/late", "/long"] {
        assert_eq!(client.exchange(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).status(), 200);
    }
    balancer.expect_metric("plimsoll_requests_total", &[], 2.0);
    let notable = exchanges(&balancer, "?notable=true");
    assert_eq!((notable.len(), &notable[0]["path"]), (1, &"/late".into()), "{notable:?}");
    assert_eq!(notable[0]["slow"], true);
    let words = notable[0]["words"].as_str().expect("words");
    assert!(words.ends_with(", which is slow"), "{words}");
}

#[test]
fn it_is_told_whom_a_request_could_have_been_given_to() {
    let [two, three] = ["two", "three"].map(Backend::saying);
    let balancer = Setup::at([Backend::nobody(), two.address, three.address]).start();
    for _ in 0..3 {
        assert_eq!(balancer.get("/").status(), 200);
    }
    balancer.expect_metric("plimsoll_requests_total", &[], 3.0);
    let rescued = exchanges(&balancer, "?backend=backend-1").remove(0);
    let [first, second] = rescued["candidates"].as_array().expect("candidates").as_slice() else {
        panic!("twice in {rescued}");
    };
    let names = |seen: &serde_json::Value, word: &str| -> Vec<String> {
        let backends = seen["backends"].as_array().expect("backends").iter();
        let such = backends.filter(|one| one[word] == true);
        such.map(|one| one["backend"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!((&first["before_try"], &second["before_try"]), (&1.into(), &2.into()));
    assert_eq!((names(first, "picked"), names(first, "tried")), (vec!["backend-1".into()], vec![]));
    assert_eq!(names(second, "picked"), [rescued["tries"][1]["backend"].as_str().expect("a name")]);
    assert_eq!(
        (names(second, "tried"), names(second, "suspect")),
        (vec!["backend-1".into()], vec!["backend-1".into()])
    );
    let one = &first["backends"][0];
    assert_eq!(
        (&one["state"], &one["share"], &one["limit"]),
        (&"up".into(), &0.3333.into(), &serde_json::Value::Null)
    );
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
