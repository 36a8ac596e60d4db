//! Dashboards: Grafana can load them, they look and behave alike, and their panels say what they show.
//!
//! `board` reads a file; what the expressions ask for is held against the metrics in `monitoring`.

mod asks;
mod board;
mod looks;
mod provisioning;

pub(super) use board::Board;

use std::collections::BTreeSet;

use board::{items, text};
use serde_json::Value;

use crate::tree::{self, Violation};

/// The boards there are, by the names of their files.
const BOARDS: [&str; 5] = ["backends", "balancer", "overview", "request-path", "slo"];

/// Variables of every board, in this order; others come after them.
const VARIABLES: [&str; 5] = ["datasource", "job", "instance", "upstream", "backend"];

/// Keys of what is no classic dashboard: a resource of the newer API, or an export that asks for inputs.
const NOT_CLASSIC: [&str; 10] = [
    "apiVersion",
    "kind",
    "metadata",
    "spec",
    "status",
    "elements",
    "layout",
    "__inputs",
    "__requires",
    "__elements",
];

#[test]
fn there_are_the_five_boards() {
    let names: Vec<_> = Board::all().iter().map(|board| board.name().to_owned()).collect();
    assert_eq!(names, BOARDS);
}

#[test]
fn a_board_can_be_provisioned() {
    tree::assert_kept("a dashboard cannot be provisioned", each_board(not_provisionable));
}

fn not_provisionable(board: &Board) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut complain = |what: String| found.push(board.file.violation(1, what));
    for key in NOT_CLASSIC.iter().filter(|key| board.json.get(**key).is_some()) {
        complain(format!("`{key}` is not of the classic model"));
    }
    if board.file.text.contains("${DS_") {
        complain("an input for a data source: nobody is asked for it".to_owned());
    }
    // Grafana gives the number; one in the file may be another dashboard's.
    if board.json.get("id").is_some_and(|id| !id.is_null()) {
        complain("has an `id`".to_owned());
    }
    if !matches!(board.json["schemaVersion"].as_u64(), Some(41 | 42)) {
        complain("schemaVersion is neither 41 nor 42".to_owned());
    }
    if text(&board.json, "uid") != format!("plimsoll-{}", board.name()) {
        complain(format!("uid is not plimsoll-{}", board.name()));
    }
    found
}

/// So that a change shows as what it is, whoever made it with whatever.
#[test]
fn boards_are_written_in_one_way() {
    let found = Board::all().into_iter().filter_map(|board| {
        let mut written = serde_json::to_string_pretty(&board.json).expect("JSON can be written");
        written.push('\n');
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(tree::root().join(&board.file.path), &written).expect("the board can be written");
        }
        let differs = board.file.text.lines().zip(written.lines()).position(|(is, should)| is != should);
        (board.file.text != written).then(|| {
            board
                .file
                .violation(differs.map_or(1, |line| line + 1), "not as it would be printed: `just bless`")
        })
    });
    tree::assert_kept("a dashboard is not written as all are", found.collect());
}

#[test]
fn boards_behave_alike() {
    let boards = Board::all();
    let first = &boards[0];
    let common = ["tags", "links", "refresh", "time", "graphTooltip", "annotations", "editable"];
    let found = boards.iter().flat_map(|board| {
        let other = common.iter().filter(|key| board.json.get(**key) != first.json.get(**key));
        let other: Vec<_> = other.map(|key| (*key).to_owned()).collect();
        let variables = |board: &Board| -> Vec<Value> {
            items(&board.json["templating"], "list").take(VARIABLES.len()).cloned().collect()
        };
        let names: Vec<_> =
            variables(board).iter().map(|variable| text(variable, "name").to_owned()).collect();
        let differ = names != VARIABLES || variables(board) != variables(first);
        let differ = differ.then(|| format!("the variables {}", VARIABLES.join(", ")));
        other
            .into_iter()
            .chain(differ)
            .map(|what| board.file.violation(1, format!("{what}: not as in {}", first.file.path)))
    });
    tree::assert_kept("a dashboard does not behave as the others do", found.collect());
    let json = &first.json;
    assert_eq!(json["tags"], serde_json::json!(["plimsoll"]));
    assert_eq!(
        (text(json, "refresh"), text(&json["time"], "from"), json["graphTooltip"].as_u64()),
        ("5s", "now-15m", Some(1))
    );
    assert_eq!(text(&json["links"][0], "type"), "dashboards");
    assert!(json["links"][0]["keepTime"] == true && json["links"][0]["includeVars"] == true);
}

#[test]
fn panels_say_what_they_show() {
    tree::assert_kept("a panel does not say what it shows", each_board(silent_panels));
}

