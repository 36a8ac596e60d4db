//! Alerts: whoever is woken by one finds what it means, where to look and what to do.

use regex::Regex;

use super::dashboards::Board;
use super::rules::Rules;
use super::series::Series;
use crate::tree;

/// Where every alert is explained, under a heading that is its name.
const RUNBOOK: &str = "monitoring/RUNBOOK.md";

/// What each alert says, and nothing else. The runbook is a path in this repository and no `runbook_url`, of which Grafana
/// and Alertmanager make a link; Grafana leads from an alert to the panel that the other two name.
const ANNOTATIONS: [&str; 5] = ["__dashboardUid__", "__panelId__", "description", "runbook", "summary"];

#[test]
fn every_alert_says_how_urgent_it_is_and_where_to_look() {
    let (rules, boards) = (Rules::load(), Board::all());
    let mut found = Vec::new();
    for (name, rule, _) in rules.alerts() {
        let mut broken = |what: String| found.push(rule.violation(format!("{name}: {what}")));
        let severity = rule.labels.get("severity").map(String::as_str);
        if !matches!(severity, Some("page" | "ticket")) {
            broken(format!("its severity is {severity:?}, not page or ticket"));
        }
        if !rule.annotations.keys().eq(ANNOTATIONS) {
            broken(format!("its annotations are {:?}, not {ANNOTATIONS:?}", rule.annotations.keys()));
        }
        let annotation = |key| rule.annotations.get(key).map_or("", String::as_str);
        let (uid, id) = (annotation("__dashboardUid__"), annotation("__panelId__"));
        let board = boards.iter().find(|board| board.json["uid"] == uid);
        if !board.is_some_and(|board| has_panel(board, id)) {
            broken(format!(
                "there is no panel `{id}` on a dashboard `{uid}`, or not always under that number"
            ));
        }
        if annotation("runbook") != format!("{RUNBOOK}#{}", name.to_lowercase()) {
            broken(format!("`{}` is not its section of the runbook", annotation("runbook")));
        }
        if annotation("summary").ends_with('.') || annotation("summary").contains('\n') {
            broken("its summary is a heading: one line without a full stop".to_owned());
        }
        if !annotation("description").ends_with('.') {
            broken("its description is of whole sentences".to_owned());
        }
    }
    tree::assert_kept("an alert leaves somebody alone", found);
}

/// Tells whether a board has a panel of this number. Those of a row that is repeated get others.
fn has_panel(board: &Board, id: &str) -> bool {
    let mut repeated = false;
    board.panels().into_iter().any(|panel| {
        if panel.is_row() {
            repeated = panel.0.get("repeat").is_some();
        }
        let number = panel.0["id"].as_u64();
        !panel.is_row() && !repeated && number.is_some_and(|number| id.parse() == Ok(number))
    })
}

#[test]
fn annotations_speak_of_labels_that_the_expression_has() {
    let label = Regex::new(r"\$labels\.([A-Za-z_]+)").expect("invariant: a constant pattern");
    let rules = Rules::load();
    let mut found = Vec::new();
    for (name, rule, reading) in rules.alerts() {
        let texts: String = rule.annotations.values().map(String::as_str).collect();
        for captures in label.captures_iter(&texts) {
            // What stands under `labels` of the rule is not in `$labels`, and would be empty.
            if !reading.labels.contains(&captures[1]) {
                found.push(
                    rule.violation(format!("the expression of {name} has no label `{}`", &captures[1])),
                );
            }
        }
    }
    tree::assert_kept("an annotation would be empty", found);
}

#[test]
fn inhibitions_are_about_alerts_that_exist() {
    let file = tree::read("monitoring/alertmanager.yml");
    let name = Regex::new(r"\bPlimsoll[A-Z]\w+").expect("invariant: a constant pattern");
    let rules = Rules::load();
    let mut found = Vec::new();
    for (line, text) in file.lines() {
        for named in name.find_iter(text).map(|name| name.as_str()) {
            if !rules.alerts().any(|(name, ..)| name == named) {
                found.push(file.violation(line, format!("there is no alert {named}")));
            }
        }
    }
    assert!(name.find_iter(&file.text).count() > 4, "the inhibitions are found");
    tree::assert_kept("an inhibition never applies", found);
}

#[test]
fn alerts_are_series_that_dashboards_can_select() {
    let rules = Rules::load();
    let known = rules.series.get("ALERTS").expect("there are alerts");
    for label in ["alertname", "alertstate", "severity", "upstream", "backend", "instance"] {
        assert!(known.labels.contains(label), "ALERTS has the label {label}: {:?}", known.labels);
    }
    assert!(known.values["alertname"].contains("PlimsollAbsent") && known.values["severity"].len() == 2);
    assert!(Series::scraped().get("ALERTS").is_none(), "no target exports them");
}
