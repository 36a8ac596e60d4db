//! What each endpoint answers.

use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::server::{Server, until_metrics_say};
use crate::{ask, get};

#[tokio::test]
async fn the_greeting_names_the_number_of_the_server() {
    let server = Server::start(|_| {}).await;
    let answer = get(server.address, "/").await;
    assert_eq!((answer.status, answer.text()), (200, "Hello, World!\nServer 7"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(ask(server.address, "POST /", "", "").await.text(), answer.text(), "with or without routing");
}

#[tokio::test]
async fn data_comes_after_the_delay_and_says_so() {
    let server = Server::start(|_| {}).await;
    let asked = Instant::now();
    let answer = get(server.address, "/api/data").await;
    assert!(asked.elapsed() >= Duration::from_millis(20));
    assert_eq!(answer.text(), r#"{"message":"Response delay is 20 ms","status":200}"#);
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn the_switch_breaks_the_application_and_mends_it() {
    let server = Server::start(|_| {}).await;
    let statuses = || async {
        let mut seen = Vec::new();
        for path in ["/", "/api/data", "/api/status"] {
            seen.push(get(server.address, path).await.status);
        }
        seen
    };
    assert_eq!(statuses().await, [200, 200, 200]);
    let switched = get(server.address, "/api/switch").await;
    assert_eq!((switched.status, switched.text()), (200, r#"{"server":"backend-7","status":500}"#));
    assert_eq!(statuses().await, [500, 500, 500]);
    let data = get(server.address, "/api/data").await;
    assert_eq!(data.text(), r#"{"message":"Response delay is 20 ms","status":500}"#);
    assert_eq!(get(server.address, "/echo").await.status, 200, "only the application is broken");
    assert!(get(server.address, "/metrics").await.text().contains("\ndemo_backend_up 0\n"));
    get(server.address, "/api/switch").await;
    assert_eq!(statuses().await, [200, 200, 200]);
    assert!(get(server.address, "/metrics").await.text().contains("\ndemo_backend_up 1\n"));
}

#[tokio::test]
async fn work_beyond_the_workers_waits_its_turn() {
    let server = Server::start(|settings| settings.workers = NonZeroUsize::MIN).await;
    let asked = Instant::now();
    let (one, two) = tokio::join!(get(server.address, "/work/30"), get(server.address, "/work/30"));
    assert_eq!((one.text(), two.status), ("burnt 30 ms of CPU time", 200));
    assert!(asked.elapsed() >= Duration::from_millis(60), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_sleep_answers_what_it_was_given() {
    let server = Server::start(|_| {}).await;
    let asked = Instant::now();
    assert_eq!(get(server.address, "/sleep/30/good%20morning").await.text(), "good morning");
    assert!(asked.elapsed() >= Duration::from_millis(30));
}

#[tokio::test]
async fn bytes_come_in_the_number_asked_for() {
    let server = Server::start(|_| {}).await;
    for n in [0, 1, 65_536, 65_537, 3_000_000] {
        let answer = get(server.address, &format!("/bytes/{n}")).await;
        assert_eq!((answer.status, answer.body.len()), (200, n));
        assert_eq!(answer.header("content-length"), Some(n.to_string().as_str()));
    }
    let head = ask(server.address, "HEAD /bytes/3000000", "", "").await;
    assert_eq!((head.header("content-length"), head.body.len()), (Some("3000000"), 0));
}

#[tokio::test]
async fn an_echo_keeps_body_and_content_type() {
    let server = Server::start(|_| {}).await;
    let body = "0123456789".repeat(30_000);
    let headers = format!("content-type: text/x-test\r\ncontent-length: {}\r\n", body.len());
    let answer = ask(server.address, "POST /echo", &headers, &body).await;
    assert_eq!(answer.header("content-type"), Some("text/x-test"));
    assert!(answer.text() == body, "the body came back changed");
}

#[tokio::test]
async fn a_chunked_body_is_echoed_in_chunks() {
    let server = Server::start(|_| {}).await;
    let chunks = "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let answer = ask(server.address, "POST /echo", "transfer-encoding: chunked\r\n", chunks).await;
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    assert!(answer.text().ends_with("0\r\n\r\n"), "{}", answer.text());
}

#[tokio::test]
async fn every_answer_names_its_server() {
    let server = Server::start(|_| {}).await;
    for path in ["/", "/api/data", "/work/0", "/bytes/x", "/nowhere", "/metrics", "/?query"] {
        assert_eq!(get(server.address, path).await.header("x-server"), Some("backend-7"), "{path}");
    }
}

#[tokio::test]
async fn numbers_out_of_bounds_and_unknown_paths_are_refused() {
    let server = Server::start(|_| {}).await;
    for path in
        ["/work/10001", "/work/ten", "/sleep/-1/a", "/sleep/60001/a", "/bytes/1073741825", "/work/%ff"]
    {
        let answer = get(server.address, path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(!answer.body.is_empty(), "{path} is refused without a reason");
    }
    assert_eq!(
        get(server.address, "/bytes/many").await.text(),
        "{n} must be a whole number from 0 to 1073741824, not `many`\n"
    );
    assert_eq!(get(server.address, "/api").await.status, 404);
}

#[tokio::test]
async fn every_exchange_is_counted_once_under_its_path_template() {
    let server = Server::start(|_| {}).await;
    let first = get(server.address, "/metrics").await;
    assert_eq!(first.header("content-type"), Some("text/plain; version=0.0.4"));
    let waiting = r#"demo_backend_requests_total{code="200",path="/bytes/{n}"} 0"#;
    assert!(first.text().lines().any(|line| line == waiting), "a known path is shown from the start");

    for path in ["/", "/", "/bytes/1", "/bytes/100000", "/bytes/x", "/nowhere/1", "/nowhere/2"] {
        get(server.address, path).await;
    }
    for line in [
        r#"demo_backend_requests_total{code="200",path="/"} 2"#,
        r#"demo_backend_requests_total{code="200",path="/bytes/{n}"} 2"#,
        r#"demo_backend_requests_total{code="400",path="/bytes/{n}"} 1"#,
        r#"demo_backend_requests_total{code="404",path="other"} 2"#,
        r#"demo_backend_request_duration_seconds_count{path="/"} 2"#,
        r#"demo_backend_info{server="backend-7",version="0.1.0"} 1"#,
        "demo_backend_requests_in_flight 1",
    ] {
        until_metrics_say(server.address, line).await;
    }
}

#[tokio::test]
async fn an_exchange_whose_client_leaves_is_counted_as_that() {
    let server = Server::start(|_| {}).await;
    let mut leaving = TcpStream::connect(server.address).await.unwrap();
    leaving.write_all(b"GET /sleep/60000/never HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    until_metrics_say(server.address, "demo_backend_requests_in_flight 2").await;
    drop(leaving);
    let left = r#"demo_backend_requests_total{code="499",path="/sleep/{ms}/{answer}"} 1"#;
    until_metrics_say(server.address, left).await;
    until_metrics_say(server.address, "demo_backend_requests_in_flight 1").await;
}
