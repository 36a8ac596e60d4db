use super::recording::{Act, Change, Deed, Sample};
use super::*;
use crate::record::Tally;
use crate::report::{BucketReport, Latency, Report};
use std::collections::BTreeMap;
use std::time::Duration;

/// When everything happens in the run that the tests tell of.
const KILLED: f64 = 30.0;
const DETECTED: f64 = 30.012;
const STARTED: f64 = 105.0;
const BACK: f64 = 106.2;
const UP: f64 = 108.2;
const END: f64 = 165.0;

/// Answers per second of all backends together.
const RATE: f64 = 150.0;

/// The share that backend-1 has at this time; the other two have the rest.
fn share_of_first(at: f64) -> f64 {
    match at {
        at if !(KILLED..UP).contains(&at) => 1.0 / 3.0,
        at if at < BACK => 0.0,
        at => (at - BACK) / (UP - BACK) / 3.0,
    }
}

fn samples() -> Vec<Sample> {
    let names = 3;
    let mut counted = Sample::new(-0.5, names);
    let mut samples = vec![counted.clone()];
    for n in 0..=330 {
        let at = f64::from(n) * 0.5;
        if n > 0 {
            let first = share_of_first(at - 0.25);
            let shares = [first, (1.0 - first) / 2.0, (1.0 - first) / 2.0];
            for (backend, share) in counted.backends.iter_mut().zip(shares) {
                backend.answers += share * RATE * 0.5;
            }
            counted.classes[1] += RATE * 0.5;
        }
        if at > DETECTED && counted.backends[0].redistributions == 0.0 {
            counted.backends[0].retried = 2.0;
            counted.backends[1].rescued = 2.0;
            counted.backends[0].detection_seconds = 0.010;
        }
        if at > DETECTED + 1.0 {
            counted.backends[0].redistributions = 1.0;
            counted.backends[0].redistribution_seconds = 0.013;
        }
        counted.at = at;
        samples.push(counted.clone());
    }
    samples
}

fn cpu() -> Vec<Vec<(f64, f64)>> {
    let of = |backend: usize| {
        let seconds = (0..=165).map(f64::from);
        let there = seconds.filter(move |at| backend > 0 || !(KILLED..=STARTED).contains(at));
        there
            .map(|at| {
                let first = share_of_first(at);
                let share = if backend == 0 { first } else { (1.0 - first) / 2.0 };
                let ripple = ((at * 1.7 + backend as f64).sin() * 0.4 * 100.0).round() / 100.0;
                (at, share * 36.0 + ripple)
            })
            .collect()
    };
    (0..3).map(of).collect()
}

fn client() -> Report {
    let latency = Latency {
        p50_ms: Some(2.31),
        p90_ms: Some(2.9),
        p99_ms: Some(4.84),
        p999_ms: Some(9.0),
        max_ms: Some(14.2),
    };
    let bucket = |n: u32| {
        let at = f64::from(n) * 0.5;
        let hit = (KILLED - 0.1..KILLED + 0.4).contains(&at);
        BucketReport {
            at_seconds: at,
            requests: 75,
            failed: 0,
            p50_ms: Some(2.3 + (at * 0.9).sin() * 0.05),
            p99_ms: Some(if hit { 14.2 } else { 4.6 + (at * 2.3).sin() * 0.5 }),
            rps: BTreeMap::new(),
        }
    };
    Report {
        requests: 24_750,
        failed: 0,
        failures: BTreeMap::new(),
        longest_gap_ms: 18.4,
        latency,
        tally: Tally::new(3),
        lag_p99_ms: Some(0.2),
        lag_max_ms: Some(1.0),
        rps: RATE,
        share: BTreeMap::new(),
        phases: Vec::new(),
        buckets: (0..330).map(bucket).collect(),
    }
}

/// A run in which backend-1 is killed and comes back.
pub(super) fn restart() -> Recording {
    let names = ["backend-1", "backend-2", "backend-3"];
    let act = |at, deed| Act { at, backend: 0, deed };
    let change = |at, to| Change { at, backend: 0, to };
    Recording {
        command: "experiment --keep".to_owned(),
        source: "Counters and CPU usage were read every half second.".to_owned(),
        began: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_269_800_250),
        seconds: END,
        backends: names.map(str::to_owned).to_vec(),
        samples: samples(),
        cpu: cpu(),
        acts: vec![act(KILLED, Deed::Killed), act(STARTED, Deed::Started)],
        changes: vec![change(DETECTED, State::Down), change(BACK, State::SlowStart), change(UP, State::Up)],
        client: client(),
    }
}

/// A run in which nothing happens.
pub(super) fn steady() -> Recording {
    let mut recording = restart();
    recording.seconds = 29.0;
    recording.acts.clear();
    recording.changes.clear();
    recording.samples.retain(|sample| sample.at <= 29.0);
    recording.client.requests = 4350;
    recording.client.failed = 3;
    recording
}

fn texts(recording: &Recording) -> Vec<(String, String)> {
    folder::files(&Story::tell(recording)).unwrap()
}

fn text(recording: &Recording, name: &str) -> String {
    texts(recording).into_iter().find(|(known, _)| known == name).unwrap().1
}

/// The page without its style and drawings: what is left is what it says.
fn words_of(page: &str) -> String {
    let mut words = page.to_owned();
    for (open, close) in [("<style>", "</style>"), ("<svg", "</svg>")] {
        while let Some(from) = words.find(open) {
            let to = from + words[from..].find(close).unwrap() + close.len();
            words.replace_range(from..to, "");
        }
    }
    words.replace('\u{a0}', " ")
}

#[test]
fn the_markdown_tells_the_story() {
    insta::assert_snapshot!(text(&restart(), "report.md"));
}

