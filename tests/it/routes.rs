//! Routes: the first that matches decides; it goes to an upstream or answers by itself.

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::setup::Setup;

const ROUTES: &str = r#"routes:
  - { name: moved, match: { path: /old/ }, redirect: { to: "https://{host}{path}{query}", status: 308 } }
  - { name: images, match: { path: { suffix: [.png, .jpg], ignore_case: true } }, respond: { status: 200, body: image } }
  - { name: beta, match: { headers: { x-beta: { present: true } } }, respond: { status: 418, body: beta, headers: { x-kind: tea } } }
  - { name: hosts, match: { host: "*.example.net" }, respond: { status: 200, body: net } }
  - { name: debug, match: { query: { debug: "1" }, method: GET }, respond: { status: 200, body: debug } }
  - { name: app, match: { path: /app }, upstream: app }"#;

#[test]
fn the_first_route_that_matches_decides() {
    let backend = Backend::saying("app");
    let balancer = Setup::over([&backend]).top(ROUTES).start();
    let ask = |method: &str, host: &str, target: &str, fields: &str| {
        balancer
            .ask(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}Connection: close\r\n\r\n"))
    };
    let moved = ask("GET", "example.org", "/old/a?b=c", "");
    assert_eq!((moved.status(), moved.head.field("location")), (308, Some("https://example.org/old/a?b=c")));
    assert_eq!(
        ask("GET", "a", "/app/PICTURE.PNG", "").text(),
        "image",
        "case is ignored where it is asked for"
    );
    let beta = ask("GET", "a", "/app", "X-Beta:\r\n");
    assert_eq!((beta.status(), beta.text(), beta.head.field("x-kind")), (418, "beta", Some("tea")));
    assert_eq!(ask("GET", "WWW.Example.NET:8080", "/app", "").text(), "net", "case of a host is ignored");
    assert_eq!(ask("GET", "a", "/app?x=2&debug=1", "").text(), "debug");
    assert_eq!(ask("DELETE", "a", "/app?debug=1", "").text(), "app");
    assert_eq!(ask("GET", "a", "/nowhere", "").status(), 404);
    assert_eq!(backend.requests().len(), 1, "only what was routed to the upstream reaches it");
    let refused = &["reason=\"no_route\""];
    balancer.expect_metric("plimsoll_requests_refused_total", refused, 1.0);
    balancer.expect_metric("plimsoll_route_requests_total", &["route=\"beta\"", "class=\"4xx\""], 1.0);
}

#[test]
fn a_route_can_ask_who_sent_a_request() {
    const BY_SOURCE: &str = "routes:
  - { name: strangers, match: { not: [{ source: 192.0.2.0/24 }, { source: [127.0.0.1] }] }, respond: 403 }
  - { name: office, match: { source: 192.0.2.0/24 }, respond: { body: office } }
  - { name: rest, upstream: app }";
    let backend = Backend::saying("app");
    let setup = Setup::over([&backend]).top(BY_SOURCE);
    let ask = |balancer: &Balancer, sender: &str| {
        let field = format!("X-Forwarded-For: {sender}\r\n");
        balancer.ask(format!("GET / HTTP/1.1\r\nHost: a\r\n{field}Connection: close\r\n\r\n"))
    };
    let trusting = setup.clone().listener("forwarded: { trust: [127.0.0.0/8] }").start();
    assert_eq!(ask(&trusting, "192.0.2.7").text(), "office");
    assert_eq!(ask(&trusting, "198.51.100.9").status(), 403);
    assert_eq!(ask(&trusting, "192.0.2.7, 198.51.100.9").status(), 403, "only the last word is a proxy's");
    assert_eq!(ask(&trusting, "127.0.0.1").text(), "app");
    let strict = setup.start();
    assert_eq!(ask(&strict, "192.0.2.7").text(), "app", "anybody can write that");
}

#[test]
fn a_route_that_answers_by_itself_keeps_the_connection() {
    let backend = Backend::saying("app");
    let balancer = Setup::over([&backend]).top(ROUTES).start();
    let mut client = balancer.connect();
    for _ in 0..3 {
        assert_eq!(client.exchange("GET /a.png HTTP/1.1\r\nHost: a\r\n\r\n").text(), "image");
        let head = client.exchange("HEAD /a.png HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((head.head.field("content-length"), head.text()), (Some("5"), ""));
    }
}

#[test]
fn a_client_can_be_kept_with_its_backend_by_a_cookie() {
    let backends = [Backend::saying("1"), Backend::saying("2"), Backend::saying("3")];
    let balancer = Setup::over(&backends).upstream("sticky: { cookie: stay }").start();
    let first = balancer.get("/");
    let cookie = first.head.field("set-cookie").expect("the first answer sets the cookie").to_owned();
    let pair = cookie.split(';').next().unwrap_or_default().to_owned();
    assert!(pair.starts_with("stay=") && cookie.contains("HttpOnly"), "{cookie}");
    for _ in 0..6 {
        let request =
            format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: x=y; {pair}\r\nConnection: close\r\n\r\n");
        assert_eq!(balancer.ask(request).text(), first.text());
    }
}

#[test]
fn a_body_that_no_backend_wants_is_not_taken_for_the_next_request() {
    let backend = Backend::saying("app");
    let balancer = Setup::over([&backend]).top(ROUTES).start();
    let mut client = balancer.connect();
    let body = "GET /app HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(format!("POST /a.png HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
    let answer = client.answer(false);
    assert_eq!(answer.text(), "image");
    client.send(body);
    if answer.head.field("connection") == Some("close") {
        client.expect_end();
    } else {
        client.send("GET /b.png HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(client.answer(false).text(), "image");
        client.expect_end();
    }
    assert!(backend.requests().is_empty(), "the body never becomes a request");
}

#[test]
fn a_request_that_no_route_matches_does_not_cost_the_connection() {
    let backend = Backend::saying("app");
    let balancer = Setup::over([&backend]).top(ROUTES).start();
    let mut client = balancer.connect();
    for _ in 0..3 {
        let lost = client.exchange("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((lost.status(), lost.head.field("connection")), (404, None));
        assert!(!lost.body.is_empty(), "it says why");
        let head = client.exchange("HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(head.head.field("content-length"), Some(&*lost.body.len().to_string()));
        assert_eq!(client.exchange("GET /app HTTP/1.1\r\nHost: a\r\n\r\n").text(), "app");
    }
}
