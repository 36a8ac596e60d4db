//! What the generator promises, held against scripted servers on real sockets.

#![expect(clippy::unwrap_used, reason = "in a test, also in what its tests share, an unwrap is an assertion")]

mod server;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use loadtest::load::Load;
use loadtest::mix::Ask;
use loadtest::plan::Plan;
use loadtest::report::Report;
use server::{Answer, Server};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn plan(address: SocketAddr, rate: f64, duration: Duration) -> Plan {
    Plan::new(&format!("http://{address}/path?query"), rate, duration).unwrap()
}

async fn run(plan: Plan) -> Report {
    Load::new(plan).await.unwrap().run().await
}

#[tokio::test]
async fn a_steady_server_gets_every_request_once_over_connections_that_are_kept() {
    let server = Server::start(|n| Answer::ok(["one", "two", "three"][n % 3])).await;
    let report = run(plan(server.address, 300.0, 500 * MS)).await;
    assert_eq!((report.requests, report.failed), (150, 0));
    assert_eq!(server.requests(), 150);
    assert!(server.connections() < 150, "no connection is used again");
    assert_eq!(server.last_head().lines().next(), Some("GET /path?query HTTP/1.1"));
    for backend in ["one", "two", "three"] {
        assert!((0.32..0.35).contains(&report.share[backend]), "{:?}", report.share);
    }
}

#[tokio::test]
async fn a_server_that_pauses_is_charged_for_every_request_due_meanwhile() {
    // Each answer after the tenth comes when the pause is over: a closed loop would have seen one slow answer.
    let server =
        Server::start(|n| if n == 10 { Answer::ok("a").stalling(300 * MS) } else { Answer::ok("a") }).await;
    let report = run(plan(server.address, 200.0, 500 * MS)).await;
    assert_eq!((report.requests, report.failed), (100, 0));
    assert!(report.latency.p50_ms.unwrap() > 20.0, "{:?}", report.latency);
    assert!(report.longest_gap_ms >= 290.0, "{}", report.longest_gap_ms);
}

#[tokio::test]
async fn a_request_that_is_due_does_not_wait_for_anothers_answer() {
    // The first answer comes only once all requests have: whoever waited for it would wait in vain.
    let server =
        Server::start(|n| if n == 0 { Answer::ok("a").held_until(30) } else { Answer::ok("a") }).await;
    let report = run(plan(server.address, 100.0, 300 * MS)).await;
    assert_eq!((report.requests, report.failed), (30, 0));
    assert!(report.latency.max_ms.unwrap() >= 290.0, "{:?}", report.latency);
}

