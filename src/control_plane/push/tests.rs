use std::time::SystemTime;

use proptest::prelude::*;
use tokio::time::Instant;

use super::*;

const EXPIRY: Duration = Duration::from_secs(30);

const INCONSISTENT: &str = "pushed metrics are invalid or inconsistent with existing metrics: ";

/// A receiver with a clock of its own.
struct Receiver {
    pushes: Pushes,
    start: Now,
    elapsed: Duration,
}

impl Receiver {
    fn new() -> Self {
        Self::within(PushLimits { expiry: EXPIRY, groups: 4, body: 1024 })
    }

    fn within(limits: PushLimits) -> Self {
        let start = Now { instant: Instant::now(), time: SystemTime::UNIX_EPOCH };
        Self { pushes: Pushes::new(limits, Telemetry::new(1)), start, elapsed: Duration::from_secs(100) }
    }

    fn now(&self) -> Now {
        Now { instant: self.start.instant + self.elapsed, time: self.start.time + self.elapsed }
    }

    fn wait(&mut self, seconds: u64) {
        self.elapsed += Duration::from_secs(seconds);
    }

    fn push(&self, mode: Mode, path: &str, body: &str) -> Result<(), String> {
        let taken = self.pushes.push(key(path), body.as_bytes(), mode, self.now());
        taken.map_err(|refusal| refusal.words)
    }

    fn put(&self, path: &str, body: &str) -> Result<(), String> {
        self.push(Mode::Replace, path, body)
    }

    fn post(&self, path: &str, body: &str) -> Result<(), String> {
        self.push(Mode::Merge, path, body)
    }

    /// The page, without what the receiver itself says of its groups.
    fn page(&self) -> String {
        self.lines(|line| !line.contains("push_"))
    }

    /// What the receiver says of its groups.
    fn times(&self) -> String {
        self.lines(|line| line.starts_with("push_"))
    }

    fn lines(&self, wanted: impl Fn(&str) -> bool) -> String {
        let mut page = String::new();
        self.pushes.expose(&mut page, PageForm::Classic, self.now());
        page.lines().filter(|line| wanted(line)).map(|line| format!("{line}\n")).collect()
    }

    fn counted(&self, result: PushResult) -> u64 {
        self.pushes.telemetry.process().pushes.get(result)
    }

    fn groups(&self) -> i64 {
        self.pushes.telemetry.process().push_groups.get()
    }
}

fn key(path: &str) -> GroupKey {
    GroupKey::of_path(path).expect("a path for pushes")
}

#[track_caller]
fn assert_inconsistent(taken: Result<(), String>, what: &str) {
    assert_eq!(taken, Err(format!("{INCONSISTENT}{what}")));
}

#[test]
fn what_is_pushed_is_shown_with_the_labels_of_its_group() {
    let receiver = Receiver::new();
    let body = "# HELP c a\\\\b\n# TYPE c counter\nc{x=\"\\\"1\\\"\",instance=\"y\",job=\"q\"} 2.5\nb 1\n";
    receiver.put("job/j/instance/i/a/z", body).expect("it fits");
    let page = "# TYPE b untyped\nb{a=\"z\",instance=\"i\",job=\"j\"} 1\n# HELP c a\\\\b\n# TYPE c counter\n\
                c{a=\"z\",instance=\"i\",job=\"j\",x=\"\\\"1\\\"\"} 2.5\n";
    assert_eq!(receiver.page(), page);
    let times = "push_failure_time_seconds{a=\"z\",instance=\"i\",job=\"j\"} 0\n\
                 push_time_seconds{a=\"z\",instance=\"i\",job=\"j\"} 100\n";
    assert_eq!(receiver.times(), times);
}

#[test]
fn there_always_is_an_instance() {
    let receiver = Receiver::new();
    receiver.put("job/j", "a 1\nb{instance=\"of the body\"} 2\n").expect("it fits");
    let page = "# TYPE a untyped\na{instance=\"\",job=\"j\"} 1\n\
                # TYPE b untyped\nb{instance=\"of the body\",job=\"j\"} 2\n";
    assert_eq!(receiver.page(), page);
    assert!(receiver.times().contains("push_time_seconds{instance=\"\",job=\"j\"} 100\n"));
}

