//! The parts of the page that only compute, each asked by itself.

use serde_json::{Value, json};

use crate::harness::backend::Backend;
use crate::harness::browser::Browser;
use crate::harness::setup::Setup;

/// What `expression` comes to, with everything that a module of the page exports in `m`.
#[track_caller]
fn of(browser: &mut Browser, module: &str, expression: &str) -> Value {
    browser.eval(&format!("import('/assets/{module}').then((m) => {expression})"))
}

#[test]
fn what_the_page_computes_is_right() {
    let Some(mut browser) = Browser::start() else { return };
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).start();
    browser.open(&format!("http://{}/", balancer.admin));
    numbers_and_times_read_as_people_write_them(&mut browser);
    scales_are_round(&mut browser);
    colours_follow_the_number_of_a_backend(&mut browser);
    a_history_grows_forgets_and_adds_up(&mut browser);
    the_story_tells_the_worst_first(&mut browser);
    what_is_looked_for_is_understood(&mut browser);
    stages_follow_each_other(&mut browser);
    a_clock_that_is_set_back_stops_no_graph(&mut browser);
    a_display_that_stands_still_never_goes_blank(&mut browser);
    a_list_shows_what_it_is_told_also_when_that_repeats(&mut browser);
}

#[track_caller]
fn a_clock_that_is_set_back_stops_no_graph(browser: &mut Browser) {
    let times = of(
        browser,
        "history.js",
        r#"(() => {
            const history = new m.History();
            const sample = { success: 1, redirect: 0, client_error: 0, server_error: 0, in_flight: 0 };
            const tick = (at) => history.tick({ at, total: sample, upstreams: [] });
            [7_200_000, 7_201_000, 7_201_000, 7_200_000].forEach(tick);
            const before = [...history.times];
            [3_600_000, 3_601_000].forEach(tick);
            return [before, history.times, history.track().columns.success];
        })()"#,
    );
    assert_eq!(times, json!([[7_200_000, 7_201_000], [3_600_000, 3_601_000], [1, 1]]));
}

#[track_caller]
fn a_display_that_stands_still_never_goes_blank(browser: &mut Browser) {
    let shown = of(
        browser,
        "view.js",
        r#"(() => {
            const view = new m.View();
            const sample = { success: 1, redirect: 0, client_error: 0, server_error: 0, in_flight: 0 };
            const tick = (second) => view.history.tick({ at: second * 1000, total: sample, upstreams: [] });
            const seconds = (from, to) => Array.from({ length: to - from }, (_, at) => tick(from + at));
            seconds(0, 300);
            view.change({ frozen: view.history.now });
            seconds(300, 600);
            const still = view.now;
            seconds(600, 3000);
            return [still, view.now, view.from, view.times.length];
        })()"#,
    );
    assert_eq!(shown, json!([299_000, 2_160_000, 2_100_000, 61]));
}

#[track_caller]
fn a_list_shows_what_it_is_told_also_when_that_repeats(browser: &mut Browser) {
    let shown = of(
        browser,
        "dom.js",
        r#"(() => {
            const parent = m.el("ul");
            const how = { key: (item) => item, make: (item) => m.el("li", {}, item) };
            return ["aaab", "aaab", "aab", "ba", "", "aa"].map((items) => {
                m.keep(parent, [...items], how);
                return parent.textContent;
            });
        })()"#,
    );
    assert_eq!(shown, json!(["aaab", "aaab", "aab", "ba", "", "aa"]));
}

#[track_caller]
fn numbers_and_times_read_as_people_write_them(browser: &mut Browser) {
    for (expression, expected) in [
        (
            "[0, 0.44, 9.96, 12.3, 9999, 12345, 3456789, null, NaN].map(m.amount)",
            json!(["0", "0.4", "10", "12", "9999", "12.3k", "3.5M", "–", "–"]),
        ),
        (
            "[0.421, 4.25, 42.4, 999.4, 1234, null].map(m.latency)",
            json!(["0.42 ms", "4.3 ms", "42 ms", "999 ms", "1.23 s", "–"]),
        ),
        (
            "[0, 0.0512, 0.333, 0.99999, 1, null].map(m.share)",
            json!(["0 %", "5.1 %", "33 %", "99.99 %", "100 %", "–"]),
        ),
        (
            "[0, 4400, 60_000, 192_000, 7_500_000, 273_600_000].map(m.span)",
            json!(["0 s", "4 s", "1 min", "3 min 12 s", "2 h 5 min", "3 d 4 h"]),
        ),
        ("[m.plural(1, 'backend'), m.plural(12345, 'backend')]", json!(["1 backend", "12,345 backends"])),
    ] {
        // A number is never parted from its unit.
        let expected: Vec<Value> = expected
            .as_array()
            .expect("a list")
            .iter()
            .map(|text| text.as_str().map(joined).expect("a text").into())
            .collect();
        assert_eq!(of(browser, "format.js", expression), Value::from(expected), "{expression}");
    }
}