#[tokio::test]
async fn each_way_to_fail_is_counted_as_what_it_is() {
    let answers = [
        ("status", "HTTP/1.1 503 Service Unavailable\r\nx-server: a\r\ncontent-length: 0\r\n\r\n"),
        ("short_body", "HTTP/1.1 200 OK\r\nx-server: a\r\ncontent-length: 10\r\n\r\nabc"),
        ("protocol", "SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        ("reset", ""),
    ];
    for (kind, bytes) in answers {
        let server = Server::start(move |_| Answer::raw(bytes).then_close()).await;
        let report = run(plan(server.address, 50.0, 100 * MS)).await;
        assert_eq!((report.requests, report.failed), (5, 5), "{kind}: {report:?}");
        assert_eq!(report.failures[kind], 5, "{kind}: {:?}", report.failures);
        assert_eq!(report.latency.p50_ms, None);
    }
}

#[tokio::test]
async fn silence_is_a_timeout_and_a_closed_port_a_connect_failure() {
    let server = Server::start(|_| Answer::ok("a").held_until(1000)).await;
    let mut slow = plan(server.address, 50.0, 100 * MS);
    slow.timeout = 100 * MS;
    assert_eq!(run(slow).await.failures["timeout"], 5);

    // Bound and never listening: the port is refused, and nobody else gets it.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let report = run(plan(closed.local_addr().unwrap(), 50.0, 100 * MS)).await;
    assert_eq!((report.failed, report.failures["connect"]), (5, 5));
}

#[tokio::test]
async fn a_request_beyond_the_bound_fails_and_is_counted() {
    let server = Server::start(|_| Answer::ok("a").held_until(1000)).await;
    let mut bounded = plan(server.address, 100.0, 100 * MS);
    bounded.max_in_flight = 4;
    let load = Load::new(bounded).await.unwrap();
    let observer = load.observer();
    let run = tokio::spawn(load.run());
    server.wait_for(4).await;
    while observer.take_window().is_none_or(|window| window.failed < 6) {
        tokio::time::sleep(MS).await;
    }
    assert_eq!(observer.in_flight(), 4);
    server.release();
    let report = run.await.unwrap();
    assert_eq!((report.requests, report.failed, report.failures["overrun"]), (10, 6, 6));
    assert_eq!(server.requests(), 4);
}

#[tokio::test]
async fn connections_that_the_server_closes_after_each_answer_cost_no_request() {
    let server = Server::start(|_| {
        Answer::raw("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").then_close()
    })
    .await;
    let report = run(plan(server.address, 200.0, 300 * MS)).await;
    assert_eq!((report.requests, report.failed), (60, 0), "{:?}", report.failures);
    assert_eq!(server.connections(), 60);
}

#[tokio::test]
async fn marks_divide_the_run_and_windows_show_it_moving() {
    let moved = Arc::new(AtomicBool::new(false));
    let script = Arc::clone(&moved);
    let server =
        Server::start(move |_| Answer::ok(if script.load(Ordering::Relaxed) { "b" } else { "a" })).await;
    let load = Load::new(plan(server.address, 200.0, 400 * MS)).await.unwrap();
    let observer = load.observer();
    assert!(observer.take_window().is_none(), "nothing runs yet");
    let run = tokio::spawn(load.run());
    server.wait_for(40).await;
    let window = observer.take_window().unwrap();
    assert!(window.span.all.requests() >= 1, "{window:?}");
    // Nothing is sent between these two: the test and the load share one thread.
    moved.store(true, Ordering::Relaxed);
    observer.mark("after");
    let report = run.await.unwrap();
    assert_eq!(report.phases.iter().map(|phase| phase.name.as_str()).collect::<Vec<_>>(), ["run", "after"]);
    assert!(report.phases[0].share["a"] > 0.0, "{:?}", report.phases[0]);
    assert_eq!(report.phases[1].share["a"], 0.0, "{:?}", report.phases[1]);
    assert!(observer.take_window().is_none(), "the run is over");
}

#[tokio::test]
async fn a_run_that_is_stopped_reports_what_was() {
    let server = Server::start(|_| Answer::ok("a")).await;
    let load = Load::new(plan(server.address, 100.0, Duration::from_secs(600))).await.unwrap();
    let observer = load.observer();
    let run = tokio::spawn(load.run());
    server.wait_for(10).await;
    observer.stop();
    let report = run.await.unwrap();
    assert!((10..60_000).contains(&report.requests), "{}", report.requests);
    assert_eq!(report.failed, 0);
}

#[tokio::test]
async fn a_post_carries_a_body_and_the_requests_number() {
    // The server reads no bodies, so no connection may carry a second request.
    let server = Server::start(|_| Answer::ok("a").then_close()).await;
    let mut plan = plan(server.address, 100.0, 50 * MS);
    plan.method = Method::POST;
    plan.number_header = Some(HeaderName::from_static("x-number"));
    let numbers = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&numbers);
    let load = Load::new(plan).await.unwrap();
    load.with_witness(move |outcome| seen.lock().unwrap().push(outcome.number)).run().await;
    assert_eq!(*numbers.lock().unwrap(), [0, 1, 2, 3, 4]);
    let head = server.last_head();
    for line in ["POST /path?query HTTP/1.1", "x-number: 4", "content-length: 8"] {
        assert!(head.lines().any(|found| found == line), "{line} is missing in {head}");
    }
}

