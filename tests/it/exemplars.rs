//! Exemplars: a bucket of the latency histogram leads to a trace that the collector has, and from there to the log.

use tempfile::{NamedTempFile, TempDir};

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::collector::{Collector, digits, said};
use crate::harness::metrics::promtool;
use crate::harness::prometheus::{Pace, Prometheus, Pushgateway};
use crate::harness::setup::Setup;
use crate::harness::wire::{Message, Wire};
use crate::harness::{eventually, eventually_ok};

/// What a scraper that accepts this gets.
fn scrape(balancer: &Balancer, accept: &str) -> Message {
    let head =
        format!("GET /metrics HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\nconnection: close\r\n\r\n");
    Wire::connect(balancer.admin).exchange(head)
}

/// Pushes metrics of every kind, some of which OpenMetrics knows by another name or not at all, for the job of which
/// `monitoring/prometheus.yml` keeps what it scrapes here.
#[track_caller]
fn push(balancer: &Balancer) {
    let page = "# TYPE jobs counter\njobs 1\n# TYPE done_total counter\ndone_total 2\nplain 3\n\
                # TYPE took histogram\ntook_bucket{le=\"1\"} 1\ntook_bucket{le=\"+Inf\"} 2\ntook_sum 3\ntook_count 2\n\
                # TYPE size summary\nsize{quantile=\"1\"} 4\nsize_sum 4\nsize_count 1\n";
    let head = "PUT /metrics/job/plimsoll HTTP/1.1\r\nhost: localhost\r\nconnection: close";
    let answer = Wire::connect(balancer.admin)
        .exchange(format!("{head}\r\ncontent-length: {}\r\n\r\n{page}", page.len()));
    assert_eq!(answer.status(), 200, "{}", answer.text());
}

#[test]
fn a_bucket_leads_to_its_trace_and_to_the_line_of_the_log() {
    let collector = Collector::grpc();
    let backends = ["one", "two", "three"].map(Backend::saying);
    let log = NamedTempFile::new().expect("a temporary file can be made");
    let telemetry = format!(
        "telemetry: {{ log: {{ format: json }}, access_log: {{ mode: on, path: \"{}\" }}, \
         traces: {{ collector: \"http://{}\", sample: 100% }} }}",
        log.path().display(),
        collector.address
    );
    // What is pushed once must be there for as long as Prometheus takes to come up.
    let admin = "admin: { address: \"127.0.0.1:0\", push: { expiry: 1h } }";
    let balancer = Setup::over(&backends).top(&telemetry).top(admin).start();
    push(&balancer);
    assert_eq!(balancer.get("/traced").status(), 200);
    let path = Some("/traced".to_owned());
    let told = collector.expect(|spans| {
        spans
            .iter()
            .find(|span| said(&span.attributes, "url.path") == path)
            .map(|span| digits(&span.trace_id))
    });
    eventually("the exemplar is shown once the collector has the trace", || {
        scrape(&balancer, "application/openmetrics-text").text().contains(&format!("trace_id=\"{told}\""))
    });
    let open = scrape(&balancer, "application/openmetrics-text; version=1.0.0");
    let kind = open.head.field("content-type");
    assert_eq!(kind, Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(open.text().ends_with("\n# EOF\n") && open.text().matches("# EOF").count() == 1);
    let classic = scrape(&balancer, "*/*");
    assert_eq!(classic.head.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(!classic.text().contains("trace_id") && !classic.text().contains("# EOF"));
    // What was pushed is named by its pushers, as it may be.
    let own: String =
        classic.text().split_inclusive('\n').filter(|line| line.contains("plimsoll_")).collect();
    let (is_valid, words) = promtool(own.as_bytes());
    assert!(is_valid, "{words}");

    let folder = TempDir::new().expect("a folder can be made");
    let pushgateway = Pushgateway::start(&folder);
    let nobody = Backend::nobody();
    let mut targets = vec![("plimsoll", balancer.admin)];
    targets.extend(["backend-1", "backend-2", "backend-3"].map(|name| (name, nobody)));
    let prometheus = Prometheus::start(&folder, pushgateway, &targets, Pace::EverySecond);
    let bucket = "plimsoll_request_duration_seconds_bucket";
    prometheus.expect_page(&format!("query_exemplars?query={bucket}&start=0&end=9999999999"), |data| {
        let found = data.as_array().into_iter().flatten();
        let mut exemplars = found.flat_map(|series| series["exemplars"].as_array().into_iter().flatten());
        let is_there = exemplars.any(|exemplar| exemplar["labels"]["trace_id"] == told.as_str());
        is_there.then_some(()).ok_or_else(|| format!("no exemplar of {told}: {data}"))
    });
    prometheus.expect("up{job=\"plimsoll\"} == 1", 1);
    for pushed in ["jobs", "done_total", "plain", "took_bucket{le=\"1.0\"}", "size{quantile=\"1.0\"}"] {
        prometheus.expect(pushed, 1);
    }
    prometheus.expect("plimsoll_requests_total{code=\"200\"}", 3);
    let line = eventually_ok(|| {
        let lines = std::fs::read_to_string(log.path()).unwrap_or_default();
        let line = lines.lines().find(|line| line.contains("\"/traced\"")).map(str::to_owned);
        line.ok_or_else(|| format!("the line is written: {lines}"))
    });
    assert!(line.contains(&format!("\"trace_id\":\"{told}\"")), "{line}");
}
