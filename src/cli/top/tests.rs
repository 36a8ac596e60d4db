use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use insta::assert_snapshot;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use serde_json::{Value, json};

use super::columns::Column;
use super::state::{Action, Change, Link};
use super::told::{Decisions, Place};
use super::update::News;
use super::*;

const LOOK: Look = Look { colour: true, unicode: true };

/// 2026-11-21T09:51:00Z, when the balancer that is watched here tells its first second.
const BEGIN: u64 = 1_795_254_660_000;

/// Somebody who watches, at a terminal of some size.
struct Watcher {
    state: State,
    terminal: Terminal<TestBackend>,
    look: Look,
    now: Moment,
}

impl Watcher {
    fn at(columns: u16, lines: u16) -> Self {
        let now = Moment(BEGIN);
        let terminal = Terminal::new(TestBackend::new(columns, lines)).expect("it cannot fail");
        Self { state: State::new(Plain::of("127.0.0.1:9900"), now), terminal, look: LOOK, now }
    }

    fn after(&mut self, event: Event) -> Option<Wish> {
        update(&mut self.state, event, self.now)
    }

    /// The balancer tells a second of these upstreams.
    fn tick(&mut self, upstreams: &Value) -> Option<Wish> {
        self.now.0 += 1000;
        let total =
            json!({ "success": 1234.5, "server_error": 0.5, "p50_ms": 0.71, "p99_ms": 12.3, "in_flight": 7 });
        let process = json!({ "version": "0.1.0", "ready": true, "generation": 2, "uptime_seconds": 18_190 });
        let tick = json!({ "at": self.now.0, "process": process, "total": total, "upstreams": upstreams });
        let tick = serde_json::from_value(tick).expect("a tick");
        self.after(Event::Told(News::Tick(Box::new(tick))))
    }

    fn transition(&mut self, backend: &str, [from, to]: [&str; 2], words: &str) {
        let transition = json!({
            "at": "2026-11-21T09:51:07.250Z", "upstream": "app", "backend": backend, "from": from, "to": to,
            "cause": "check", "words": words,
        });
        let transition = serde_json::from_value(transition).expect("a transition");
        self.after(Event::Told(News::Transition(Box::new(transition))));
    }

    fn press(&mut self, key: KeyCode) -> Option<Wish> {
        self.after(Event::Key(KeyEvent::new(key, KeyModifiers::NONE)))
    }

    /// Types a text; returns what the last key wishes.
    fn type_in(&mut self, text: &str) -> Option<Wish> {
        text.chars().map(|c| self.press(KeyCode::Char(c))).last().flatten()
    }