#[test]
fn put_replaces_all_and_post_what_has_the_same_name() {
    let receiver = Receiver::new();
    receiver.put("job/j", "a{x=\"1\"} 1\na{x=\"2\"} 2\nb 3\n").expect("it fits");
    receiver.post("job/j", "a{x=\"1\"} 4\nc 5\n").expect("it fits");
    let line = |name: &str| receiver.page().lines().filter(|line| line.starts_with(name)).count();
    assert_eq!((line("a{"), line("b{"), line("c{")), (1, 1, 1));
    receiver.post("job/j", "").expect("nothing fits always");
    assert_eq!(line("b{"), 1, "what is posted empty replaces nothing");
    receiver.put("job/j", "c 6\n").expect("it fits");
    assert_eq!((line("a{"), line("b{"), line("c{")), (0, 0, 1));
    receiver.put("job/j", "").expect("it fits");
    assert_eq!((receiver.page(), receiver.groups()), (String::new(), 1), "an empty group is one");
    receiver.pushes.delete(&key("job/j"), receiver.now());
    assert_eq!((receiver.times(), receiver.groups()), (String::new(), 0));
    receiver.pushes.delete(&key("job/j"), receiver.now());
}

#[test]
fn a_group_that_nobody_renews_expires_and_is_counted() {
    let mut receiver = Receiver::new();
    receiver.put("job/j/instance/1", "a 1\n").expect("it fits");
    receiver.put("job/j/instance/2", "a 2\n").expect("it fits");
    receiver.wait(20);
    receiver.put("job/j/instance/2", "a 3\n").expect("it fits");
    receiver.wait(9);
    assert_eq!(receiver.groups(), 2);
    receiver.wait(1);
    assert_eq!(receiver.page(), "# TYPE a untyped\na{instance=\"2\",job=\"j\"} 3\n");
    assert_eq!(receiver.groups(), 1);
    assert_eq!(receiver.pushes.telemetry.process().push_groups_expired.get(), 1);
    receiver.wait(30);
    assert_eq!((receiver.page(), receiver.times()), (String::new(), String::new()));
    receiver
        .put("job/j/instance/1", "# TYPE a gauge\na 1\n")
        .expect("nobody holds another type of it any more");
}

#[test]
fn a_push_that_is_refused_keeps_nothing_fresh() {
    let mut receiver = Receiver::new();
    receiver.put("job/j", "a 1\n").expect("it fits");
    receiver.wait(20);
    receiver.put("job/j", "a 1 5\n").expect_err("it has a timestamp");
    assert!(receiver.times().starts_with("push_failure_time_seconds{instance=\"\",job=\"j\"} 120\n"));
    receiver.wait(10);
    assert_eq!(receiver.page(), "", "what was pushed is thirty seconds old");
    receiver.put("job/j", "a 1 5\n").expect_err("it has a timestamp");
    let times = "push_failure_time_seconds{instance=\"\",job=\"j\"} 130\n\
                 push_time_seconds{instance=\"\",job=\"j\"} 0\n";
    assert_eq!(receiver.times(), times);
    receiver.wait(30);
    assert_eq!(receiver.times(), "");
}

#[test]
fn what_cannot_be_read_changes_nothing_and_is_no_failure_of_its_group() {
    let receiver = Receiver::new();
    receiver.put("job/j", "a 1\n").expect("it fits");
    let error = receiver.put("job/j", "b 2").expect_err("the last line has no end");
    assert_eq!(error, "text format parsing error in line 1: unexpected end of input stream");
    assert_eq!(receiver.page(), "# TYPE a untyped\na{instance=\"\",job=\"j\"} 1\n");
    assert!(receiver.times().contains("push_failure_time_seconds{instance=\"\",job=\"j\"} 0\n"));
    assert_eq!((receiver.counted(PushResult::Ok), receiver.counted(PushResult::Malformed)), (1, 1));
}

