//! Traces: what a collector is told of an exchange, what the backends are told of the trace, and which exchanges have one.

use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use rustix::process::Signal;

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::collector::{Collector, digits, said};
use crate::harness::setup::Setup;
use crate::harness::{eventually, pause};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// The section `telemetry` with traces for a collector.
fn traces(collector: &Collector, keys: &str) -> String {
    let collector = format!("collector: \"http://{}\"", collector.address);
    format!("telemetry: {{ log: {{ format: json }}, traces: {{ {collector}, {keys} }} }}")
}

/// Asks for `path` as a part of a trace.
fn ask_within(balancer: &Balancer, path: &str, traceparent: &str) -> u16 {
    let lines = format!(
        "host: shop.example:81\r\ntraceparent: {traceparent}\r\ntracestate: a=b\r\nuser-agent: tests"
    );
    balancer.ask(format!("GET {path} HTTP/1.1\r\n{lines}\r\nconnection: close\r\n\r\n")).status()
}

/// The span of an exchange for this path, once its tries are there.
fn exchange(spans: &[Span], path: &str) -> Option<Span> {
    spans.iter().find(|span| said(&span.attributes, "url.path").as_deref() == Some(path)).cloned()
}

fn children<'s>(spans: &'s [Span], of: &Span) -> Vec<&'s Span> {
    let mut children: Vec<_> = spans
        .iter()
        .filter(|span| span.trace_id == of.trace_id && span.parent_span_id == of.span_id)
        .collect();
    children.sort_by_key(|span| span.start_time_unix_nano);
    children
}

fn names<'s>(spans: &[&'s Span]) -> Vec<&'s str> {
    spans.iter().map(|span| &*span.name).collect()
}

