use super::*;
use crate::telemetry::{
    AttemptOutcome, BackendState, PageForm, Telemetry, TransitionCause, WorkerId, catalogue,
};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

/// Adds up the values of all samples whose line starts so.
fn sum(text: &str, start: &str) -> f64 {
    let values =
        text.lines().filter(|line| line.starts_with(start)).filter_map(|line| line.rsplit(' ').next());
    values.map(|value| value.parse::<f64>().expect("a sample ends in a number")).sum()
}

/// The names of the labels in a line; their values have no quotes in them.
fn labels(line: &str) -> Vec<&str> {
    let labels =
        line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(labels, _)| labels);
    let parts = labels.split('"').step_by(2).filter_map(|part| part.strip_suffix('='));
    parts.map(|name| name.trim_start_matches(',')).collect()
}

#[test]
fn what_is_exported_is_exactly_the_catalogue() {
    let listed: BTreeSet<_> = catalogue::ALL.iter().map(|metric| metric.name).collect();
    let sourced: BTreeSet<_> = ORDER.iter().map(|(metric, _)| metric.name).collect();
    assert_eq!(listed, sourced);
    assert_eq!(ORDER.len(), catalogue::ALL.len(), "a metric has two sources");

    let telemetry = Telemetry::new(1);
    let held = (
        telemetry.backend("web", "b"),
        telemetry.upstream("web"),
        telemetry.listener("in"),
        telemetry.route("all"),
        telemetry.tcp("web", Some("b")),
    );
    telemetry.process().worker_started(WorkerId(0));
    let text = telemetry.render(PageForm::Classic);
    let mut lines = text.lines().peekable();
    let mut exported = Vec::new();
    while let Some(head) = lines.next() {
        let (name, help) =
            head.strip_prefix("# HELP ").and_then(|head| head.split_once(' ')).expect("a head");
        let metric = catalogue::ALL.iter().find(|metric| metric.name == name).expect("it is listed");
        assert_eq!(help, metric.help);
        assert_eq!(lines.next(), Some(&*format!("# TYPE {name} {}", metric.kind.as_str())));
        let mut samples = 0;
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let is_bucket = metric.kind == catalogue::Kind::Histogram && line.contains("_bucket{");
            let own = [metric.labels, if is_bucket { &["le"] } else { &[] }].concat();
            assert_eq!(labels(line), own, "{line}");
            samples += 1;
        }
        assert!(samples > 0, "{name} has a head and no samples");
        exported.push(name);
    }
    assert!(exported.is_sorted(), "in the order of names: {exported:?}");
    assert_eq!(listed, exported.iter().copied().collect());
    assert_eq!(listed.len(), exported.len(), "a metric comes twice");
    drop(held);
}

