use super::*;
use crate::plan::{Arrivals, Leg};
use crate::record::{Failure, Outcome, Recorder};
use crate::report::Report;
use check::{Bound, verdicts};
use hyper::header::HeaderValue;
use read::read;
use std::fmt::Write as _;
use tokio::time::Instant;

const SMALL: &str = "
target: http://127.0.0.1:8080/path
rate: 100
phases:
  - {name: all, duration: 10s}
";

fn scenario(text: &str) -> Scenario {
    read(text, &[], &[]).map_err(|error| error.to_string()).unwrap()
}

fn set(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn the_smallest_file_is_steady_load() {
    let scenario = scenario(SMALL);
    assert_eq!(scenario.duration(), Duration::from_secs(10));
    let legs = [Leg { duration: Duration::from_secs(10), from: 100.0, to: 100.0 }];
    assert_eq!(scenario.plan.legs, legs);
    assert_eq!(scenario.plan.mix[0].target, "http://127.0.0.1:8080/path");
    assert_eq!((scenario.plan.first_phase.as_str(), scenario.plan.phases.len()), ("all", 0));
    assert!(scenario.plan.keep_alive && scenario.acts.is_empty() && scenario.checks.is_empty());
}

#[test]
fn phases_steps_and_ramps_follow_each_other() {
    let scenario = scenario(
        "target: http://127.0.0.1:1/\nrate: 10\narrivals: poisson\nseed: 7\nphases:\n\
         - {name: a, duration: 2s}\n- {name: b, duration: 4s, rate: [20, 40]}\n\
         - {name: c, duration: 1s, rate: {from: 40, to: 0}}\n",
    );
    let legs = scenario.plan.legs.iter().map(|leg| (leg.duration.as_millis(), leg.from, leg.to));
    let expected = [(2000, 10.0, 10.0), (2000, 20.0, 20.0), (2000, 40.0, 40.0), (1000, 40.0, 0.0)];
    assert_eq!(legs.collect::<Vec<_>>(), expected);
    let begins = scenario.phases.iter().map(|phase| phase.begin.as_secs()).collect::<Vec<_>>();
    assert_eq!(begins, [0, 2, 6]);
    assert_eq!(
        scenario.plan.phases,
        [(Duration::from_secs(2), "b".into()), (Duration::from_secs(6), "c".into())]
    );
    assert_eq!(scenario.plan.arrivals, Arrivals::Poisson { seed: 7 });
}

#[test]
fn a_mix_is_asked_of_each_target_with_its_own_headers_and_bodies() {
    let scenario = scenario(
        "target: [http://127.0.0.1:1/, http://127.0.0.1:2/]\nconnections: 4\nkeep_alive: false\n\
         headers: {accept: text/plain, x-a: all}\nmix:\n- {weight: 3, path: /a}\n\
         - {path: /b, body: hello, headers: {x-a: own}}\nphases: [{name: all, duration: 1s}]\n",
    );
    assert_eq!((scenario.plan.connections, scenario.plan.keep_alive), (Some(4), false));
    let asks = scenario.plan.mix.iter().map(|ask| {
        let header = ask.headers["x-a"].to_str().unwrap_or_default();
        format!("{} {} {} {header} {}", ask.weight, ask.method, ask.target, ask.body.len())
    });
    let asks: Vec<String> = asks.collect();
    let of = |port| {
        [format!("3 GET http://127.0.0.1:{port}/a all 0"), format!("1 POST http://127.0.0.1:{port}/b own 5")]
    };
    assert_eq!(asks, [of(1), of(2)].concat());
}

#[test]
fn actions_are_in_the_order_of_time_and_say_what_they_do() {
    let scenario = scenario(
        "target: http://127.0.0.1:1/\nrate: 1\nadmin: {url: 'http://127.0.0.1:2'}\nprograms:\n\
         \x20 a: {compose: service}\n  b: {command: [sleep, '1 0']}\n  c: {pid: 7, supervised: true}\nphases:\n\
         - name: one\n  duration: 10s\n  actions:\n  - {start: a, at: 5s}\n  - kill: a\n  - {freeze: b, at: 1s}\n\
         - name: two\n  duration: 10s\n  actions:\n  - {continue: b}\n  - stop: c\n  - drain: b\n  - ready: b\n\
         \x20 - switch: http://127.0.0.1:3\n  - call: {method: PUT, url: 'http://127.0.0.1:4/x', expect: 204}\n",
    );
    let mut said = String::new();
    for act in &scenario.acts {
        writeln!(said, "{:?} {}", act.at, scenario.words(&act.deed)).unwrap();
    }
    insta::assert_snapshot!(said, @r"
    0ns kill a
    1s freeze b
    5s start a
    10s continue b
    10s stop c
    10s drain b
    10s ready b
    10s switch http://127.0.0.1:3/api/switch
    10s PUT http://127.0.0.1:4/x
    ");
    let places: Vec<&Place> = scenario.programs.iter().map(|program| &program.place).collect();
    assert_eq!(*places[1], Place::Own { command: vec!["sleep".into(), "1 0".into()] });
    assert_eq!(*places[2], Place::Found { pid: 7, command: vec![] });
    assert_eq!(scenario.addresses().len(), 3);
}

#[test]
fn settings_are_filled_in_and_can_be_changed_from_outside() {
    let text = "settings: {rate: 100, long: 10s, where: ''}\ntarget: http://127.0.0.1:1/\nrate: ${rate}\n\
                phases:\n- name: all\n  duration: ${long}\nprograms:\n  a:\n    pid: ${where}\n    \
                compose: a\n";
    let plain = read(text, &[], &[]).unwrap();
    assert_eq!((plain.plan.legs[0].from, plain.duration().as_secs()), (100.0, 10));
    assert!(matches!(plain.programs[0].place, Place::Compose { .. }));
    let supervised = format!("{text}    supervised: true\n");
    let changed = read(&supervised, &[set("long", "2s"), set("where", "7")], &[]).unwrap();
    assert_eq!(changed.duration().as_secs(), 2);
    assert_eq!(changed.programs[0].place, Place::Found { pid: 7, command: vec![] });
    let unknown = read(text, &[set("lnog", "2s")], &[]).unwrap_err();
    assert_eq!(unknown.to_string(), "the scenario has no setting `lnog`: long, rate, where");
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let with = |line: &str| {
        format!("target: http://127.0.0.1:8080/\n{line}\nphases:\n  - {{name: all, duration: 10s}}\n")
    };
    let phase =
        |line: &str| format!("target: http://127.0.0.1:8080/\nrate: 5\nphases:\n  - name: all\n    {line}\n");
    let action = |line: &str| phase(&format!("duration: 9s\n    actions:\n      - {line}"));
    let files = [
        with("rate: 5\nratte: 5"),
        with("rate: fast"),
        with("rate: -1"),
        with("rate: 5\nconnections: 5"),
        with("connections: 0"),
        with("timeout: 5"),
        with(""),
        with("rate: 5\nmethod: 'G T'"),
        with("rate: 5\nmix: [{path: index.html}]"),
        with("rate: 5\nmix: [{path: /, weight: 0}]"),
        with("rate: 5\nheaders: {'x y': z}"),
        with("rate: 5\nmax_in_flight: 1000000"),
        with("rate: 5\nprograms: {a: {}}"),
        with("rate: 5\nprograms: {a: {pid: 5}}"),
        with("rate: 5\nprograms: {a: {pid: five}}"),
        with("rate: 5\nassert: [p99 < 5ms]"),
        with("rate: 5\nassert: [p101 <= 5ms]"),
        with("rate: 5\nassert: [share a within 60%..50%]"),
        with("rate: ${rate}"),
        phase("duration: 10"),
        phase("duration: 0s"),
        phase("duration: 9s\n  - {name: all, duration: 1s}"),
        action("kill: nobody"),
        action("drain: nobody"),
        action("{at: 9s, call: {url: 'http://a/'}}"),
        action("{at: 1s}"),
        action("{call: {url: /path}}"),
        "target: http://a/\nphases: []\nrate: 5".to_owned(),
        "target: https://a/\nphases: [{name: a, duration: 1s}]\nrate: 5".to_owned(),
        "target: [\n".to_owned(),
        String::new(),
    ];
    let mut said = String::new();
    for file in files {
        writeln!(said, "{}", read(&file, &[], &[]).unwrap_err()).unwrap();
    }
    insta::assert_snapshot!(said);
}

/// Two phases of a second: in the first, a and b answer in turn within 2 ms; in the second, one of ten fails, all others
/// are b's, and the last 100 ms are silent.
fn measured() -> (Scenario, Report) {
    let mut scenario = scenario(
        "target: http://127.0.0.1:1/\nrate: 100\nphases: [{name: one, duration: 1s}, {name: two, duration: 1s}]\n",
    );
    let start = Instant::now();
    let second = Duration::from_secs(1);
    let mut recorder = Recorder::new(start, "one", second, second);
    recorder.mark("two", start + second);
    for number in 0..190_u64 {
        let due = start + Duration::from_millis(number * 10);
        let failed = number >= 100 && number % 10 == 0;
        let name = if number < 100 && number % 2 == 0 { "a" } else { "b" };
        let backend = (!failed).then(|| HeaderValue::from_static(name));
        let latency = Duration::from_millis(if number == 150 || number == 151 { 40 } else { 2 });
        let result = if failed { Err(Failure::Reset) } else { Ok(()) };
        recorder.record(&Outcome { number, due, done: due + latency, result, backend });
    }
    scenario.checks.clear();
    (scenario, recorder.finish(start + 2 * second))
}

fn said(checks: &[(Option<usize>, &str)]) -> String {
    let (mut scenario, report) = measured();
    let checks = checks.iter().map(|(phase, line)| {
        let bound = Bound::parse(line).unwrap();
        assert_eq!(bound.to_string(), *line, "it is written as it was read");
        Check { phase: *phase, bound }
    });
    scenario.checks = checks.collect();
    let lines = verdicts(&scenario, &report).into_iter().map(|verdict| {
        let phase = verdict.phase.unwrap_or_else(|| "run".to_owned());
        format!("{} {phase}: {} -> {}\n", verdict.held, verdict.check, verdict.measured)
    });
    lines.collect()
}

#[test]
fn what_holds_holds_and_what_is_broken_is_said_with_what_was_measured() {
    insta::assert_snapshot!(said(&[
        (None, "failed <= 0"),
        (None, "failed <= 9"),
        (Some(0), "failed <= 0"),
        (Some(1), "failed <= 9.9%"),
        (Some(1), "failed <= 10%"),
        (None, "p50 <= 2ms"),
        (None, "p50 <= 3ms"),
        (None, "p99.9 <= 30ms"),
        (Some(0), "max <= 3ms"),
        (None, "gap <= 100ms"),
        (Some(1), "gap <= 120ms"),
        (None, "rps >= 91"),
        (Some(0), "rps >= 100"),
        (None, "share a within 27%..28%"),
        (Some(0), "share a within 50%..50%"),
        (Some(1), "share a within 0%..1%"),
        (Some(1), "share c within 1%..2%"),
    ]));
}

#[test]
fn nothing_holds_of_a_phase_that_was_not_reached_or_that_nobody_answered_in() {
    let (mut scenario, mut report) = measured();
    scenario.checks = vec![Check { phase: Some(1), bound: Bound::Failed(1000) }];
    report.phases.pop();
    assert!(!verdicts(&scenario, &report)[0].held);
    let start = Instant::now();
    let empty = Recorder::new(start, "one", Duration::from_secs(1), Duration::from_secs(1)).finish(start);
    scenario.checks = vec![Check { phase: Some(0), bound: Bound::Quantile(0.99, Duration::MAX) }];
    let verdict = &verdicts(&scenario, &empty)[0];
    assert_eq!((verdict.held, verdict.measured.as_str()), (false, "no request succeeded"));
}

#[test]
fn the_scenarios_beside_the_crate_are_valid() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let here = [set("here", "here")];
    for name in ["restart.yaml", "restart-processes.yaml", "ramp.yaml", "mix.yaml"] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let read = read(&text, &[], &here).map_err(|error| format!("{name}:{error}"));
        assert!(!read.unwrap().checks.is_empty(), "{name} demands nothing");
    }
    let text = std::fs::read_to_string(folder.join("restart.yaml")).unwrap();
    let demo = read(&text, &[set("pid", "7"), set("outage", "10s")], &here).unwrap();
    assert_eq!(demo.programs[0].place, Place::Found { pid: 7, command: vec![] });
}

#[test]
fn the_example_of_the_readme_is_valid() {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("```yaml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let scenario = scenario(example);
    assert_eq!((scenario.acts.len(), scenario.checks.len(), scenario.programs.len()), (5, 5, 3));
}