fn silent_panels(board: &Board) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut titles = BTreeSet::new();
    for panel in board.graphs() {
        let mut complain = |what: &str| found.push(board.violation(panel, what));
        let description = text(panel.0, "description");
        if description.len() < 20 || !description.ends_with('.') {
            complain("the description is no sentence");
        }
        if text(&panel.0["fieldConfig"]["defaults"], "unit").is_empty() {
            complain("has no unit");
        }
        if !titles.insert(panel.title()) {
            complain("another panel has that title");
        }
        if panel.targets().next().is_none() {
            complain("asks nothing");
        }
    }
    found
}

#[test]
fn panels_have_their_own_place() {
    tree::assert_kept("a panel is in the way", each_board(misplaced_panels));
}

fn misplaced_panels(board: &Board) -> Vec<Violation> {
    let panels = board.panels();
    let mut found = Vec::new();
    for (index, panel) in panels.iter().enumerate() {
        let [left, top, right, bottom] = panel.edges();
        if left < 0 || top < 0 || right > 24 || right <= left || bottom <= top {
            found.push(board.violation(*panel, "is outside the grid of 24 columns"));
        }
        for other in &panels[..index] {
            let [other_left, other_top, other_right, other_bottom] = other.edges();
            if left < other_right && other_left < right && top < other_bottom && other_top < bottom {
                found.push(board.violation(*panel, &format!("overlaps {}", other.title())));
            }
            if panel.0["id"] == other.0["id"] || !panel.0["id"].is_u64() {
                found.push(board.violation(*panel, &format!("has the id of {}, or none", other.title())));
            }
        }
    }
    found
}

#[test]
fn rates_follow_the_step_of_the_graph() {
    tree::assert_kept("a fixed window loses samples or smears them", each_board(fixed_windows));
}

fn fixed_windows(board: &Board) -> Vec<Violation> {
    let fixed = regex::Regex::new(r"\[[^\]]*\d[smhdwy][^\]]*\]").expect("invariant: a constant pattern");
    let asked = board.asked();
    let wrong = asked.iter().filter(|asked| fixed.is_match(&asked.expr) || asked.expr.contains("irate("));
    wrong
        .map(|asked| {
            let what = format!("use $__rate_interval, or a recording rule: {}", asked.expr);
            board.file.violation(asked.line, what)
        })
        .collect()
}

#[test]
fn panels_ask_the_chosen_data_source() {
    let wrong = |board: &Board| {
        let mut found = Vec::new();
        for panel in board.graphs() {
            let mut names = BTreeSet::new();
            let elsewhere = |value: &Value| text(&value["datasource"], "uid") != "${datasource}";
            if elsewhere(panel.0) || panel.targets().any(elsewhere) {
                found.push(board.violation(panel, "does not ask ${datasource}"));
            }
            if !panel.targets().all(|target| names.insert(text(target, "refId"))) {
                found.push(board.violation(panel, "two queries have the same refId"));
            }
        }
        found
    };
    tree::assert_kept("a panel asks elsewhere", each_board(wrong));
}

fn each_board(check: impl Fn(&Board) -> Vec<Violation>) -> Vec<Violation> {
    Board::all().iter().flat_map(check).collect()
}

#[test]
fn each_mistake_is_found() {
    let board = |json: Value| {
        let text = serde_json::to_string_pretty(&json).expect("JSON can be written");
        Board::parse(tree::File { path: "grafana-dashboards/planted.json".to_owned(), text })
    };
    let panel = |id: u64, x: u64, expr: &str| {
        serde_json::json!({
            "id": id, "type": "stat", "title": format!("panel {id}"), "description": "Says what it shows, in a sentence.",
            "gridPos": {"x": x, "y": 0, "w": 12, "h": 4}, "targets": [{"refId": "A", "expr": expr}],
            "fieldConfig": {"defaults": {"unit": "s"}, "overrides": []},
        })
    };
    let good = board(serde_json::json!({
        "uid": "plimsoll-planted", "schemaVersion": 42,
        "panels": [panel(1, 0, "rate(plimsoll_requests_total[$__rate_interval])"), panel(2, 12, "up")],
    }));
    let bad = board(serde_json::json!({
        "apiVersion": "v2", "schemaVersion": 42, "uid": "plimsoll-planted",
        "panels": [panel(1, 0, "rate(plimsoll_requests_total[2m])"), panel(1, 6, "up"), {"id": 3, "title": "mute", "gridPos": {"x": 12, "y": 9, "w": 13, "h": 1}}],
    }));
    for check in [not_provisionable, silent_panels, misplaced_panels, fixed_windows] {
        assert_eq!(check(&good), []);
        assert_ne!(check(&bad), []);
    }
}
