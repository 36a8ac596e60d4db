use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::reading::Traffic;

/// The series of an agent that has seen a little of everything.
fn with_everything() -> Metrics {
    let metrics = Metrics::new("host");
    let traffic = Some(Traffic::default());
    let reading = Reading {
        cpu: Duration::from_secs(1),
        capacity_cores: 1.0,
        cores: vec![(0, Duration::from_secs(1))],
        memory_bytes: Some(1),
        memory_limit_bytes: Some(1),
        network: traffic,
        disk: traffic,
        load: Some([0.5; 3]),
    };
    let growth = Growth { cpu: Duration::from_secs(1), network: traffic, disk: traffic };
    metrics.show(&reading, &growth, Some(&Usage { percent: 50.0, cores: vec![(0, 50.0)] }));
    metrics.pushes_to("http://pushgateway:9091").count_accepted();
    metrics
}

/// Writes the page about the metrics from a rendering.
fn page(rendered: &str, pushed: &str) -> String {
    let mut page = "\
# Metrics of the agent

What `backend-agent` exports at `/metrics`, and which of it `--push` pushes. This page is written from
`backend-agent/src/metrics/`; `just bless` writes it anew after a change there.

What holds only while the target is there has no series while it is not; what nobody counts for a kind of target has none
at all. `cpu_usage` is pushed without a type, as scripts push it.

With its defaults an agent costs at most 0.5 % of a core and 15 MB of memory (`backend-agent/tests/it/cost.rs`). More only
for the source `process` with some hundred descendants: each of them is looked at every second.

| metric | kind | labels | what it says | pushed |
|---|---|---|---|---|
"
    .to_owned();
    let label = regex::Regex::new(r#"(\w+)=""#).unwrap();
    for (at, line) in rendered.lines().enumerate() {
        let Some(help) = line.strip_prefix("# HELP ") else { continue };
        let (name, help) = help.split_once(' ').unwrap();
        let mut after = rendered.lines().skip(at + 1);
        let kind = after.next().unwrap().rsplit(' ').next().unwrap();
        let labels: Vec<_> =
            label.captures_iter(after.next().unwrap()).map(|found| format!("`{}`", &found[1])).collect();
        let pushed = pushed.lines().any(|line| line.starts_with(name));
        let pushed = if pushed { "yes" } else { "no" };
        writeln!(page, "| `{name}` | {kind} | {} | {help} | {pushed} |", labels.join(", ")).unwrap();
    }
    page
}

#[test]
fn the_page_about_the_metrics_tells_them_as_they_are() {
    let metrics = with_everything();
    let text = |rendered: Vec<u8>| String::from_utf8(rendered).unwrap();
    let written = page(&text(metrics.render()), &text(metrics.render_push()));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("METRICS.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == written, "METRICS.md is not what the agent exports; `just bless` writes it anew");
}

#[test]
fn what_is_pushed_is_what_a_script_pushes_and_more_of_the_target() {
    let pushed = String::from_utf8(with_everything().render_push()).unwrap();
    assert!(pushed.ends_with("\ncpu_usage 50\n"), "{pushed}");
    assert!(!pushed.contains("# TYPE cpu_usage"), "{pushed}");
    let all = String::from_utf8(with_everything().render()).unwrap();
    assert!(all.contains("\n# TYPE cpu_usage gauge\ncpu_usage 50\n"), "{all}");
}