#[test]
fn an_exchange_is_told_with_its_attempts_and_their_stages_by_grpc_and_by_http() {
    for (collector, protocol) in [(Collector::grpc(), "grpc"), (Collector::http(), "http")] {
        let well = Backend::saying("well");
        // Another length of the line `Host` for each backend moves everything behind it.
        let setup = Setup::at([Backend::nobody(), well.address]).upstream("host_header: backend");
        let keys = format!("protocol: {protocol}, sample: 100%, headers: {{ x-scope-orgid: shop }}");
        let balancer =
            setup.listener("forwarded: { trust: [127.0.0.0/8] }").top(&traces(&collector, &keys)).start();
        // One of two begins at the backend that nobody is at.
        for path in ["/first?secret=1", "/second?secret=1"] {
            assert_eq!(ask_within(&balancer, path, &format!("00-{TRACE}-{PARENT}-00")), 200);
        }
        let (whole, spans) = collector.expect(|spans| {
            let rescued = ["/first", "/second"]
                .into_iter()
                .find_map(|path| exchange(spans, path).filter(|whole| children(spans, whole).len() == 3))?;
            Some((rescued, spans.to_vec()))
        });
        assert_eq!((&*whole.name, whole.kind()), ("GET default", SpanKind::Server), "{protocol}");
        assert_eq!([digits(&whole.trace_id), digits(&whole.parent_span_id)], [TRACE, PARENT]);
        let below = children(&spans, &whole);
        assert_eq!(names(&below), ["route", "GET backend-1", "GET backend-2"]);
        let [route, failed, answered] = below[..] else { panic!("{below:?}") };
        assert_eq!([route.kind(), failed.kind()], [SpanKind::Internal, SpanKind::Client]);
        assert_eq!(names(&children(&spans, failed)), ["connect"]);
        assert_eq!(names(&children(&spans, answered)), ["connect", "send", "wait", "relay"]);
        for span in &spans {
            assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
        }
        assert!(whole.start_time_unix_nano <= failed.start_time_unix_nano);
        assert!(failed.end_time_unix_nano <= answered.start_time_unix_nano);
        assert!(answered.end_time_unix_nano <= whole.end_time_unix_nano);
        // The backend is told the span of the attempt that reached it.
        let seen = well.requests();
        let path = said(&whole.attributes, "url.path").expect("the span has a path");
        let seen =
            seen.iter().find(|request| request.head.target().starts_with(&path)).expect("it was asked");
        let told = format!("00-{TRACE}-{}-01", digits(&answered.span_id));
        assert_eq!(seen.head.field("traceparent"), Some(&*told));
        assert_eq!(seen.head.field("tracestate"), Some("a=b"));
        assert_eq!(seen.head.field("host"), Some(&*well.address.to_string()));
        check_words(&whole, failed, answered, &well);
        let (sender, fields) = collector.sender();
        assert_eq!(said(&sender, "service.name").as_deref(), Some("plimsoll"));
        assert_eq!(said(&sender, "service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
        assert!(said(&sender, "service.instance.id").is_some_and(|id| id.len() == 36));
        assert!(fields.contains(&("x-scope-orgid".into(), "shop".into())), "{fields:?}");
    }
}

#[track_caller]
fn check_words(whole: &Span, failed: &Span, answered: &Span, well: &Backend) {
    let port = well.address.port().to_string();
    for (span, key, value) in [
        (whole, "http.request.method", "GET"),
        (whole, "http.response.status_code", "200"),
        (whole, "url.scheme", "http"),
        (whole, "client.address", "127.0.0.1"),
        (whole, "user_agent.original", "tests"),
        (whole, "plimsoll.upstream", "app"),
        (whole, "plimsoll.backend", "backend-2"),
        (failed, "error.type", "connect_refused"),
        (failed, "plimsoll.outcome", "connect_refused"),
        (answered, "plimsoll.outcome", "ok"),
        (answered, "http.request.resend_count", "1"),
        (answered, "http.response.status_code", "200"),
        (answered, "server.address", "127.0.0.1"),
        (answered, "server.port", &port),
    ] {
        assert_eq!(said(&span.attributes, key).as_deref(), Some(value), "{key} of {}", span.name);
    }
}

#[test]
fn what_failed_was_retried_or_slow_has_a_trace_though_no_other_has_one() {
    let collector = Collector::grpc();
    let backend = Backend::answering(|request| match request.head.target() {
        "/slow" => {
            pause(Duration::from_millis(2200));
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()
        }
        "/broken" => b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n".to_vec(),
        _ => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec(),
    });
    let setup = Setup::at([Backend::nobody(), backend.address]).upstream("outliers: off");
    let balancer =
        setup.top(&traces(&collector, "sample: 0%").replace("traces:", "slow: 2s, traces:")).start();
    // A stranger's flag is a claim that anybody can make.
    for _ in 0..4 {
        assert_eq!(ask_within(&balancer, "/usual", &format!("00-{TRACE}-{PARENT}-01")), 200);
    }
    assert_eq!(balancer.get("/slow").status(), 200);
    assert_eq!(balancer.get("/broken").status(), 503);
    collector.expect(|spans| exchange(spans, "/slow").and(exchange(spans, "/broken")));
    let spans = collector.spans();
    let usual = spans.iter().filter(|span| said(&span.attributes, "url.path").as_deref() == Some("/usual"));
    for span in usual {
        let tries =
            children(&spans, span).into_iter().filter(|child| child.kind() == SpanKind::Client).count();
        assert_eq!(tries, 2, "only what was retried has a trace: {span:?}");
    }
    eventually("a retried one, a slow one and a failed one are counted", || {
        balancer.metrics().sum("plimsoll_traces_exported_total", &[]) >= 3.0
    });
    // The trace is the one that the log and the backend know, begun here or not.
    let broken = exchange(&spans, "/broken").expect("it was there");
    assert!(broken.parent_span_id.is_empty());
    let seen = backend.requests().into_iter().find(|request| request.head.target() == "/broken");
    let seen = seen.and_then(|request| request.head.field("traceparent").map(str::to_owned));
    let told = seen.expect("the backend was told of the trace");
    assert!(
        told.starts_with(&format!("00-{}-", digits(&broken.trace_id))) && told.ends_with("-00"),
        "{told}"
    );
}

#[test]
fn who_is_trusted_decides_by_a_flag_and_an_invalid_trace_is_begun_anew() {
    let collector = Collector::grpc();
    let backend = Backend::saying("ok");
    let setup = Setup::over([&backend]).listener("forwarded: { trust: [127.0.0.0/8] }");
    let balancer = setup.top(&traces(&collector, "sample: 0%")).start();
    assert_eq!(ask_within(&balancer, "/chosen", &format!("00-{TRACE}-{PARENT}-01")), 200);
    assert_eq!(ask_within(&balancer, "/left", &format!("00-{TRACE}-{PARENT}-00")), 200);
    assert_eq!(ask_within(&balancer, "/invalid", &format!("00-{TRACE}-0000000000000000-01")), 200);
    collector.expect(|spans| exchange(spans, "/chosen"));
    let seen = backend.requests();
    let told = |at: usize| seen[at].head.field("traceparent").expect("it was told").to_owned();
    assert!(told(0).starts_with(&format!("00-{TRACE}-")) && told(0).ends_with("-01"), "{}", told(0));
    assert!(told(1).starts_with(&format!("00-{TRACE}-")) && told(1).ends_with("-00"), "{}", told(1));
    assert!(!told(2).contains(TRACE), "{}", told(2));
    assert_eq!(seen[2].head.field("tracestate"), None, "it belongs to a trace that nobody knows");
    balancer.expect_metric("plimsoll_requests_total", &[], 3.0);
    // Exported in their order, so that the others would have been there before.
    assert_eq!(ask_within(&balancer, "/end", &format!("00-{TRACE}-{PARENT}-01")), 200);
    collector.expect(|spans| exchange(spans, "/end"));
    let spans = collector.spans();
    assert!(exchange(&spans, "/left").is_none() && exchange(&spans, "/invalid").is_none());
}

#[test]
fn without_traces_nothing_about_them_is_touched() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).start();
    assert_eq!(ask_within(&balancer, "/", "no trace at all"), 200);
    assert_eq!(balancer.get("/").status(), 200);
    let seen = backend.requests();
    assert_eq!(seen[0].head.field("traceparent"), Some("no trace at all"));
    assert_eq!(seen[0].head.field("tracestate"), Some("a=b"));
    assert_eq!(seen[1].head.field("traceparent"), None);
}