#[test]
fn the_markdown_of_a_run_without_an_outage_tells_that_there_was_none() {
    insta::assert_snapshot!(text(&steady(), "report.md"));
}

#[test]
fn the_page_says_the_same() {
    insta::assert_snapshot!(words_of(&text(&restart(), "index.html")));
}

#[test]
fn a_graph_is_drawn_as_it_was() {
    insta::assert_snapshot!(text(&restart(), "states.svg"));
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let page = text(&restart(), "index.html");
    for outside in ["<script", "http:", "https:", "url(", "@import", "src=", "<link rel=\"stylesheet"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn every_graph_says_what_it_shows_under_a_name_of_its_own() {
    let page = text(&restart(), "index.html");
    let mut names: Vec<&str> = page.split("aria-labelledby=\"").skip(1).collect();
    names.iter_mut().for_each(|rest| *rest = rest.split_once('"').unwrap().0);
    assert_eq!(names.len(), 12, "six graphs in two layouts");
    for name in &names {
        for id in name.split(' ') {
            assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
        }
    }
    assert!(page.contains("backend-1: 33.3\u{a0}% before, 0.0\u{a0}% during, 33.3\u{a0}% after."));
    assert!(page.contains("backend-1: up from 0:00, down from 0:30, slow start from 1:46, up from 1:48."));
}

#[test]
fn all_graphs_of_a_layout_have_the_same_time_axis() {
    let page = text(&restart(), "index.html");
    // The line of the kill, from its place in each wide drawing.
    let plot = 4.0 * (960.0 - 76.0 - 14.0);
    let x = 4.0 * 76.0 + plot * KILLED / END;
    let wide: Vec<&str> = page.split("<div class=\"wide\">").skip(1).collect();
    assert_eq!(wide.len(), 6);
    for drawing in wide {
        let drawing = drawing.split_once("</svg>").unwrap().0;
        let marked = (-3..=3).any(|off| drawing.contains(&format!("points=\"{},", x as i32 + off)));
        assert!(marked, "{drawing}");
    }
}

#[test]
fn a_name_cannot_add_anything_to_a_report() {
    let mut recording = restart();
    recording.backends[1] = "<img src=\"http://x\">|a](b)".to_owned();
    for (name, text) in texts(&recording) {
        assert!(!text.replace("\\<img", "").contains("<img"), "{name}");
        assert!(name != "report.md" || !text.contains("|a](b)"), "{name}");
    }
}

#[test]
fn a_run_of_which_nothing_was_recorded_has_a_report() {
    let mut recording = restart();
    recording.samples.clear();
    recording.cpu.iter_mut().for_each(Vec::clear);
    recording.client.buckets.clear();
    recording.backends.push("a-backend-with-a-name-that-is-longer-than-its-room".to_owned());
    recording.cpu.push(Vec::new());
    assert_eq!(texts(&recording).len(), 8);
    assert!(text(&recording, "cpu-per-backend.svg").contains("nothing was recorded"));
    recording.seconds = 0.0;
    assert_eq!(texts(&recording).len(), 8);
}

#[test]
fn a_long_run_is_drawn_of_no_more_points_than_can_be_told_apart() {
    let mut recording = restart();
    recording.seconds = 36_000.0;
    let last = recording.samples.last().unwrap().clone();
    recording.samples.extend((331..72_000).map(|n| Sample { at: f64::from(n) * 0.5, ..last.clone() }));
    let size: usize = texts(&recording).iter().map(|(_, text)| text.len()).sum();
    assert!(size < 1_000_000, "{size} bytes");
}

#[test]
fn the_story_is_about_the_outage_that_somebody_made() {
    let mut recording = restart();
    let noise = [(5.0, State::Ejected), (8.0, State::SlowStart), (10.0, State::Up), (140.0, State::Ejected)];
    recording.changes.extend(noise.map(|(at, to)| Change { at, backend: 1, to }));
    let story = Story::tell(&recording);
    assert_eq!(story.summary.backend.as_deref(), Some("backend-1"));
    let phases: Vec<(f64, f64)> = story.summary.phases.iter().map(|phase| (phase.from, phase.to)).collect();
    assert_eq!(phases, [(10.0, KILLED), (30.015, STARTED), (UP, 140.0)], "what others did is left out");
    assert!(text(&recording, "report.md").contains("There were 2 more outages."));
}

#[test]
fn after_begins_when_all_are_up() {
    let mut recording = restart();
    let noise =
        [(100.0, State::Ejected), (104.0, State::SlowStart), (105.0, State::Ejected), (120.0, State::Up)];
    recording.changes.extend(noise.map(|(at, to)| Change { at, backend: 2, to }));
    let phases = Story::tell(&recording).summary.phases;
    let phases: Vec<(f64, f64)> = phases.iter().map(|phase| (phase.from, phase.to)).collect();
    assert_eq!(phases, [(0.0, KILLED), (30.015, 100.0), (120.0, END)]);

    recording.changes.retain(|change| change.at != 120.0);
    assert_eq!(Story::tell(&recording).summary.phases.len(), 2, "one is never up again");
}

#[test]
fn what_did_not_happen_before_the_end_is_said() {
    let ends = |changes: usize, seconds: f64| {
        let mut recording = restart();
        recording.changes.truncate(changes);
        recording.seconds = seconds;
        recording.acts.retain(|act| act.at < seconds);
        text(&recording, "report.md")
    };
    assert!(ends(0, 60.0).contains("The balancer did not take it out. "));
    assert!(ends(1, 60.0).contains("backend-1 was not back when the load ended."));
    assert!(ends(1, 110.0).contains("started again after 75 s, and had not come back when the load ended."));
    assert!(ends(2, 107.0).contains("got work 1.2 s later; the load ended before it had its full share."));
}