    /// What is on the screen.
    fn picture(&mut self) -> String {
        let (state, look) = (&self.state, self.look);
        self.terminal.draw(|frame| view(state, look, frame)).expect("it cannot fail");
        let text = self.terminal.backend().to_string();
        let lines = text.lines().map(|line| line.trim_matches('"').trim_end());
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The backends on the screen, from top to bottom.
    fn names(&mut self) -> Vec<String> {
        let picture = self.picture();
        let words =
            picture.lines().skip(3).filter_map(|line| line.trim_start_matches(['›', ' ']).split(' ').next());
        words.filter(|word| word.starts_with("backend-")).map(str::to_owned).collect()
    }
}

/// A backend that does well.
fn backend(name: &str, rate: f64) -> Value {
    json!({
        "name": name, "address": "10.0.0.1:8080", "state": "up", "since": "2026-11-21T09:50:00.000Z",
        "weight": 1, "configured_weight": 1, "effective_weight": 1.0, "share": 0.333, "in_flight": 3,
        "in_flight_limit": 100, "cpu_percent": 12.4, "requests_total": 1234,
        "last_check": { "result": "pass", "words": "status 200", "at": "2026-11-21T09:51:00.000Z" },
        "sample": { "success": rate, "p50_ms": 0.714, "p99_ms": rate / 10.0, "failed": 0, "retries": 0 },
    })
}

/// The same with other values.
fn but(mut backend: Value, others: Value) -> Value {
    let (fields, Value::Object(others)) = (backend.as_object_mut().expect("an object"), others) else {
        panic!("an object");
    };
    fields.extend(others);
    backend
}

fn upstream(name: &str, backends: &[Value]) -> Value {
    let up = backends.iter().filter(|backend| backend["state"] == "up").count();
    json!({
        "name": name, "balance": "round_robin", "configured": backends.len(), "available": up,
        "fail_open": false, "queued": 0, "backends": backends, "sample": { "success": 400.0 },
    })
}

/// Three backends, of which one is down and one drains, and another upstream.
fn troubled() -> Value {
    let down = json!({
        "state": "down", "since": "2026-11-21T09:50:48.000Z", "share": 0.0, "in_flight": 0, "cpu_percent": null,
        "suspect": true, "last_check": { "result": "fail_connect", "words": "connection refused",
        "at": "2026-11-21T09:51:00.000Z" },
        "sample": { "success": 0, "failed": 2, "retries": 2 },
    });
    let draining = json!({
        "state": "draining", "share": 0.0, "drained_by": ["operator"], "weight": 5, "in_flight_limit": null,
        "cpu_percent": 97.0,
    });
    json!([
        upstream(
            "app",
            &[
                but(backend("backend-1", 0.0), down),
                but(backend("backend-2", 40.0), draining),
                backend("backend-10", 360.0),
            ]
        ),
        but(upstream("static", &[backend("backend-1", 5.5)]), json!({ "fail_open": true, "queued": 4 })),
    ])
}

/// Someone who has seen this for a while.
fn watched(columns: u16, lines: u16) -> Watcher {
    let mut watcher = Watcher::at(columns, lines);
    (0..20).for_each(|_| drop(watcher.tick(&troubled())));
    watcher.transition("backend-1", ["up", "down"], "connection refused");
    watcher.transition("backend-2", ["up", "draining"], "an operator drains it");
    watcher
}

#[test]
fn eighty_columns_and_twenty_four_lines_show_all_there_is() {
    let mut watcher = watched(80, 24);
    assert_snapshot!(watcher.picture());
}

#[test]
fn a_large_terminal_shows_more_of_it() {
    let mut watcher = watched(120, 40);
    watcher.press(KeyCode::Down);
    watcher.press(KeyCode::Right);
    assert_snapshot!(watcher.picture());
}

#[test]
fn a_backend_is_shown_with_its_graphs_and_its_latest_decisions() {
    let mut watcher = watched(80, 24);
    let place = Place { upstream: Plain::of("app"), backend: Plain::of("backend-1") };
    assert_eq!(watcher.press(KeyCode::Enter), Some(Wish::Decisions(place.clone())));
    let told: Decisions = serde_json::from_value(json!({ "exchanges": [{
        "at": "2026-11-21T09:51:07.250Z", "method": "GET", "path": "/basket", "status": 502, "duration_ms": 12.25,
        "words": "backend-1 was picked and refused the connection",
    }] }))
    .expect("decisions");
    watcher.after(Event::Decided(place.clone(), Ok(told)));
    assert_snapshot!(watcher.picture());
    assert_eq!(watcher.tick(&troubled()), None, "it was asked a second ago");
    assert_eq!(watcher.tick(&troubled()), Some(Wish::Decisions(place)), "it is kept up to date");
    assert_eq!(watcher.tick(&troubled()), None, "not while an answer is waited for");
    watcher.press(KeyCode::Esc);
    assert!(watcher.state.detail.is_none());
}

#[test]
fn the_help_tells_of_every_key_and_column() {
    let mut watcher = watched(80, 24);
    watcher.press(KeyCode::Char('?'));
    let keys = watcher.picture();
    watcher.press(KeyCode::Char('?'));
    let columns = watcher.picture();
    for (key, meaning) in keys::KEYS {
        assert!(keys.contains(key) && keys.contains(meaning), "{key} in\n{keys}");
    }
    for column in Column::ALL {
        assert!(
            columns.contains(column.head()) && columns.contains(column.meaning()),
            "{column:?} in\n{columns}"
        );
    }
}

#[test]
fn nothing_to_show_is_said() {
    let mut watcher = Watcher::at(80, 24);
    assert!(watcher.picture().contains("waiting for the balancer"));
    watcher.after(Event::Lost(Plain::of("connection refused")));
    let picture = watcher.picture();
    assert!(picture.contains("connection refused; asked again each second"), "{picture}");
    watcher.tick(&json!([]));
    assert!(watcher.picture().contains("the configuration has no upstreams"));
    watcher.tick(&json!([upstream("app", &[])]));
    assert!(watcher.picture().contains("app  round_robin  0 of 0 available"));
    assert_eq!(watcher.press(KeyCode::Char('d')), None, "there is nothing to drain");
    assert!(watcher.state.prompt.is_none());
}

#[test]
fn why_the_balancer_is_not_reached_is_said_to_its_end() {
    let mut watcher = Watcher::at(80, 10);
    let why = "no answer from the admin server at 127.0.0.1:9900; is plimsoll running, and is its \
               `admin.address` another? Name it by --admin: Connection refused (os error 111)";
    watcher.after(Event::Lost(Plain::of(why)));
    assert_snapshot!(watcher.picture());
}

#[test]
fn sixty_backends_are_scrolled_through() {
    let backends: Vec<Value> =
        (1..=60).map(|number| backend(&format!("backend-{number}"), f64::from(number))).collect();
    let upstreams = json!([upstream("app", &backends)]);
    let mut watcher = Watcher::at(80, 24);
    watcher.tick(&upstreams);
    let top = watcher.names();
    assert_eq!((top[0].as_str(), top.len() > 8), ("backend-1", true), "{top:?}");
    (0..39).for_each(|_| drop(watcher.press(KeyCode::Down)));
    let middle = watcher.names();
    assert!(
        middle.contains(&"backend-40".to_owned()) && !middle.contains(&"backend-1".to_owned()),
        "{middle:?}"
    );
    watcher.press(KeyCode::End);
    let end = watcher.names();
    assert_eq!(end.last().map(String::as_str), Some("backend-60"));
    assert_eq!(end.len(), top.len() + 1, "the upstream's line has gone");
    watcher.press(KeyCode::Down);
    assert!(watcher.picture().contains("›backend-60"), "there is no further");
    watcher.tick(&json!([upstream("app", &backends[..3])]));
    assert!(watcher.picture().contains("›backend-1 "), "the selected one is gone: the first is");
}

#[test]
fn backends_are_sorted_by_any_column_within_their_upstream() {
    let mut watcher = watched(120, 24);
    watcher.press(KeyCode::Down);
    assert_eq!(watcher.names(), ["backend-1", "backend-2", "backend-10", "backend-1"], "as configured");
    watcher.type_in(">>");
    assert_eq!(watcher.state.sort.column, Some(Column::State));
    assert_eq!(watcher.names()[..3], ["backend-1", "backend-2", "backend-10"], "the worst first");
    watcher.type_in(">>>>");
    assert_eq!(watcher.state.sort.column, Some(Column::Rate));
    assert_eq!(watcher.names()[..3], ["backend-10", "backend-2", "backend-1"]);
    assert!(watcher.picture().contains("RPS▼"), "it is shown");
    watcher.type_in("o");
    assert_eq!(watcher.names()[..3], ["backend-1", "backend-2", "backend-10"]);
    assert!(watcher.picture().contains("RPS▲"));
    (0..=Column::ALL.len()).for_each(|_| drop(watcher.press(KeyCode::Left)));
    assert_eq!(watcher.state.sort.column, Some(Column::Rate), "round and round");
    assert!(watcher.picture().contains("›backend-2 "), "who is selected stays so");
}

#[test]
fn only_what_contains_a_text_is_shown() {
    let mut watcher = watched(80, 24);
    watcher.type_in("/DRAIN");
    assert_eq!(watcher.names(), ["backend-2"], "while it is typed");
    assert!(!watcher.picture().contains("static"), "nor is an upstream with nothing below it");
    watcher.press(KeyCode::Enter);
    assert!(watcher.picture().contains("shown is what contains: DRAIN"));
    watcher.type_in("/q");
    assert!(watcher.picture().contains("nothing contains this"));
    watcher.press(KeyCode::Esc);
    assert_eq!(watcher.names(), ["backend-2"], "what was typed is left");
    watcher.press(KeyCode::Esc);
    assert_eq!(watcher.names().len(), 4);
}

#[test]
fn a_change_is_asked_for_twice_and_its_result_is_said() {
    let mut watcher = watched(80, 24);
    let place = Place { upstream: Plain::of("app"), backend: Plain::of("backend-10") };
    let change = |action| Some(Wish::Change(Change { place: place.clone(), action }));
    watcher.type_in("jjd");
    assert!(watcher.picture().contains("drain app/backend-10? No other backend of its upstream takes work!"));
    assert_eq!(watcher.type_in("xn"), None);
    assert!(watcher.state.prompt.is_none(), "no is no");
    assert_eq!(watcher.type_in("dy"), change(Action::Drain));
    assert_eq!(watcher.type_in("ry"), change(Action::Ready));
    watcher.type_in("w12");
    assert!(watcher.picture().contains("weight of app/backend-10, 0 to 1000: 12"));
    watcher.press(KeyCode::Enter);
    assert!(watcher.picture().contains("set the weight of app/backend-10 to 12?"));
    assert_eq!(watcher.type_in("y"), change(Action::Weigh(12)));
    watcher.type_in("w1001");
    watcher.press(KeyCode::Enter);
    assert!(watcher.picture().contains("a weight is a number from 0 to 1000"));
    watcher.after(Event::Changed(Err(Plain::of("this change needs the token"))));
    assert!(watcher.picture().contains(" this change needs the token"));
}

#[test]
fn a_balancer_that_is_lost_is_said_to_be_and_found_again() {
    let mut watcher = watched(80, 24);
    watcher.now.0 += 12_000;
    watcher.after(Event::Lost(Plain::of("connection reset")));
    watcher.now.0 += 60_000;
    watcher.after(Event::Lost(Plain::of("connection refused")));
    let picture = watcher.picture();
    assert!(picture.contains("✕ lost"), "{picture}");
    assert!(picture.contains("not heard for 1m 12s, since 09:51:20 UTC: connection reset"), "{picture}");
    assert!(picture.contains("backend-10"), "what was known stays in view");
    watcher.after(Event::Second);
    assert!(!watcher.state.is_live());
    watcher.tick(&troubled());
    assert!(watcher.picture().contains("● ready"));
    watcher.after(Event::Told(News::Bye));
    assert!(watcher.picture().contains("◐ ending"));
    watcher.after(Event::Lost(Plain::of("it has ended the connection")));
    assert_eq!(watcher.state.link, Link::Lost(Plain::of("it has ended in good order")));
}

#[test]
fn no_word_of_the_network_commands_the_terminal() {
    const EVIL: &str = "\u{1b}]0;x\u{7}\u{1b}[2J\u{9b}31m\u{202e}\r\n\u{8}\u{200b}";
    let evil = json!({
        "name": EVIL, "address": EVIL, "drained_by": [EVIL], "ejection": { "reason": EVIL },
        "last_check": { "result": EVIL, "words": EVIL, "at": EVIL },
    });
    let upstreams = json!([but(upstream(EVIL, &[but(backend("b", 1.0), evil)]), json!({ "balance": EVIL }))]);
    let mut watcher = Watcher::at(200, 40);
    watcher.tick(&upstreams);
    watcher.transition(EVIL, ["up", "down"], EVIL);
    let place = Place { upstream: Plain::of(EVIL), backend: Plain::of(EVIL) };
    let mut pictures = vec![watcher.picture()];
    watcher.press(KeyCode::Enter);
    let exchange =
        json!({ "at": EVIL, "method": EVIL, "path": EVIL, "status": 200, "duration_ms": 1, "words": EVIL });
    let told = serde_json::from_value(json!({ "exchanges": [exchange] })).expect("decisions");
    watcher.after(Event::Decided(place, Ok(told)));
    watcher.after(Event::Changed(Err(Plain::of(EVIL))));
    pictures.push(watcher.picture());
    watcher.after(Event::Lost(Plain::of(EVIL)));
    pictures.push(watcher.picture());
    for picture in pictures {
        let obeyed = |c: &char| (c.is_control() && *c != '\n') || "\u{202e}\u{200b}".contains(*c);
        assert_eq!(picture.chars().find(obeyed), None, "{picture:?}");
        assert!(picture.contains("\u{fffd}]0;x\u{fffd}"), "it is shown for what it is: {picture}");
    }
}

#[test]
fn wide_names_keep_the_columns_in_their_places() {
    let names = ["後端伺服器一", "bäckend-1", "a-very-long-name-of-a-backend-17", "e\u{301}e\u{301}"];
    let backends: Vec<Value> = names.iter().map(|name| backend(name, 10.0)).collect();
    let mut watcher = Watcher::at(80, 24);
    watcher.tick(&json!([upstream("app", &backends)]));
    watcher.picture();
    let buffer = watcher.terminal.backend().buffer();
    let shapes: Vec<u16> = (4..8).filter_map(|y| (0..80).find(|x| buffer[(*x, y)].symbol() == "●")).collect();
    assert_eq!(shapes.len(), 4);
    assert!(shapes.iter().all(|x| *x == shapes[0]), "{shapes:?}");
    assert!(watcher.picture().contains("-17"), "the end of a name tells it from others");
}

#[test]
fn without_colours_all_is_said_in_words_and_shapes() {
    let mut watcher = watched(80, 24);
    watcher.picture();
    let coloured = |watcher: &Watcher| {
        let cells = watcher.terminal.backend().buffer().content();
        cells.iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
    };
    assert!(coloured(&watcher));
    watcher.look.colour = false;
    watcher.picture();
    assert!(!coloured(&watcher));
    watcher.look.unicode = false;
    let picture = watcher.picture();
    assert!(picture.is_ascii(), "{picture}");
    assert!(picture.contains("x down") && picture.contains("- drain"), "{picture}");
}

#[test]
fn every_size_of_a_terminal_is_drawn() {
    for (columns, lines) in [(1, 1), (39, 24), (40, 10), (41, 11), (80, 12), (300, 100)] {
        let mut watcher = watched(columns, lines);
        watcher.picture();
        watcher.press(KeyCode::Enter);
        watcher.picture();
        watcher.type_in("?");
        watcher.picture();
    }
}

#[test]
fn any_keys_in_any_order_are_taken() {
    let mut watcher = watched(80, 24);
    let mut seed = 7_u32;
    let keys = "jkgG<>o/?dryynw1:q\u{e9}".chars().map(KeyCode::Char);
    let others =
        [KeyCode::Enter, KeyCode::Esc, KeyCode::Backspace, KeyCode::PageDown, KeyCode::Tab, KeyCode::F(5)];
    let keys: Vec<KeyCode> = keys.chain(others).collect();
    for _ in 0..3000 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        watcher.press(keys[(seed >> 16) as usize % keys.len()]);
        if seed.is_multiple_of(50) {
            watcher.picture();
        }
    }
    assert!(watcher.state.filter.chars().count() <= 64);
    let quit = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(watcher.after(Event::Key(quit)), Some(Wish::Quit), "whatever is open");
}
