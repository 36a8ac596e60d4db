//! What a glance relies on: a backend has the same colour everywhere, and so have codes and states.

use std::collections::BTreeMap;

use plimsoll::telemetry::BackendState;
use plimsoll::telemetry::Label as _;
use serde_json::Value;

use super::board::{Board, Panel, items, text};
use super::each_board;
use crate::tree::{self, Violation};

/// What the classes of codes look like.
const CODES: [(&str, &str); 3] = [("2xx", "green"), ("4xx", "orange"), ("5xx", "red")];

#[test]
fn a_backend_has_one_colour() {
    let boards = Board::all();
    let graphs: Vec<_> = boards
        .iter()
        .flat_map(|board| lines_by_backend(board).into_iter().map(move |panel| (board, panel)))
        .collect();
    assert!(graphs.len() > 10, "many panels draw a line for each backend");
    let colours = |panel: Panel<'_>| -> Vec<Value> {
        let of_backends = |own: &&Value| text(&own["matcher"], "options").contains("backend-");
        panel.overrides().filter(of_backends).cloned().collect()
    };
    let first = colours(graphs[0].1);
    assert!(first.len() >= 3, "three backends have a colour");
    let found = graphs.iter().filter_map(|(board, panel)| {
        // A backend with another name gets the colour that its name leads to, on every panel the same.
        let by_name = text(&panel.0["fieldConfig"]["defaults"]["color"], "mode") == "palette-classic-by-name";
        let same = colours(*panel) == first && by_name;
        (!same).then(|| board.violation(*panel, "backends have other colours than elsewhere"))
    });
    tree::assert_kept("a backend changes its colour", found.collect());
}

/// The panels of a board that draw a line for each backend.
fn lines_by_backend(board: &Board) -> Vec<Panel<'_>> {
    let by_backend = |panel: &Panel<'_>| {
        let mut legends = panel.targets().map(|target| text(target, "legendFormat"));
        text(panel.0, "type") == "timeseries" && legends.any(|legend| legend.contains("{{backend}}"))
    };
    board.graphs().into_iter().filter(by_backend).collect()
}

#[test]
fn codes_have_the_colours_everybody_knows() {
    tree::assert_kept("a class of codes has an unusual colour", each_board(strange_codes));
}

fn strange_codes(board: &Board) -> Vec<Violation> {
    let by_class =
        |panel: &Panel<'_>| panel.targets().any(|target| text(target, "legendFormat") == "{{class}}");
    let mut found = Vec::new();
    for panel in board.graphs().into_iter().filter(by_class) {
        for (class, colour) in CODES {
            let mut own = panel.overrides().filter(|own| text(&own["matcher"], "options") == class);
            let shown = own.next().and_then(|own| own.pointer("/properties/0/value/fixedColor")?.as_str());
            if shown != Some(colour) {
                found.push(board.violation(panel, &format!("{class} is not {colour}")));
            }
        }
    }
    found
}

#[test]
fn states_are_shown_by_their_names() {
    tree::assert_kept("a panel shows a number where a state has a name", each_board(strange_states));
}

pub(super) fn strange_states(board: &Board) -> Vec<Violation> {
    let names: BTreeMap<String, String> = BackendState::ALL
        .iter()
        .map(|state| (state.index().to_string(), state.as_str().replace('_', " ")))
        .collect();
    let is_state = |target: &Value| {
        text(target, "expr").contains("(plimsoll_backend_state{")
            || text(target, "expr").starts_with("plimsoll_backend_state{")
    };
    let mut found = Vec::new();
    for panel in board.graphs() {
        if !panel.targets().any(is_state) {
            continue;
        }
        let shown: Vec<BTreeMap<String, String>> = mappings(panel).map(names_in).collect();
        if !shown.contains(&names) {
            found.push(board.violation(panel, &format!("its value mappings are not {names:?}")));
        }
    }
    found
}

/// The value mappings of a panel, of all its series or of one column.
fn mappings<'a>(panel: Panel<'a>) -> impl Iterator<Item = &'a Value> {
    let of_column = panel
        .overrides()
        .flat_map(|own| items(own, "properties"))
        .filter(|property| text(property, "id") == "mappings")
        .flat_map(|property| items(property, "value"));
    items(&panel.0["fieldConfig"]["defaults"], "mappings").chain(of_column)
}

fn names_in(mapping: &Value) -> BTreeMap<String, String> {
    let options = mapping["options"].as_object().into_iter().flatten();
    options.map(|(value, shown)| (value.clone(), text(shown, "text").to_owned())).collect()
}

#[test]
fn gaps_stay_gaps() {
    let bridged = |board: &Board| {
        let drawn = |panel: &Panel<'_>| matches!(text(panel.0, "type"), "timeseries" | "state-timeline");
        let graphs = board.graphs().into_iter().filter(drawn);
        graphs
            .filter(|panel| panel.0["fieldConfig"]["defaults"]["custom"]["spanNulls"] != false)
            .map(|panel| {
                board.violation(panel, "spanNulls is not false: what was not measured would be drawn")
            })
            .collect()
    };
    tree::assert_kept("a line is drawn where nothing was measured", each_board(bridged));
}

#[test]
fn links_lead_to_boards_that_exist() {
    let boards = Board::all();
    let uids: Vec<_> = boards.iter().map(|board| text(&board.json, "uid")).collect();
    let link = regex::Regex::new("\"/d/([^?/\"]+)").expect("invariant: a constant pattern");
    let found = boards.iter().flat_map(|board| {
        board.file.lines().filter_map(|(line, written)| {
            let target = link.captures(written)?.get(1)?.as_str();
            (!uids.contains(&target))
                .then(|| board.file.violation(line, format!("there is no board {target}")))
        })
    });
    tree::assert_kept("a link leads nowhere", found.collect());
}
