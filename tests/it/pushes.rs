//! Pushed metrics: whoever can push to a Pushgateway can push to the balancer, and finds the same there; until it stops.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::harness::balancer::Balancer;
use crate::harness::setup::Setup;
use crate::harness::wire::{Message, Wire};
use crate::harness::{eventually, free_address};

/// The real one, from Debian's packages. It is ended when it is dropped.
struct Pushgateway {
    process: Child,
    address: SocketAddr,
}

impl Pushgateway {
    fn start() -> Self {
        let address = free_address();
        let process = Command::new("prometheus-pushgateway")
            .arg(format!("--web.listen-address={address}"))
            // Debian's default is a file that other runs would find again.
            .arg("--persistence.file=")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus-pushgateway is installed (Debian's package of that name); ./check does it");
        let gateway = Self { process, address };
        eventually("the Pushgateway listens", || std::net::TcpStream::connect(address).is_ok());
        gateway
    }
}

impl Drop for Pushgateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends a request with a body. None when the connection ends without an answer.
fn send(to: SocketAddr, method: &str, path: &str, body: &str) -> Option<Message> {
    let head = format!("{method} {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n");
    Wire::connect(to).try_exchange(format!("{head}content-length: {}\r\n\r\n{body}", body.len()))
}

/// What a page shows of pushed metrics, in any order: numbers as numbers, and times as whether there was one.
fn exposed(at: SocketAddr) -> BTreeSet<String> {
    let page = send(at, "GET", "/metrics", "").expect("a page");
    let lines = page.text().lines().filter(|line| {
        let line = line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ");
        !["go_", "process_", "pushgateway_", "promhttp_", "plimsoll_"].iter().any(|own| line.starts_with(own))
    });
    let normal = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap_or((line, ""));
        match value.parse::<f64>() {
            Ok(value) if series.starts_with("push_") && value > 0.0 => format!("{series} some time"),
            Ok(value) => format!("{series} {value}"),
            Err(_) => line.to_owned(),
        }
    };
    lines.map(normal).collect()
}

/// Sends each request to both, and asserts that they answer and show the same.
fn side_by_side(requests: &[(&str, &str, &str)]) {
    let (gateway, balancer) = (Pushgateway::start(), Setup::at([free_address()]).start());
    for (method, path, body) in requests {
        let what = format!("{method} {path} {body:?}");
        let ours = send(balancer.admin, method, path, body).expect("an answer");
        // Debian's 1.11.0 breaks off where it should say that metrics are inconsistent: it fails to log that.
        if let Some(theirs) = send(gateway.address, method, path, body) {
            assert_eq!(ours.status(), theirs.status(), "{what}: {:?} or {:?}", ours.text(), theirs.text());
            assert_eq!(in_words(ours.text()), in_words(theirs.text()), "{what}");
        } else {
            assert_eq!(in_words(ours.text()), INCONSISTENT, "{what}");
        }
        assert_eq!(exposed(balancer.admin), exposed(gateway.address), "after {what}");
    }
}

const INCONSISTENT: &str = "pushed metrics are invalid or inconsistent with existing metrics: ";

/// The words of an answer; what contradicts what is said there in terms of Go.
fn in_words(text: &str) -> &str {
    if text.starts_with(INCONSISTENT) { INCONSISTENT } else { text }
}

const JOB: &str = "/metrics/job/j";

#[test]
fn groups_live_as_at_a_pushgateway() {
    let (a, b) = ("/metrics/job/a", "/metrics/job/a/instance/b");
    side_by_side(&[
        ("POST", "/metrics/job/cpu_usage/instance/backend-1", "cpu_usage 7\n"),
        ("PUT", a, "# HELP c words \\\\ and\\nlines\n# TYPE c counter\nc 1\nd{x=\"1\"} 1\nd{x=\"2\"} 2\n"),
        ("POST", a, "d{x=\"1\"} 3\ne 4\n"),
        ("POST", a, ""),
        ("PUT", b, "e 5\ne{instance=\"of the body\",job=\"too\",y=\"1\"} 6\n"),
        ("PUT", a, "f 7\n"),
        ("PUT", a, "# TYPE f gauge\nf 8\n"),
        ("PUT", a, "f 9"),
        ("PUT", a, "f 9 1700000000000\n"),
        ("POST", a, "f 10\n"),
        ("PUT", a, ""),
        ("DELETE", a, ""),
        ("DELETE", a, ""),
        ("PUT", "/metrics/job/new", "a 1 5\n"),
        ("PUT", "/metrics/job/newer", "a 1"),
        ("POST", "/metrics/job/newest", ""),
        ("DELETE", "/metrics/job/new", ""),
        ("DELETE", b, ""),
    ]);
}

