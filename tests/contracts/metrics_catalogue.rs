//! The catalogue of metrics: what its page says and what Prometheus' own linter thinks of a rendering.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use plimsoll::telemetry::{
    AttemptOutcome, BackendState, CheckResult, CodeClass, NoneAvailable, PageForm, RefusalReason,
    ReloadResult, RetryReason, Telemetry, TransitionCause, WorkerId, metrics_md,
};

use crate::tree;

const PAGE: &str = "monitoring/METRICS.md";

#[test]
fn the_page_about_metrics_is_the_catalogue() {
    let written = metrics_md();
    if std::env::var_os("BLESS").is_some() {
        let path = tree::root().join(PAGE);
        fs::create_dir_all(path.parent().expect("invariant: the page is in a directory"))
            .expect("can be created");
        fs::write(path, &written).expect("the page can be written");
    }
    let committed = tree::read(PAGE).text;
    let differs = committed.lines().zip(written.lines()).position(|(is, should)| is != should);
    let line = differs.unwrap_or(committed.lines().count().min(written.lines().count())) + 1;
    assert!(
        committed == written,
        "{PAGE}:{line} is not what the catalogue says; `just bless` writes it anew"
    );
}

#[test]
fn promtool_finds_nothing_to_improve_in_a_rendering() {
    let rendering = rendering_with_data();
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = started.unwrap_or_else(|error| {
        panic!(
            "promtool cannot be started ({error}): install Debian's package `prometheus`, which contains it"
        )
    });
    let mut stdin = promtool.stdin.take().expect("invariant: it is piped");
    stdin.write_all(rendering.as_bytes()).expect("promtool reads its input");
    drop(stdin);
    let done = promtool.wait_with_output().expect("promtool ends");
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(done.status.success() && said.trim().is_empty(), "promtool check metrics: {said}");
}

/// Renders the metrics of a process in which a little of everything has happened.
fn rendering_with_data() -> String {
    let telemetry = Telemetry::new(2);
    let (one, two) = (WorkerId(0), WorkerId(1));
    let backend = telemetry.backend("web", "backend-1");
    backend.show_state(BackendState::Up);
    backend.weight.set(1.0);
    backend.effective_weight.set(0.25);
    backend.inflight.inc();
    backend.checks.inc(CheckResult::Pass);
    backend.check_duration.record(Duration::from_millis(3));
    backend.record_transition(BackendState::Ejected, TransitionCause::Outlier, SystemTime::now());
    for worker in [one, two] {
        let shard = backend.shard(worker);
        shard.requests.inc(200);
        shard.requests.inc(418);
        shard.attempts.inc(AttemptOutcome::Reset);
        shard.retries.inc(RetryReason::Reset);
        shard.rescues.inc();
        shard.request_duration.record(Duration::from_micros(730));
        shard.response_wait.record(Duration::from_secs(60));
        shard.received_bytes.add(1 << 40);
    }
    let upstream = telemetry.upstream("web");
    upstream.available.set(1);
    upstream.none_available.inc(NoneAvailable::FailOpen);
    let listener = telemetry.listener("main");
    listener.shard(one).refused.inc(RefusalReason::BadHeader);
    listener.shard(two).added_duration.record(Duration::from_micros(12));
    listener.unrouted(one).inc(400);
    let route = telemetry.route("all");
    route.shard(two).requests.inc(CodeClass::Success);
    telemetry.process().record_reload(ReloadResult::Ok, SystemTime::now());
    telemetry.process().worker_started(one);
    telemetry.render(PageForm::Classic)
}
