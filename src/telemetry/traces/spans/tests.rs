//! Promises of the spans: whose child each is, when it was, and what it says.

use std::time::SystemTime;

use super::*;
use crate::telemetry::Telemetry;
use crate::telemetry::decisions::{Ending, Tries};
use crate::telemetry::labels::PickReason;
use crate::telemetry::traces::Text;

const CONTEXT: TraceContext = TraceContext { trace: 0xabc, parent: 7, span: 8, chosen: true };

/// An exchange that the first backend broke off and the second answered over a new connection.
fn rescued() -> TracedExchange {
    let telemetry = Telemetry::new(1);
    let held = ["one", "two"].map(|name| telemetry.backend("app", name));
    let [one, two] = [held[0].id, held[1].id];
    let at = Offset::from_micros;
    let mut tries = Tries::default();
    tries.began(one, PickReason::Balanced, 3, at(100));
    tries.ended(one, AttemptOutcome::Reset, Ending { sent: Some(at(200)), first_byte: None, ended: at(300) });
    tries.began(two, PickReason::Balanced, 0, at(310));
    tries.dialled(two);
    tries.connected(two, at(400));
    let ending = Ending { sent: Some(at(450)), first_byte: Some(at(700)), ended: at(900) };
    tries.ended(two, AttemptOutcome::Ok, ending);
    let tries = tries.numbered().map(|(number, what)| TracedTry {
        number,
        backend: format!("backend-{number}").into(),
        address: Some(([10, 0, 0, 1], 8000).into()),
        what: *what,
    });
    TracedExchange {
        context: CONTEXT,
        began: SystemTime::UNIX_EPOCH,
        took: Duration::from_micros(900),
        head: Duration::from_micros(40),
        planned: Duration::from_micros(50),
        queued: Some((Duration::from_micros(60), Duration::from_micros(90))),
        client: ([127, 0, 0, 9], 40_000).into(),
        local: ([0, 0, 0, 0], 8080).into(),
        method: Text::new(b"GET"),
        path: Text::new(b"/cart"),
        host: Text::new(b"shop.example:8443"),
        user_agent: Some(Text::new(b"curl")),
        request_id: None,
        version: "1.1",
        listener: "web".into(),
        route: Some("default".into()),
        upstream: Some("app".into()),
        balance: Some("round_robin"),
        backend: Some(std::sync::Arc::clone(&held[1])),
        status: 200,
        reason: None,
        bytes: (100, 2000),
        tries: tries.collect(),
    }
}

fn spans(exchange: TracedExchange) -> Vec<SpanData> {
    of(exchange, &InstrumentationScope::default())
}

fn named<'s>(spans: &'s [SpanData], name: &str) -> &'s SpanData {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("there is a span {name}"))
}

/// What a span says under `key`, as text.
fn said(span: &SpanData, key: &str) -> Option<String> {
    let known = span.attributes.iter().find(|attribute| attribute.key.as_str() == key)?;
    Some(known.value.to_string())
}

#[test]
fn each_stage_lies_below_its_try_and_each_try_below_the_exchange() {
    let spans = spans(rescued());
    let [first, second] = [1, 2].map(|number| CONTEXT.span_of_try(number));
    let found: Vec<_> = spans
        .iter()
        .map(|span| {
            let since = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros();
            let times = (since(span.start_time), since(span.end_time));
            (&*span.name, u64::from_be_bytes(span.parent_span_id.to_bytes()), times)
        })
        .collect();
    assert_eq!(
        found,
        [
            ("GET default", 7, (0, 900)),
            ("head", 8, (0, 40)),
            ("route", 8, (40, 50)),
            ("admission", 8, (60, 90)),
            ("GET backend-1", 8, (100, 300)),
            ("send", first, (100, 200)),
            ("wait", first, (200, 300)),
            ("GET backend-2", 8, (310, 900)),
            ("connect", second, (310, 400)),
            ("send", second, (400, 450)),
            ("wait", second, (450, 700)),
            ("relay", second, (700, 900)),
        ]
    );
    assert!(spans.iter().all(|span| span.span_context.trace_id() == TraceId::from(0xabc)));
    assert!(spans[0].parent_span_is_remote && !spans[4].parent_span_is_remote);
    assert_eq!(named(&spans, "GET backend-1").span_context.span_id(), SpanId::from(first));
}