/// The text with spaces that do not break between each number and its unit.
fn joined(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let mut joined = String::new();
    for (at, word) in words.iter().enumerate() {
        let unit = matches!(*word, "ms" | "s" | "min" | "h" | "d" | "%");
        joined += if at == 0 {
            ""
        } else if unit {
            "\u{a0}"
        } else {
            " "
        };
        joined += word;
    }
    joined
}

#[track_caller]
fn scales_are_round(browser: &mut Browser) {
    let rounded =
        of(browser, "scale.js", "[0, 0.3, 1, 1.1, 24, 26, 99, 100, 101, 730].map((v) => m.roundUp(v, 1))");
    assert_eq!(rounded, json!([1, 1, 1, 2, 25, 50, 100, 100, 200, 1000]));
    let mapped = of(browser, "scale.js", "[0, 5, 10].map(m.linear([0, 10], [100, 0]))");
    assert_eq!(mapped, json!([100, 50, 0]));
    let nearest =
        of(browser, "scale.js", "[-5, 0, 4, 6, 14, 16, 99].map((at) => m.nearest([0, 10, 20], at))");
    assert_eq!(nearest, json!([0, 0, 0, 1, 1, 2, 2]));
    assert_eq!(of(browser, "scale.js", "m.nearest([], 5)"), -1);
    let ticks = of(browser, "scale.js", "m.timeTicks(61_000, 241_000, 400).map((at) => at % 60_000)");
    assert_eq!(ticks, json!([0, 0, 0]), "whole minutes");
}

#[track_caller]
fn colours_follow_the_number_of_a_backend(browser: &mut Browser) {
    let slots = of(
        browser,
        "palette.js",
        "[['backend-1', 5], ['backend-8', 0], ['backend-9', 0], ['web-0', 3], ['blue', 2]].map(([n, p]) => m.slotOf(n, p))",
    );
    assert_eq!(slots, json!([1, 8, 1, 8, 3]));
}

#[track_caller]
fn a_history_grows_forgets_and_adds_up(browser: &mut Browser) {
    let told = of(
        browser,
        "history.js",
        r#"(() => {
            const sample = (success) => ({ success, redirect: 0, client_error: 0, server_error: 1, in_flight: 0 });
            const tick = (at, success) => ({ at, total: sample(success), upstreams: [{ name: "app", sample: sample(success),
                backends: [{ name: "backend-1", sample: sample(success) }] }] });
            const history = new m.History({ times: [1000, 2000], transitions: [],
                tracks: [{ upstream: "app", backend: "backend-1", from: 1, success: [7], in_flight: [0], redirect: [0],
                    client_error: [0], server_error: [0] }] });
            history.tick(tick(2000, 99));
            history.tick(tick(3000, 8));
            const track = history.track("app", "backend-1");
            const short = [...track.columns.success, track.rate(0), track.rate(2), history.sum(track, "success", 1000)];
            for (let second = 4; second < 1000; second += 1) history.tick(tick(second * 1000, 1));
            const change = { at: "2026-01-01T00:00:00.000Z", upstream: "app", backend: "backend-1", to: "down" };
            return { short, kept: [history.times.length, track.columns.success.length], names: history.backends("app"),
                fresh: [history.transition(change), history.transition({ ...change })] };
        })()"#,
    );
    assert_eq!(
        told,
        json!({ "short": [null, 7, 8, null, 9, 15], "kept": [900, 900], "names": ["backend-1"], "fresh": [true, false] })
    );
}