#[test]
fn paths_mean_what_they_mean_to_a_pushgateway() {
    let a = "a 1\n";
    side_by_side(&[
        ("PUT", "/metrics/job/j/", a),
        ("DELETE", "/metrics/job/j", ""),
        ("PUT", "/metrics/job/j/instance/", "a{instance=\"of the body\"} 1\n"),
        ("DELETE", "/metrics/job/j/instance@base64/=", ""),
        ("PUT", "/metrics/job/j/a/1/a/2", a),
        ("PUT", "/metrics/job/j/job/k", a),
        ("PUT", "/metrics/job/j/_x/%20y%22", a),
        ("PUT", "/metrics/job/j/x/%C3%A4?query", a),
        ("PUT", "/metrics/job@base64/Lw==", a),
        ("PUT", "/metrics/job%40base64/YQ", a),
        ("PUT", "/metrics/job/j/path@base64/L3Zhci90bXA", a),
        ("PUT", "/metrics/job/j/path@base64/=", a),
        ("PUT", "/metrics/job/j/path@base64/!!", a),
        ("PUT", "/metrics/job/j/x@base64/YWJjZ", a),
        ("PUT", "/metrics/job@base64/=", a),
        ("PUT", "/metrics/job/j/instance", a),
        ("PUT", "/metrics/job/j/instance/i/", a),
        ("DELETE", "/metrics/job/j/instance", ""),
        ("PUT", "/metrics/job/j/x/a%2Fb", a),
        ("PUT", "/metrics/job/j/1x/y", a),
        ("PUT", "/metrics/job/j/__x/y", a),
        ("PUT", "/metrics/job/j/x-y/z", a),
        ("PUT", "/metrics/job/j/__name__/z", a),
    ]);
    let (gateway, balancer) = (Pushgateway::start(), Setup::at([free_address()]).start());
    for (method, path) in
        [("PUT", "/metrics/job"), ("PUT", "/metrics/jobs/j"), ("GET", JOB), ("PUT", "/metrics")]
    {
        let status = |at| send(at, method, path, a).map(|answer| answer.status());
        assert_eq!(status(balancer.admin), status(gateway.address), "{method} {path}");
    }
}

#[test]
fn a_body_is_read_as_by_a_pushgateway() {
    let bodies = [
        "a NaN\nb +Inf\nc -infinity\nd 1e3\ne 123456789\nf 1e-7\ng .5\nh 5.\ni +5\nj -1.5e-3\n",
        "  a 1\nb\t\t1\n\n#\n# hi\nc{ x = \"1\" , y=\"2\", } 1\nd {}1\n  ",
        "a{x=\"q\\\"b\\\\n\\nz\"} 1\nb{x=\"\"} 1\nb 2\n_c{_=\"\u{e4}\"} 3\nd:e 4\n",
        "# HELP a  two  spaces \n#TYPE a GAUGE\na 1\n# TYPE b \nb 2\n# HELP c\nc 3\n# TYPE d counter\n",
        "# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"1e2\"} 1\nh_sum NaN\nh_count 2\n",
        "# TYPE h histogram\nh_bucket{le=\"1\",x=\"a\"} 1\nh_bucket{x=\"a\",le=\"+Inf\"} 2\nh_sum{x=\"b\"} 1\nh_count{x=\"b\"} 7\n",
        "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns{quantile=\"0.9\"} 2\ns_sum 3\ns_count 2\ns_bucket 5\n",
        "# TYPE h histogram\nh 1\n# TYPE s summary\ns 1\n",
        "# TYPE push_time_seconds counter\npush_time_seconds 3\n",
        "a 1",
        "#",
        "# TYPE a gauge",
        "a{x=\"",
        "1a 1\n",
        "a\n",
        "a x\n",
        "a 1\r\n",
        "a 1 \n",
        "a 1 x\n",
        "a 1 1 1\n",
        "a 0x10\n",
        "a 1e400\n",
        "a -nan\n",
        "a{x=1} 1\n",
        "a{x=\"1} 1\n",
        "a{x=\"1\" y=\"2\"} 1\n",
        "a{x=\"1\",x=\"2\"} 1\n",
        "a{x=\"\\t\"} 1\n",
        "a{x:y=\"1\"} 1\n",
        "a{,} 1\n",
        "a{__name__=\"x\"} 1\n",
        "# TYPE a bogus\na 1\n",
        "# TYPE a gauge \na 1\n",
        "# TYPE a-b gauge\na 1\n",
        "a 1\n# TYPE a gauge\n",
        "# HELP a x\n# HELP a y\na 1\n",
        "# HELP a \\t\na 1\n",
        "# TYPE h histogram\nh_bucket{le=\"x\"} 1\n",
        "a 1 # {x=\"1\"} 2\n",
    ];
    side_by_side(&bodies.map(|body| ("PUT", JOB, body)));
}