#[test]
fn every_answer_is_in_the_sum_of_requests_also_without_a_backend() {
    let telemetry = Telemetry::new(2);
    let backend = telemetry.backend("web", "backend-1");
    let upstream = telemetry.upstream("web");
    let listener = telemetry.listener("main");
    backend.shard(WorkerId(0)).requests.inc(200);
    backend.shard(WorkerId(1)).requests.inc(299);
    upstream.shard(WorkerId(1)).requests_no_backend.inc(503);
    listener.unrouted(WorkerId(0)).inc(400);
    let text = telemetry.render(PageForm::Classic);
    assert_eq!(sum(&text, "plimsoll_requests_total{"), 4.0);
    assert!(text.contains(r#"plimsoll_requests_total{upstream="web",backend="none",code="503"} 1"#));
    assert!(text.contains(r#"plimsoll_requests_total{upstream="none",backend="none",code="400"} 1"#));
    drop(listener);
    assert_eq!(
        sum(&telemetry.render(PageForm::Classic), "plimsoll_requests_total{"),
        4.0,
        "a listener left and took answers along"
    );
}

#[test]
fn a_known_backend_is_shown_with_zeros_until_nobody_holds_it() {
    let telemetry = Telemetry::new(2);
    let backend = telemetry.backend("web", "backend-1");
    let text = telemetry.render(PageForm::Classic);
    for code in [200, 404, 500, 502, 503, 504] {
        let line =
            format!(r#"plimsoll_requests_total{{upstream="web",backend="backend-1",code="{code}"}} 0"#);
        assert!(text.lines().any(|shown| shown == line), "{line}");
    }
    assert!(text.contains(r#"plimsoll_backend_up{upstream="web",backend="backend-1"} 0"#));
    assert!(text.contains(
        r#"plimsoll_request_duration_seconds_bucket{upstream="web",backend="backend-1",le="0.0001"} 0"#
    ));
    let again = telemetry.backend("web", "backend-1");
    drop(backend);
    assert!(telemetry.render(PageForm::Classic).contains("backend-1"));
    drop(again);
    assert!(!telemetry.render(PageForm::Classic).contains("backend-1"));
}

#[test]
fn a_backend_that_is_over_is_not_shown_though_somebody_holds_it() {
    let telemetry = Telemetry::new(1);
    let held = (telemetry.backend("web", "b"), telemetry.tcp("web", Some("b")), telemetry.tcp("web", None));
    let lines = || {
        let text = telemetry.render(PageForm::Classic);
        (text.matches("backend=\"b\"").count(), text.matches("plimsoll_tcp_connections_total{").count())
    };
    let (of_it, relayed) = lines();
    assert!(of_it > 0 && relayed > 0, "{of_it} {relayed}");
    held.0.end();
    assert_eq!(lines(), (0, relayed / 2), "those that no backend got stay");
    let again = telemetry.backend("web", "b");
    assert_eq!(lines(), (of_it, relayed));
    drop(again);
}

#[test]
fn a_transition_is_visible_with_state_cause_and_time() {
    let telemetry = Telemetry::new(1);
    let backend = telemetry.backend("web", "backend-1");
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
    backend.record_transition(BackendState::Ejected, TransitionCause::Outlier, at);
    let text = telemetry.render(PageForm::Classic);
    let labels = r#"upstream="web",backend="backend-1""#;
    for line in [
        format!(r#"plimsoll_backend_transitions_total{{{labels},state="ejected",cause="outlier"}} 1"#),
        format!("plimsoll_backend_state{{{labels}}} 4"),
        format!("plimsoll_backend_last_transition_timestamp_seconds{{{labels}}} 1700000000.25"),
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}");
    }
}

#[test]
fn names_from_the_configuration_cannot_break_the_format() {
    let telemetry = Telemetry::new(1);
    let _backend = telemetry.backend("we\"b\n", "back\\slash");
    assert!(
        telemetry
            .render(PageForm::Classic)
            .contains(r#"plimsoll_backend_up{upstream="we\"b\n",backend="back\\slash"} 0"#)
    );
}

#[test]
fn two_renderings_of_the_same_state_are_equal() {
    let telemetry = Telemetry::new(2);
    let held: Vec<_> = (0..20).map(|n| telemetry.backend("web", &format!("backend-{n}"))).collect();
    held[3].shard(WorkerId(1)).attempts.inc(AttemptOutcome::Reset);
    let ours = || {
        let text = telemetry.render(PageForm::Classic);
        text.lines().filter(|line| !line.contains("process_")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ours(), ours());
}

#[test]
fn a_metric_without_a_sample_leaves_no_head() {
    let text = Telemetry::new(1).render(PageForm::Classic);
    assert!(!text.contains("plimsoll_backend_up"), "there is no backend");
    assert!(text.contains("# TYPE plimsoll_ready gauge\nplimsoll_ready 0\n"), "{text}");
}

#[test]
fn a_page_is_given_away_in_pieces_of_bounded_size_until_nobody_wants_more() {
    let telemetry = Telemetry::new(2);
    let held: Vec<_> = (0..500).map(|n| telemetry.backend("web", &format!("backend-{n}"))).collect();
    let (mut page, mut sizes) = (String::new(), Vec::new());
    telemetry.render_piecewise(PageForm::Classic, &mut |piece| {
        // Also what a piece has allocated: it is not grown, and so not copied, while it is filled.
        sizes.push(piece.capacity());
        page.push_str(&piece);
        true
    });
    let largest = sizes.iter().max().copied().unwrap_or_default();
    assert!(sizes.len() > 50 && largest <= 72 * 1024, "{} pieces of at most {largest}", sizes.len());
    assert!(page.ends_with('\n') && page.lines().count() > 50_000);

    let mut pieces = 0;
    telemetry.render_piecewise(PageForm::Classic, &mut |_| {
        pieces += 1;
        pieces < 3
    });
    assert_eq!(pieces, 3);
    drop(held);
}

#[test]
fn a_scrape_of_a_thousand_backends_is_quick() {
    let telemetry = Telemetry::new(2);
    let held: Vec<_> = (0..1000).map(|n| telemetry.backend("web", &format!("backend-{n}"))).collect();
    for (n, backend) in held.iter().enumerate() {
        let shard = backend.shard(WorkerId(n % 2));
        (0..n as u64).for_each(|us| shard.request_duration.record(Duration::from_micros(us * 97)));
        shard.requests.inc(200);
    }
    let render = || {
        let started = tokio::time::Instant::now();
        let lines = telemetry.render(PageForm::Classic).lines().count();
        assert!(lines > 100_000, "{lines} lines");
        started.elapsed()
    };
    // Unoptimised code is an order of magnitude slower; what this must notice there is a step of quadratic time. On a
    // busy machine one undisturbed try is enough.
    let limit = Duration::from_millis(if cfg!(debug_assertions) { 1_000 } else { 25 });
    let tries: Vec<_> = std::iter::repeat_with(render).take(20).take_while(|took| *took > limit).collect();
    assert!(tries.len() < 20, "{tries:?}");
}