#[test]
fn what_contradicts_itself_is_refused() {
    let receiver = Receiver::new();
    let twice = "was collected before with the same name and label values";
    for (body, what) in [
        ("a 1 5\n", "pushed metrics must not have timestamps".to_owned()),
        ("a 1\nb 1\na 2\n", format!("a{{instance=\"\",job=\"j\"}} {twice}")),
        ("a{x=\"1\",} 1\na{x=\"1\"} 1\n", format!("a{{instance=\"\",job=\"j\",x=\"1\"}} {twice}")),
        (
            "# TYPE a histogram\na_sum{job=\"1\"} 1\na_sum{job=\"_sum{\"} 1\n",
            format!("a{{instance=\"\",job=\"j\"}} {twice}"),
        ),
        ("a{__x=\"1\"} 1\n", "a has a label with an invalid name: __x".to_owned()),
        (
            "h_count 3\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\n",
            "h_count, of type untyped, collides with h, of type histogram".to_owned(),
        ),
    ] {
        assert_inconsistent(receiver.put("job/j", body), &what);
    }
    assert_eq!(receiver.counted(PushResult::Inconsistent), 6);
    let explicit = receiver.put("job/j/quantile/1", "# TYPE s summary\ns{quantile=\"0.5\"} 1\n");
    assert_inconsistent(explicit, "s must not have an explicit \"quantile\" label");
    receiver.put("job/j", "# TYPE h_bucket gauge\nh_bucket 2\n# TYPE h summary\nh_sum 1\n").expect("it fits");
}

#[test]
fn what_contradicts_another_group_is_refused() {
    let receiver = Receiver::new();
    receiver.put("job/a", "# TYPE c counter\nc 1\n# TYPE h histogram\nh_sum 1\n").expect("it fits");
    for (body, what) in [
        ("# TYPE c gauge\nc 1\n", "c is of type gauge here and of type counter in another group"),
        ("c 1\n", "c is of type untyped here and of type counter in another group"),
        ("h_count 1\n", "h_count, of type untyped, collides with h, of type histogram"),
        ("# TYPE h summary\nh_sum 1\n", "h is of type summary here and of type histogram in another group"),
    ] {
        assert_inconsistent(receiver.put("job/b", body), what);
    }
    receiver.put("job/a", "# TYPE c gauge\nc 1\n").expect("its own metrics it may change");
    receiver.put("job/b", "h_count 1\n").expect("nobody has the histogram any more");
    let collides = receiver.put("job/a", "# TYPE h histogram\nh_sum 1\n");
    assert_inconsistent(collides, "h, of type histogram, collides with h_count");
    receiver.put("job/b", "# HELP c other words\n# TYPE c gauge\nc 1\n").expect("help may differ");
}

#[test]
fn a_series_belongs_to_one_group() {
    let receiver = Receiver::new();
    receiver.put("job/a", "m{instance=\"x\"} 1\nm{zone=\"z\"} 1\n").expect("it fits");
    let twice = "m{instance=\"x\",job=\"a\"} was collected before with the same name and label values";
    assert_inconsistent(receiver.put("job/a/instance/x", "m 1\n"), twice);
    let twice =
        "m{instance=\"\",job=\"a\",zone=\"z\"} was collected before with the same name and label values";
    assert_inconsistent(receiver.post("job/a/zone/z", "m 1\n"), twice);
    receiver.put("job/a/instance/y", "m 1\n").expect("another series");
}

#[test]
fn a_group_without_an_instance_and_one_with_an_empty_one_would_look_the_same() {
    for (one, other) in [("job/j", "job/j/instance/"), ("job/j/instance/", "job/j")] {
        let receiver = Receiver::new();
        receiver.put(one, "a 1\n").expect("it fits");
        receiver.put(other, "b 1\n").expect_err("it looks the same");
        receiver.put(other, "b 1 5\n").expect_err("it has a timestamp besides");
        assert_eq!(receiver.times().lines().count(), 2, "nothing comes twice");
        receiver.pushes.delete(&key(one), receiver.now());
        receiver.put(other, "b 1\n").expect("the other is gone");
    }
}

