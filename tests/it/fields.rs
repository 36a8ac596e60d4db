//! Header fields: those of one hop stay on it, those about the client are true, the others travel unchanged.

use crate::harness::backend::Backend;
use crate::harness::setup::Setup;
use crate::harness::wire::Head;

/// The head that a backend receives for `fields` under a listener with `forwarded`.
#[track_caller]
fn forwarded_head(forwarded: &str, fields: &str) -> Head {
    let backend = Backend::saying("ok");
    let setup = Setup::over([&backend]).listener(&format!("forwarded: {forwarded}"));
    let balancer = setup.start();
    let answer =
        balancer.ask(format!("GET /a HTTP/1.1\r\nHost: example.org\r\n{fields}Connection: close\r\n\r\n"));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    backend.only_request().head
}

const TRUSTING: &str = "{ trust: [127.0.0.0/8] }";

#[test]
fn fields_of_one_hop_do_not_travel() {
    let head = forwarded_head(
        "{}",
        "Connection: x-private, keep-alive\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\n\
         Proxy-Connection: keep-alive\r\nX-Public: 2\r\n",
    );
    for name in ["connection", "x-private", "keep-alive", "te", "proxy-connection"] {
        assert_eq!(head.fields(name).count(), 0, "{name} stays on its hop: {head:?}");
    }
    assert_eq!(head.field("x-public"), Some("2"));
}

#[test]
fn a_client_cannot_have_the_fields_removed_that_say_where_and_how_long() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).start();
    let request = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close, host, content-length\r\nContent-Length: 4\r\n\r\nbody";
    assert_eq!(balancer.ask(request).status(), 200);
    let seen = backend.only_request();
    assert_eq!((seen.head.field("host"), seen.text()), (Some("a"), "body"));
}

#[test]
fn fields_that_travel_keep_their_values_and_order() {
    let head =
        forwarded_head("{}", "X-A: 1\r\nCookie: a=b; c=\"d\"\r\nx-a: 2\r\nX-Empty:\r\nX-Padded:   y \t\r\n");
    assert_eq!(head.fields("x-a").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(head.field("cookie"), Some("a=b; c=\"d\""));
    assert_eq!(head.field("x-empty"), Some(""));
    assert_eq!(head.field("x-padded"), Some("y"));
    assert_eq!(head.field("host"), Some("example.org"));
}

#[test]
fn a_backend_is_told_who_the_client_is() {
    let head = forwarded_head("{ forwarded: true }", "");
    assert_eq!(head.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(head.field("x-forwarded-proto"), Some("http"));
    assert_eq!(head.field("x-forwarded-host"), Some("example.org"));
    let forwarded = head.field("forwarded").unwrap_or_default();
    assert!(forwarded.contains("for=127.0.0.1") && forwarded.contains("proto=http"), "{forwarded}");
    assert_eq!(head.field("via"), Some("1.1 plimsoll"));
    assert_eq!(head.field("x-request-id").map(str::len), Some(16));
}

#[test]
fn what_an_unknown_client_claims_about_itself_is_not_believed() {
    let claims = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: bank.example\r\n\
                  Forwarded: for=192.0.2.1\r\nX-Request-Id: mine\r\n";
    let head = forwarded_head("{}", claims);
    assert_eq!(head.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(head.field("x-forwarded-proto"), Some("http"));
    assert_eq!(head.field("x-forwarded-host"), Some("example.org"));
    assert_eq!(head.field("forwarded"), None);
    assert_ne!(head.field("x-request-id"), Some("mine"));
}

#[test]
fn what_a_trusted_proxy_says_is_continued() {
    let claims = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: bank.example\r\n\
                  X-Request-Id: mine\r\n";
    let head = forwarded_head(TRUSTING, claims);
    assert_eq!(head.field("x-forwarded-for"), Some("192.0.2.1, 127.0.0.1"));
    assert_eq!(head.field("x-forwarded-proto"), Some("https"));
    assert_eq!(head.field("x-forwarded-host"), Some("bank.example"));
    assert_eq!(head.field("x-request-id"), Some("mine"));
}

#[test]
fn no_entry_is_added_for_an_excepted_client() {
    let head = forwarded_head("{ except: [127.0.0.0/8] }", "X-Forwarded-For: 192.0.2.1\r\n");
    assert_eq!(head.field("x-forwarded-for"), Some("192.0.2.1"));
    let head = forwarded_head("{ except: [127.0.0.0/8] }", "");
    assert_eq!(head.field("x-forwarded-for"), None);
}

#[test]
fn what_is_switched_off_is_not_sent() {
    let head = forwarded_head("{ x_forwarded: false, via: false, request_id: false }", "");
    for name in
        ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "via", "x-request-id", "forwarded"]
    {
        assert_eq!(head.fields(name).count(), 0, "{name}: {head:?}");
    }
}

#[test]
fn a_trace_goes_on() {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let head = forwarded_head("{}", &format!("traceparent: {trace}\r\ntracestate: a=b\r\n"));
    assert_eq!((head.field("traceparent"), head.field("tracestate")), (Some(trace), Some("a=b")));
}

#[test]
fn the_target_in_absolute_form_decides_the_host() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).start();
    let request =
        "GET http://example.org:81/a?b HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n";
    assert_eq!(balancer.ask(request).status(), 200);
    let head = backend.only_request().head;
    assert_eq!((head.target(), head.field("host")), ("/a?b", Some("example.org:81")));
}