#[test]
fn attributes_are_those_of_the_conventions() {
    let spans = spans(rescued());
    let whole = &spans[0];
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.path", "/cart"),
        ("url.scheme", "http"),
        ("http.response.status_code", "200"),
        ("server.address", "shop.example"),
        ("server.port", "8443"),
        ("client.address", "127.0.0.9"),
        ("network.peer.port", "40000"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "curl"),
        ("plimsoll.listener", "web"),
        ("plimsoll.route", "default"),
        ("plimsoll.upstream", "app"),
        ("plimsoll.backend", "two"),
    ] {
        assert_eq!(said(whole, key).as_deref(), Some(value), "{key}");
    }
    assert_eq!((said(whole, "error.type"), &whole.status), (None, &Status::Unset), "it was rescued");
    let [failed, rescue] = ["GET backend-1", "GET backend-2"].map(|name| named(&spans, name));
    assert_eq!(said(failed, "error.type").as_deref(), Some("reset"));
    assert_eq!(said(failed, "plimsoll.connection").as_deref(), Some("pooled"));
    assert_eq!(said(failed, "plimsoll.in_flight").as_deref(), Some("3"));
    assert_eq!((said(failed, "http.response.status_code"), &failed.status), (None, &Status::error("")));
    for (key, value) in [
        ("http.request.resend_count", "1"),
        ("http.response.status_code", "200"),
        ("url.full", "http://10.0.0.1:8000/cart"),
        ("network.peer.address", "10.0.0.1"),
        ("plimsoll.pick", "balanced"),
        ("plimsoll.outcome", "ok"),
        ("plimsoll.connection", "new"),
    ] {
        assert_eq!(said(rescue, key).as_deref(), Some(value), "{key}");
    }
}

#[test]
fn what_failed_says_so_and_a_mistake_of_the_client_is_no_error_of_ours() {
    let ended = |status, reason| {
        let spans = spans(TracedExchange { status, reason, ..rescued() });
        (said(&spans[0], "error.type"), spans[0].status.clone())
    };
    assert_eq!(ended(500, None), (Some("500".into()), Status::error("")));
    assert_eq!(ended(502, Some("reset")), (Some("reset".into()), Status::error("reset")));
    assert_eq!(ended(200, Some("reset")), (Some("reset".into()), Status::error("reset")), "it broke off");
    assert_eq!(ended(413, Some("body_too_large")), (Some("body_too_large".into()), Status::Unset));
    assert_eq!(ended(404, None), (None, Status::Unset));
}

#[test]
fn nobody_makes_names_up_by_a_method() {
    let spans = spans(TracedExchange { method: Text::new(b"BREW-\xff"), ..rescued() });
    assert_eq!(spans[0].name, "HTTP default");
    assert_eq!(said(&spans[0], "http.request.method").as_deref(), Some("_OTHER"));
    assert_eq!(said(&spans[0], "http.request.method_original").as_deref(), Some("BREW-\u{fffd}"));
}

#[test]
fn a_host_is_parted_into_address_and_port() {
    let local = ([127, 0, 0, 1], 8080).into();
    for (host, address, port) in [
        ("", "127.0.0.1", 8080),
        ("a.example", "a.example", 80),
        ("a.example:81", "a.example", 81),
        ("[::1]:81", "::1", 81),
        ("[::1]", "::1", 80),
        ("a:b", "a:b", 80),
    ] {
        assert_eq!(authority(host.to_owned(), local), (address.to_owned(), port), "{host}");
    }
}