#[test]
fn the_balancers_own_metrics_are_not_for_others() {
    let receiver = Receiver::new();
    let own = " is a metric of plimsoll itself; push it under another name";
    for (name, body) in [
        ("plimsoll_requests_total", "# TYPE plimsoll_requests_total counter\nplimsoll_requests_total 1\n"),
        ("plimsoll_request_duration_seconds_sum", "plimsoll_request_duration_seconds_sum 1\n"),
        ("plimsoll_retries", "plimsoll_retries 1\n"),
        ("process_cpu_seconds_total", "process_cpu_seconds_total 1\n"),
    ] {
        assert_inconsistent(receiver.put("job/j", body), &format!("{name}{own}"));
    }
    for name in ["up", "scrape_duration_seconds", "ALERTS", "ALERTS_FOR_STATE"] {
        let prometheus = format!("{name} is a metric of Prometheus itself; push it under another name");
        assert_inconsistent(receiver.put("job/j", &format!("{name} 0\n")), &prometheus);
    }
    receiver.put("job/j", "plimsoll_requests_total_count 1\n").expect("it only looks like one");
    receiver.put("job/j", "push_time_seconds 3\npush_failure_time_seconds 3 \n").expect_err("a blank");
    receiver.put("job/j", "push_time_seconds 3\npush_time_seconds 3\n").expect("it is dropped");
    assert!(receiver.times().ends_with("push_time_seconds{instance=\"\",job=\"j\"} 100\n"));
}

#[test]
fn what_is_held_has_bounds() {
    let receiver = Receiver::new();
    for n in 0..4 {
        receiver.put(&format!("job/j/instance/{n}"), "a 1\n").expect("there is room");
    }
    let full = receiver.put("job/j/instance/4", "a 1\n").expect_err("there is no room");
    assert!(full.contains("`admin.push.groups`"), "{full}");
    receiver.put("job/j/instance/4", "a 1 5\n").expect_err("a failure makes no room either");
    receiver.put("job/j/instance/3", "a 2\n").expect("it is there already");
    receiver.pushes.delete(&key("job/j/instance/0"), receiver.now());
    receiver.put("job/j/instance/4", "a 1\n").expect("there is room again");
    assert_eq!((receiver.counted(PushResult::Full), receiver.groups()), (1, 4));
}

#[test]
fn a_group_cannot_grow_without_end() {
    let receiver = Receiver::new();
    let mut taken = 0;
    let full = (0..1000).find_map(|n| {
        let body: String = (0..20).map(|m| format!("m{n}_{m} 1\n")).collect();
        taken += body.len();
        receiver.post("job/j", &body).err()
    });
    assert!(full.is_some_and(|words| words.contains("64 times `admin.push.body`")));
    assert!(taken < 64 * 1024, "{taken} bytes were taken");
    receiver.put("job/j", "a 1\n").expect("to replace it frees what it had");
    // A long value of the key comes again with each line.
    let long = "x".repeat(8 * 1024);
    let buckets: String = (0..40).map(|n| format!("h_bucket{{le=\"{n}\"}} 1\n")).collect();
    let body = format!("# TYPE h histogram\n{buckets}");
    let refused =
        receiver.pushes.push(key(&format!("job/{long}")), body.as_bytes(), Mode::Merge, receiver.now());
    assert_eq!(refused.map_err(|refusal| refusal.result), Err(PushResult::TooLarge));
}