#[tokio::test]
async fn a_client_that_asks_in_turn_waits_for_each_answer() {
    let server = Server::start(|n| if n == 2 { Answer::ok("a").stalling(200 * MS) } else { Answer::ok("a") });
    let server = server.await;
    let load = Load::new(plan(server.address, 100.0, 500 * MS)).await.unwrap();
    let report = load.run_in_turn(10 * MS).await;
    assert_eq!(server.connections(), 1);
    assert!(report.requests < 40, "{} requests do not fit between the pauses", report.requests);
    assert!(report.longest_gap_ms >= 200.0, "{}", report.longest_gap_ms);
}

#[tokio::test]
async fn a_closed_loop_keeps_its_clients_busy_and_no_more() {
    // Nobody is answered before all three have asked, and from then on there are always three.
    let server = Server::start(|n| if n < 3 { Answer::ok("a").held_until(3) } else { Answer::ok("a") }).await;
    let mut plan = plan(server.address, 1.0, 200 * MS);
    plan.connections = Some(3);
    let report = run(plan).await;
    assert!(report.requests > 3, "{} requests", report.requests);
    assert_eq!((report.failed, server.requests() as u64), (0, report.requests));
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_closed_loop_on_a_closed_port_is_not_an_endless_one() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut plan = plan(nobody, 1.0, 200 * MS);
    plan.connections = Some(2);
    let report = run(plan).await;
    assert_eq!((report.failed, report.failures["connect"]), (report.requests, report.requests));
    assert!((2..=42).contains(&report.requests), "{} requests", report.requests);
}

#[tokio::test]
async fn without_keep_alive_each_request_has_a_connection() {
    let server = Server::start(|_| Answer::ok("a").then_close()).await;
    let mut plan = plan(server.address, 100.0, 100 * MS);
    plan.keep_alive = false;
    let report = run(plan).await;
    assert_eq!((report.requests, report.failed, server.connections()), (10, 0, 10));
    assert!(server.last_head().contains("connection: close"), "{}", server.last_head());
}

#[tokio::test]
async fn a_mix_reaches_each_server_with_its_headers_and_body() {
    let servers =
        [Server::start(|_| Answer::ok("a")).await, Server::start(|_| Answer::ok("b").then_close()).await];
    let ask = |at: usize, weight, method, body| {
        let target = format!("http://{}/{at}", servers[at].address).parse().unwrap();
        let headers =
            HeaderMap::from_iter([(HeaderName::from_static("host"), HeaderValue::from_static("own"))]);
        Ask { weight, method, target, headers, body: Bytes::from_static(body) }
    };
    let mut plan = plan(servers[0].address, 100.0, 400 * MS);
    plan.mix = vec![ask(0, 3, Method::GET, b""), ask(1, 1, Method::PUT, b"hello")];
    let report = run(plan).await;
    assert_eq!((report.requests, report.failed), (40, 0));
    assert_eq!([servers[0].requests(), servers[1].requests()], [30, 10]);
    let head = servers[1].last_head();
    for line in ["PUT /1 HTTP/1.1", "host: own", "content-length: 5"] {
        assert!(head.lines().any(|found| found == line), "{line} is missing in {head}");
    }
}

#[tokio::test]
async fn planned_phases_divide_the_run_to_the_request() {
    let server = Server::start(|_| Answer::ok("a")).await;
    let mut plan = plan(server.address, 100.0, 300 * MS);
    plan.phases = vec![(100 * MS, "two".to_owned()), (250 * MS, "three".to_owned())];
    let report = run(plan).await;
    let phases: Vec<(&str, u64)> =
        report.phases.iter().map(|phase| (phase.name.as_str(), phase.requests)).collect();
    assert_eq!(phases, [("run", 10), ("two", 15), ("three", 5)]);
}