#[test]
fn the_host_that_backends_read_can_be_set() {
    for (setting, expected) in [("backend", None), ("app.internal", Some("app.internal"))] {
        let backend = Backend::saying("ok");
        let address = backend.address.to_string();
        let balancer = Setup::over([&backend]).upstream(&format!("host_header: {setting}")).start();
        assert_eq!(balancer.get("/").status(), 200);
        assert_eq!(backend.only_request().head.field("host"), Some(expected.unwrap_or(&address)));
    }
}

#[test]
fn an_answer_can_name_its_backend() {
    let backends = [Backend::saying("one"), Backend::saying("two")];
    let balancer = Setup::over(&backends).upstream("response_header: true").start();
    for _ in 0..4 {
        let answer = balancer.get("/");
        let name = if answer.text() == "one" { "backend-1" } else { "backend-2" };
        assert_eq!(answer.head.field("x-plimsoll-backend"), Some(name));
    }
}

#[test]
fn fields_of_one_hop_do_not_travel_back() {
    let backend = Backend::answering(|_| {
        b"HTTP/1.1 200 Fine\r\nConnection: x-private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok".to_vec()
    });
    let balancer = Setup::over([&backend]).start();
    let answer = balancer.connect().exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.head.start, "HTTP/1.1 200 Fine");
    assert_eq!(answer.head.fields("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2"]);
    for name in ["connection", "x-private", "keep-alive"] {
        assert_eq!(answer.head.fields(name).count(), 0, "{name} stays on its hop");
    }
}

#[test]
fn the_address_as_host_replaces_the_host_and_nothing_else() {
    // The first attempt fails, so the address of one backend must also make way for that of the next.
    for fields in [
        "Host: example.org\r\nX-First: 1\r\nAccept: text/html\r\nX-Last: 2\r\n",
        "X-First: 1\r\nHost: example.org\r\nAccept: text/html\r\nX-Last: 2\r\n",
        "X-First: 1\r\nAccept: text/html\r\nX-Last: 2\r\nHost: example.org\r\n",
    ] {
        let backend = Backend::saying("ok");
        let setup = Setup::at([Backend::nobody(), backend.address]).upstream("host_header: backend");
        let answer = setup.start().ask(format!("GET /a HTTP/1.1\r\n{fields}Connection: close\r\n\r\n"));
        assert_eq!(answer.text(), "ok");
        let head = backend.only_request().head;
        assert_eq!(head.start, "GET /a HTTP/1.1");
        assert_eq!(head.fields("host").collect::<Vec<_>>(), [backend.address.to_string()], "with {fields:?}");
        for (name, value) in [("x-first", "1"), ("accept", "text/html"), ("x-last", "2")] {
            assert_eq!(head.field(name), Some(value), "{head:?} of {fields:?}");
        }
    }
}

#[test]
fn what_says_who_the_client_is_does_not_travel_behind_the_body() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).start();
    let answer = balancer.ask(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\na\r\n0\r\n\
         X-Forwarded-For: 192.0.2.1\r\nVia: 1.1 liar\r\nForwarded: for=192.0.2.1\r\nX-Request-Id: mine\r\n\
         X-Checksum: 7\r\n\r\n",
    );
    assert_eq!(answer.text(), "ok");
    let seen = backend.only_request();
    assert_eq!((seen.text(), seen.trailers.len()), ("a", 1), "{:?}", seen.trailers);
    assert_eq!(seen.trailers[0].to_ascii_lowercase(), "x-checksum: 7");
}
