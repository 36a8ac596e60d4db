//! What dashboards ask Prometheus for, held against the metrics and recording rules that there are.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::board::Board;
use crate::monitoring::expression;
use crate::monitoring::rules::{Makes, Rules};
use crate::tree;

#[test]
fn every_panel_asks_for_what_exists() {
    let rules = Rules::load();
    // A time of Grafana's in milliseconds, where a number is due.
    let number = Regex::new(r"\$__(?:from|to)\b").expect("invariant: a constant pattern");
    let legend = Regex::new(r"\{\{\s*(\w+)\s*\}\}").expect("invariant: a constant pattern");
    let mut found = Vec::new();
    for board in Board::all() {
        for asked in board.asked() {
            let reading = expression::read(&number.replace_all(&asked.expr, "0"), &rules.series);
            let mut complain = |what: String| found.push(board.file.violation(asked.line, what));
            for problem in reading.problems {
                complain(format!("{problem}, in {}", asked.expr));
            }
            for label in legend.captures_iter(&asked.legend).map(|name| name[1].to_owned()) {
                if !reading.labels.contains(&label) {
                    complain(format!(
                        "the legend shows `{label}`, which the result of {} has not",
                        asked.expr
                    ));
                }
            }
        }
    }
    tree::assert_kept("a dashboard asks for what does not exist", found);
}

/// Every Prometheus client exports `process_…`: what is asked of the balancer would be answered by all of them.
#[test]
fn processes_are_those_of_balancers() {
    let process = Regex::new(r"\bprocess_[a-z_]+").expect("invariant: a constant pattern");
    let ours = "and on (job, instance) plimsoll_build_info";
    let found = Board::all().into_iter().flat_map(|board| {
        let asked = board.asked().into_iter();
        let strange =
            asked.filter(|asked| asked.expr.matches(ours).count() < process.find_iter(&asked.expr).count());
        strange
            .map(|asked| board.file.violation(asked.line, format!("add `{ours}` to {}", asked.expr)))
            .collect::<Vec<_>>()
    });
    tree::assert_kept("a panel shows processes that are no balancer", found.collect());
}

/// The objective and the factors of its alerts stand in rules and on the board; both must say the same.
#[test]
fn the_board_of_the_objective_draws_the_thresholds_of_its_alerts() {
    let rules = Rules::load();
    let burn =
        Regex::new(r"ratio_rate(\w+) > (?:([\d.]+) \* )?0\.001").expect("invariant: a constant pattern");
    let mut alerts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let of_budget = |makes: &Makes| *makes == Makes::Alert("PlimsollErrorBudgetBurn".to_owned());
    for (rule, _) in
        rules.all.iter().filter(|(rule, _)| of_budget(&rule.makes) && !rule.path.contains("/demo/"))
    {
        for hit in burn.captures_iter(&rule.expr) {
            let factor = hit.get(2).map_or("1", |factor| factor.as_str());
            alerts.entry(factor.to_owned()).or_default().insert(hit[1].to_owned());
        }
    }
    assert_eq!(alerts.keys().collect::<Vec<_>>(), ["1", "14.4", "3", "6"], "the alerts are found");
    assert_eq!(drawn(), alerts, "grafana-dashboards/slo.json draws what monitoring/rules/slo.yml alerts on");
}

/// The windows that the board draws, by the threshold that it draws with them.
fn drawn() -> BTreeMap<String, BTreeSet<String>> {
    let boards = Board::all();
    let slo = boards.iter().find(|board| board.name() == "slo").expect("there is a board for the objective");
    let window = Regex::new(r"ratio_rate(\w+)\{[^}]*\} / 0\.001").expect("invariant: a constant pattern");
    let mut drawn: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for panel in slo.graphs().into_iter().filter(|panel| panel.title().starts_with("Burn rate")) {
        let threshold = &panel.0["fieldConfig"]["defaults"]["thresholds"]["steps"][1]["value"];
        let windows = panel.targets().filter_map(|target| target["expr"].as_str());
        let windows = windows.filter_map(|expr| Some(window.captures(expr)?[1].to_owned()));
        drawn.entry(threshold.to_string()).or_default().extend(windows);
    }
    drawn
}

/// A Pushgateway never forgets: what a dead agent pushed last stays there. What is scraped ends with the agent, and so does
/// `instance:cpu_usage:fresh`.
#[test]
fn nothing_is_shown_of_agents_that_are_gone() {
    let pushed = Regex::new(r"(?m)^\| `(\w+)` \|.*\| yes \|$").expect("invariant: a constant pattern");
    let page = tree::read("backend-agent/METRICS.md").text;
    let pushed: Vec<_> = pushed.captures_iter(&page).map(|row| row[1].to_owned()).collect();
    assert!(pushed.len() > 5, "the page says what is pushed");
    let selected = Regex::new(r"\b(\w+)(\{[^}]*\})?").expect("invariant: a constant pattern");
    let mut found = Vec::new();
    for board in Board::all() {
        for asked in board.asked() {
            let stale = selected.captures_iter(&asked.expr).any(|part| {
                let scraped =
                    part.get(2).is_some_and(|labels| labels.as_str().contains("job!=\"cpu_usage\""));
                pushed.contains(&part[1].to_owned())
                    && !scraped
                    && !asked.expr.contains(&format!(":{}:", &part[1]))
            });
            if stale {
                found.push(
                    board.file.violation(asked.line, format!("add `job!=\"cpu_usage\"` to {}", asked.expr)),
                );
            }
        }
    }
    tree::assert_kept("a panel shows what a dead agent pushed last", found);
}
