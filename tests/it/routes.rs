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
fn a_route_rewrites_the_fields_that_its_backends_read() {
    const REWRITING: &str = r#"routes:
  - name: app
    upstream: app
    request_headers:
      set: { x-real-ip: "{client}", x-forwarded-for: nobody, User-Agent: balancer, x-at: "{host} {authority}{path}{query}" }
      add: { x-tag: [a, b] }
      remove: [X-Internal-User, via, x-request-id, accept]"#;
    let backend = Backend::saying("app");
    let balancer =
        Setup::over([&backend]).top(REWRITING).listener("forwarded: { trust: [127.0.0.1] }").start();
    let request = "GET /a%20b?c=d HTTP/1.1\r\nHost: Example.org:8080\r\nUser-Agent: x\r\nx-tag: own\r\n\
        x-internal-user: root\r\nX-INTERNAL-USER: root\r\nX-Real-IP: 10.0.0.1\r\nX-Forwarded-For: 192.0.2.7\r\n\
        Connection: x-real-ip, close\r\n\r\n";
    assert_eq!(balancer.ask(request).text(), "app");
    let head = backend.only_request().head;
    assert_eq!(head.start, "GET /a%20b?c=d HTTP/1.1");
    assert_eq!(head.field("host"), Some("Example.org:8080"));
    assert_eq!(head.field("x-real-ip"), Some("192.0.2.7"), "in spite of the client's `Connection`");
    assert_eq!(head.field("x-forwarded-for"), Some("nobody"), "also what the balancer itself would say");
    assert_eq!(head.field("user-agent"), Some("balancer"));
    assert_eq!(head.field("x-at"), Some("Example.org Example.org:8080/a%20b?c=d"));
    assert_eq!(head.fields("x-tag").collect::<Vec<_>>(), ["own", "a", "b"]);
    for removed in ["x-internal-user", "via", "x-request-id", "accept"] {
        assert_eq!(head.field(removed), None, "{removed}");
    }
}

#[test]
fn what_a_route_writes_comes_with_a_body_and_with_every_try() {
    let silent = Backend::once("");
    let backend = Backend::saying("app");
    let balancer = Setup::over([&silent, &backend])
        .top(r#"routes: [{ upstream: app, idempotent: true, request_headers: { set: { x-a: "{path}" } } }]"#)
        .upstream("host_header: backend")
        .start();
    let post = |target: &str| {
        let body = "4\r\nbody\r\n0\r\n\r\n";
        format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{body}"
        )
    };
    for target in ["/1", "/2"] {
        assert_eq!(balancer.ask(post(target)).text(), "app");
    }
    assert!(!silent.requests().is_empty(), "one of them was tried twice");
    for seen in silent.requests().iter().chain(&backend.requests()) {
        assert_eq!(seen.head.field("x-a"), Some(seen.head.target()));
        assert_eq!(seen.text(), "body");
    }
    assert_eq!(backend.requests()[0].head.field("host"), Some(&*backend.address.to_string()));
}

#[test]
fn a_route_rewrites_the_fields_of_answers() {
    const REWRITING: &str = r#"routes:
  - name: own
    match: { path: /own }
    respond: { body: own, headers: { x-kind: tea } }
    response_headers: &rules { set: { x-by: "{path}", x-kind: set }, add: { set-cookie: [a=1, b=2] }, remove: [Server, x-old] }
  - { name: moved, match: { path: /moved }, redirect: /new, response_headers: *rules }
  - name: app
    upstream: app
    response_headers:
      set: { x-by: "{backend} for {client}", x-kind: set }
      add: { set-cookie: [a=1, b=2] }
      remove: [Server, x-old]"#;
    let backend = Backend::once(
        "HTTP/1.1 103 Early Hints\r\nServer: x\r\n\r\nHTTP/1.1 200 OK\r\nserver: x\r\nX-Old: 1\r\nx-kept: 2\r\n\
         X-Kind: a\r\nx-kind: b\r\nset-cookie: c=3\r\ncontent-length: 2\r\n\r\nok",
    );
    let balancer = Setup::over([&backend]).top(REWRITING).start();
    let answer = balancer.get("/");
    assert_eq!((answer.text(), answer.head.field("x-kept")), ("ok", Some("2")));
    assert_eq!(answer.head.field("x-by"), Some("backend-1 for 127.0.0.1"));
    assert_eq!(answer.head.field("x-kind"), Some("set"));
    assert_eq!(answer.head.fields("set-cookie").collect::<Vec<_>>(), ["c=3", "a=1", "b=2"]);
    assert_eq!((answer.head.field("server"), answer.head.field("x-old")), (None, None));
    let own = balancer.get("/own");
    assert_eq!(
        (own.text(), own.head.field("x-by"), own.head.field("x-kind")),
        ("own", Some("/own"), Some("set"))
    );
    let moved = balancer.get("/moved");
    assert_eq!((moved.status(), moved.head.field("location")), (302, Some("/new")));
    assert_eq!(moved.head.fields("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2"]);
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