#[test]
fn what_is_inconsistent_is_so_to_a_pushgateway() {
    let (a, b) = ("/metrics/job/a", "/metrics/job/b");
    side_by_side(&[
        ("PUT", a, "a 1\nb 1\na 2\n"),
        ("PUT", a, "a{x=\"1\",} 1\na{x=\"1\"} 1\n"),
        ("PUT", a, "# TYPE a histogram\na_sum{job=\"1\"} 1\na_sum{job=\"2\"} 1\n"),
        ("PUT", a, "a{__x=\"1\"} 1\n"),
        ("PUT", a, "h_count 3\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\n"),
        ("PUT", "/metrics/job/a/quantile/1", "# TYPE s summary\ns{quantile=\"0.5\"} 1\n"),
        ("PUT", a, "# TYPE c counter\nc 1\n# TYPE h histogram\nh_sum 1\n"),
        ("PUT", b, "# TYPE c gauge\nc 1\n"),
        ("PUT", b, "c 1\n"),
        ("PUT", b, "h_count 1\n"),
        ("PUT", b, "# TYPE c counter\nc 2\n"),
        ("PUT", a, "# TYPE c gauge\nc 1\n"),
        ("DELETE", b, ""),
        ("POST", a, "# TYPE c gauge\nc 1\n"),
        ("PUT", a, "m{instance=\"x\"} 1\nm{zone=\"z\"} 1\n"),
        ("PUT", "/metrics/job/a/instance/x", "m 1\n"),
        ("POST", "/metrics/job/a/zone/z", "m 1\n"),
        ("PUT", "/metrics/job/a/instance/y", "m 1\n"),
    ]);
}

/// What the script does that this program took as its example: see `cpu_usage.sh` of many a course on load balancing.
fn push_as_a_script_does(balancer: &Balancer, cpu_usage: &str, backend: &str) {
    let url = format!("http://{}/metrics/job/cpu_usage/instance/{backend}", balancer.admin);
    let script =
        format!("echo \"cpu_usage {cpu_usage}\" | curl --no-progress-meter -fsS --data-binary @- {url}");
    let done = Command::new("sh").args(["-c", &script]).output().expect("there is a shell");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success() && done.stdout.is_empty(),
        "curl (Debian's package; ./check installs it): {said}"
    );
}

#[test]
fn a_script_of_one_line_can_push() {
    let balancer = Setup::at([free_address()]).start();
    push_as_a_script_does(&balancer, "7", "backend-1");
    push_as_a_script_does(&balancer, "12.5", "backend-2");
    push_as_a_script_does(&balancer, "8", "backend-1");
    let metrics = balancer.metrics();
    let labels = |backend: &str| format!("{{instance=\"{backend}\",job=\"cpu_usage\"}}");
    for line in
        [format!("cpu_usage{} 8", labels("backend-1")), format!("cpu_usage{} 12.5", labels("backend-2"))]
    {
        assert!(metrics.text.lines().any(|shown| shown == line), "{line}");
    }
    assert_eq!(metrics.sum("plimsoll_pushes_total", &["result=\"ok\""]), 3.0);
    let listed = balancer.ask_admin("/api/v1/pushes");
    let listed: serde_json::Value = serde_json::from_slice(&listed.body).expect("JSON");
    assert_eq!(listed["groups"].as_array().map(Vec::len), Some(2), "{listed}");
}

#[test]
fn what_nobody_renews_is_gone_in_time() {
    let admin = "admin: { address: \"127.0.0.1:0\", push: { expiry: 300ms } }";
    let balancer = Setup::at([free_address()]).top(admin).start();
    send(balancer.admin, "PUT", JOB, "a 1\n");
    eventually("the group is gone", || !balancer.metrics().has("a", &[]));
    balancer.expect_metric("plimsoll_push_groups_expired_total", &[], 1.0);
    balancer.expect_metric("plimsoll_push_groups", &[], 0.0);
    assert!(!balancer.metrics().has("push_time_seconds", &[]), "and nothing is said of it any more");
}

#[test]
fn prometheus_finds_nothing_wrong_with_a_page_of_pushed_metrics() {
    let balancer = Setup::at([free_address()]).start();
    let body = "# HELP h A histogram.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 3\nh_count 2\n\
                # HELP c_total A counter.\n# TYPE c_total counter\nc_total{x=\"\\\"\"} 1\n";
    for instance in ["1", "2"] {
        let answer = send(balancer.admin, "PUT", &format!("{JOB}/instance/{instance}"), body);
        assert_eq!(answer.map(|answer| answer.status()), Some(200));
    }
    let page = balancer.ask_admin("/metrics");
    let (verdict, said) = crate::harness::metrics::promtool(&page.body);
    assert!(verdict && said.trim().is_empty(), "promtool check metrics: {said}");
}