#[test]
fn a_collector_that_is_dead_costs_nothing_but_counted_drops() {
    let backend = Backend::saying("ok");
    let collector = format!("collector: \"http://{}\"", Backend::nobody());
    let telemetry =
        format!("telemetry: {{ log: {{ format: json }}, traces: {{ {collector}, sample: 100% }} }}");
    let mut balancer = Setup::over([&backend]).top(&telemetry).start();
    for _ in 0..10 {
        assert_eq!(balancer.get("/").status(), 200);
    }
    balancer.expect_metric("plimsoll_requests_total", &[], 10.0);
    // Those of the start, at which names are looked up, besides.
    eventually("each trace is counted as lost", || {
        balancer.metrics().sum("plimsoll_traces_dropped_total", &["reason=\"export_failed\""]) >= 10.0
    });
    assert_eq!(balancer.metrics().sum("plimsoll_traces_exported_total", &[]), 0.0);
    let said = balancer.log().iter().filter(|line| line.contains("the collector takes no traces")).count();
    assert_eq!(said, 1, "said once, not for each");
    balancer.signal(Signal::TERM);
    assert!(balancer.wait().success());
}

#[test]
fn what_the_control_plane_does_is_told_and_nothing_is_lost_at_the_end() {
    let collector = Collector::grpc();
    let backend = Backend::saying("ok");
    let setup = Setup::over([&backend]).top(&traces(&collector, "sample: 100%"));
    let mut balancer = setup.start();
    balancer.reload(&setup.yaml());
    let reload = collector.expect(|spans| spans.iter().find(|span| span.name == "reload").cloned());
    let spans = collector.spans();
    assert_eq!(names(&children(&spans, &reload)), ["look_up"]);
    assert!(reload.events.iter().any(|event| event.name == "configuration reloaded"), "{reload:?}");
    assert!(balancer.ctl(&["drain", "app/backend-1"]).status.success());
    let drained = collector.expect(|spans| spans.iter().find(|span| span.name == "backend").cloned());
    assert_eq!(said(&drained.attributes, "operation").as_deref(), Some("drain"));
    assert_eq!(said(&drained.attributes, "backend").as_deref(), Some("backend-1"));
    balancer.get("/last");
    balancer.signal(Signal::TERM);
    assert!(balancer.wait().success());
    let spans = collector.spans();
    assert!(exchange(&spans, "/last").is_some(), "the last exchange was told before the process ended");
    assert!(spans.iter().any(|span| span.name == "drain"), "and its own drain");
}