#[test]
fn distributions_are_shown_whole() {
    let receiver = Receiver::new();
    let body = "# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"1e2\"} 1.7\nh_sum NaN\nh_count 2\n\
                # TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 3\n";
    receiver.put("job/j", body).expect("it fits");
    let lines = |name: &str| {
        let mut lines: Vec<_> =
            receiver.page().lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let labels = "instance=\"\",job=\"j\"";
    assert_eq!(
        lines("h_"),
        [
            format!("h_bucket{{{labels},le=\"+Inf\"}} 2"),
            format!("h_bucket{{{labels},le=\"1\"}} 1"),
            format!("h_bucket{{{labels},le=\"100\"}} 1"),
            format!("h_count{{{labels}}} 2"),
            format!("h_sum{{{labels}}} NaN"),
        ]
    );
    assert_eq!(
        lines("s"),
        [
            format!("s_count{{{labels}}} 0"),
            format!("s_sum{{{labels}}} 3"),
            format!("s{{{labels},quantile=\"0.5\"}} 1")
        ]
    );
}

#[test]
fn a_list_shows_age_and_expiry() {
    let mut receiver = Receiver::new();
    receiver.put("job/j/instance/i", "b 1\na 1\n").expect("it fits");
    receiver.wait(12);
    receiver.put("job/j/instance/i", "b 1 5\n").expect_err("it has a timestamp");
    let groups = receiver.pushes.groups(receiver.now());
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let failure = format!("{INCONSISTENT}pushed metrics must not have timestamps");
    assert_eq!(
        groups,
        [GroupView {
            labels: vec![("instance".into(), "i".into()), ("job".into(), "j".into())],
            pushed: Some(at(100)),
            age: Some(Duration::from_secs(12)),
            expires_in: Duration::from_secs(18),
            failed: Some((at(112), failure.into())),
            metrics: vec!["a".into(), "b".into()],
        }]
    );
}

#[test]
fn the_load_of_a_backend_is_what_was_pushed_last_for_its_name() {
    let mut receiver = Receiver::new();
    let load = |receiver: &Receiver, upstream: &str, backend: &str| {
        receiver.pushes.load(upstream, backend, receiver.now()).map(|report| report.cpu_percent)
    };
    receiver.put("job/cpu_usage/instance/backend-1", "cpu_usage 7\n").expect("it fits");
    receiver.wait(1);
    receiver.put("job/other/instance/backend-1", "cpu_usage{core=\"0\"} 50\ncpu_usage 9\n").expect("it fits");
    receiver.put("job/cpu_usage/instance/backend-2", "cpu_usage NaN\n").expect("it fits");
    receiver.put("job/cpu_usage/instance/backend-3/upstream/app", "cpu_usage 30\n").expect("it fits");
    assert_eq!(load(&receiver, "app", "backend-1"), Some(9.0));
    assert_eq!(load(&receiver, "app", "backend-2"), None, "no number");
    assert_eq!(load(&receiver, "app", "backend-3"), Some(30.0));
    assert_eq!(load(&receiver, "pictures", "backend-3"), None, "of another upstream");
    receiver.put("job/other/instance/backend-1", "b 1\n").expect("it fits");
    assert_eq!(load(&receiver, "app", "backend-1"), Some(7.0), "the other says nothing any more");
    receiver.wait(29);
    assert_eq!(load(&receiver, "app", "backend-1"), None, "it has expired");
}

proptest! {
    #[test]
    fn what_is_shown_can_be_pushed_again_and_is_shown_the_same(
        samples in proptest::collection::vec((0..4_usize, "[a-z\\\\\"\n ä]{0,4}", -1e9..1e9_f64), 0..20),
        kinds in proptest::collection::vec(0..5_usize, 4),
    ) {
        let words = ["counter", "gauge", "untyped", "histogram", "summary"];
        let mut body = String::new();
        for (n, kind) in kinds.iter().enumerate() {
            body += &format!("# HELP m{n} number \\\\ {n}\n# TYPE m{n} {}\n", words[*kind]);
        }
        for (at, (n, label, value)) in samples.iter().enumerate() {
            let label = label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let (suffix, own) = match kinds[*n] {
                3 => ("_bucket", format!(",le=\"{value}\"")),
                4 => ("", format!(",quantile=\"{value}\"")),
                _ => ("", format!(",at=\"{at}\"")),
            };
            body += &format!("m{n}{suffix}{{label=\"{label}\"{own}}} {value}\n");
        }
        let limits = PushLimits { expiry: EXPIRY, groups: 4, body: 1 << 20 };
        let (first, second) = (Receiver::within(limits), Receiver::within(limits));
        first.put("job/j/zone/z", &body).expect("it fits");
        second.put("job/j/zone/z", &first.page()).expect("it fits");
        prop_assert_eq!(first.page(), second.page());
    }
}
