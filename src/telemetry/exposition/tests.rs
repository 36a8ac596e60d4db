use super::*;
use crate::telemetry::{AttemptOutcome, BackendState, Telemetry, TransitionCause, WorkerId, catalogue};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

/// Adds up the values of all samples whose line starts so.
fn sum(text: &str, start: &str) -> f64 {
    let values =
        text.lines().filter(|line| line.starts_with(start)).filter_map(|line| line.rsplit(' ').next());
    values.map(|value| value.parse::<f64>().expect("a sample ends in a number")).sum()
}

#[test]
fn what_is_exported_is_exactly_the_catalogue() {
    let listed: BTreeSet<_> = catalogue::ALL.iter().map(|metric| metric.name).collect();
    let sources: Vec<_> =
        families::FAMILIES.iter().map(|(metric, _)| *metric).chain(process::listed()).collect();
    let sourced: BTreeSet<_> = sources.iter().map(|metric| metric.name).collect();
    assert_eq!(listed, sourced);
    assert_eq!(sources.len(), catalogue::ALL.len(), "a metric has two sources");

    let telemetry = Telemetry::new(1);
    let held = (
        telemetry.backend("web", "b"),
        telemetry.upstream("web"),
        telemetry.listener("in"),
        telemetry.route("all"),
    );
    telemetry.process().worker_started(WorkerId(0));
    let families = telemetry.registry.gather();
    let exported: BTreeSet<_> = families.iter().map(|family| family.name()).collect();
    assert_eq!(listed, exported);
    for family in &families {
        let metric = catalogue::ALL.iter().find(|metric| metric.name == family.name()).expect("it is listed");
        assert_eq!(family.help(), metric.help);
        for sample in family.get_metric() {
            let labels: Vec<_> = sample.get_label().iter().map(|pair| pair.name()).collect();
            assert_eq!(labels, metric.labels, "{}", metric.name);
        }
    }
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
    let text = telemetry.render();
    assert_eq!(sum(&text, "plimsoll_requests_total{"), 4.0);
    assert!(text.contains(r#"plimsoll_requests_total{upstream="web",backend="none",code="503"} 1"#));
    assert!(text.contains(r#"plimsoll_requests_total{upstream="none",backend="none",code="400"} 1"#));
    drop(listener);
    assert_eq!(
        sum(&telemetry.render(), "plimsoll_requests_total{"),
        4.0,
        "a listener left and took answers along"
    );
}

#[test]
fn a_known_backend_is_shown_with_zeros_until_nobody_holds_it() {
    let telemetry = Telemetry::new(2);
    let backend = telemetry.backend("web", "backend-1");
    let text = telemetry.render();
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
    assert!(telemetry.render().contains("backend-1"));
    drop(again);
    assert!(!telemetry.render().contains("backend-1"));
}

#[test]
fn a_transition_is_visible_with_state_cause_and_time() {
    let telemetry = Telemetry::new(1);
    let backend = telemetry.backend("web", "backend-1");
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
    backend.record_transition(BackendState::Ejected, TransitionCause::Outlier, at);
    let text = telemetry.render();
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
        telemetry.render().contains(r#"plimsoll_backend_up{upstream="we\"b\n",backend="back\\slash"} 0"#)
    );
}

#[test]
fn two_renderings_of_the_same_state_are_equal() {
    let telemetry = Telemetry::new(2);
    let held: Vec<_> = (0..20).map(|n| telemetry.backend("web", &format!("backend-{n}"))).collect();
    held[3].shard(WorkerId(1)).attempts.inc(AttemptOutcome::Reset);
    let ours = || {
        let text = telemetry.render();
        text.lines().filter(|line| !line.contains("process_")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ours(), ours());
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
        let lines = telemetry.render().lines().count();
        assert!(lines > 100_000, "{lines} lines");
        started.elapsed()
    };
    // Unoptimised code is an order of magnitude slower; what this must notice there is a step of quadratic time. On a
    // busy machine one undisturbed try is enough.
    let limit = Duration::from_millis(if cfg!(debug_assertions) { 3_000 } else { 50 });
    let tries: Vec<_> = std::iter::repeat_with(render).take(20).take_while(|took| *took > limit).collect();
    assert!(tries.len() < 20, "{tries:?}");
}