#[track_caller]
fn the_story_tells_the_worst_first(browser: &mut Browser) {
    let told = of(
        browser,
        "story.js",
        r#"(() => {
            const backend = (name, state) => ({ name, state, since: "1970-01-01T00:00:08Z", drained_by: ["operator"],
                ejection: null, slow_start: null, last_check: { words: "connection refused" } });
            const upstream = (available, ...backends) => ({ name: "app", available, fail_open: true, backends });
            const tell = (one, failed, rescued) => m.verdict({ upstreams: [one], process: { ready: true } },
                { all: 1000, failed, rescued, span: 60_000 }, 20_000);
            const up = backend("backend-2", "up");
            return [
                tell(upstream(2, backend("backend-1", "up"), up), 0, 0),
                tell(upstream(1, backend("backend-1", "down"), up), 0, 1),
                tell(upstream(1, backend("backend-1", "draining"), up), 3, 0),
                tell(upstream(0, backend("backend-1", "down")), 0, 0),
            ];
        })()"#,
    );
    let expected = [
        ("good", "All 2 backends are up. No request failed in the last 1 min."),
        (
            "warn",
            "backend-1 is down for 12 s (connection refused). No request failed in the last 1 min; 1 request was rescued by \
             another backend.",
        ),
        (
            "bad",
            "backend-1 is draining for 12 s (by operator). 3 requests of 1,000 failed in the last 1 min.",
        ),
        (
            "bad",
            "backend-1 is down for 12 s (connection refused). Nobody is available in app: all are tried. No request failed \
             in the last 1 min.",
        ),
    ];
    for (told, (level, text)) in told.as_array().expect("a list").iter().zip(expected) {
        assert_eq!(told["level"], level);
        let text = text.replace(" min", "\u{a0}min").replace("12 s", "12\u{a0}s");
        assert_eq!(told["text"], text);
    }
}

#[track_caller]
fn what_is_looked_for_is_understood(browser: &mut Browser) {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let upstreams = r#"[{ name: "app", backends: [{ name: "backend-1" }] }]"#;
    for (text, question) in [
        ("", json!({ "notable": "true" })),
        ("503", json!({ "notable": "true", "status": "503" })),
        ("5XX", json!({ "notable": "true", "status": "5xx" })),
        ("backend-1", json!({ "notable": "true", "backend": "backend-1" })),
        ("app/backend-1", json!({ "notable": "true", "upstream": "app", "backend": "backend-1" })),
        (&trace.to_uppercase(), json!({ "notable": "false", "trace": trace })),
        (&format!("00-{trace}-00f067aa0ba902b7-01"), json!({ "notable": "false", "trace": trace })),
        ("600", json!({ "notable": "false", "id": "600" })),
        ("backend-2", json!({ "notable": "false", "id": "backend-2" })),
    ] {
        let asked = format!("m.questionFor({}, 'true', {upstreams})", json!(text));
        assert_eq!(of(browser, "question.js", &asked), question, "{text}");
    }
}

#[track_caller]
fn stages_follow_each_other(browser: &mut Browser) {
    let placed = |browser: &mut Browser, one: Value| {
        let stages = of(browser, "explanation.js", &format!("m.placed({one})"));
        let told = stages.as_array().expect("a list").iter();
        told.map(|stage| json!([stage["stage"], stage["from"], stage["took"]])).collect::<Vec<_>>()
    };
    let whole =
        json!({ "start_ms": 1, "connect_ms": 2, "send_ms": 3, "wait_ms": 4, "relay_ms": 5, "total_ms": 14 });
    let stages = json!([["connect", 1, 2], ["send", 3, 3], ["wait", 6, 4], ["relay", 10, 5]]);
    assert_eq!(json!(placed(browser, whole)), stages);
    let early = json!({ "start_ms": 1, "connect_ms": null, "send_ms": 9, "wait_ms": 0, "relay_ms": 7, "total_ms": 10 });
    assert_eq!(json!(placed(browser, early)), json!([["send", 1, 9], ["wait", 10, 0], ["relay", 4, 7]]));
    let cut = json!({ "start_ms": 1, "connect_ms": 2, "send_ms": null, "wait_ms": null, "relay_ms": null, "total_ms": null });
    assert_eq!(json!(placed(browser, cut)), json!([["connect", 1, 2]]));
}
