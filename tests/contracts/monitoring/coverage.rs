//! Nothing is measured or computed in vain: each metric is used where somebody looks, each recording rule is asked for.

use std::collections::BTreeSet;

use plimsoll::telemetry::catalogue;
use regex::Regex;

use super::dashboards::Board;
use super::rules::{Makes, Rules};
use super::runbook;
use crate::tree::{self, Violation};

/// Metrics that no rule, dashboard or section of the runbook uses, each with the reason to export it nevertheless.
const WAIVED: &[(&str, &str)] = &[
    ("plimsoll_live_viewers", "says who looks at the live view, nothing about traffic"),
    ("plimsoll_live_viewers_dropped_total", "concerns whoever looks at the live view, who sees it himself"),
    ("process_virtual_memory_bytes", "every client library exports it; resident memory is what runs out"),
];

/// The words of a text that could be names of series.
fn words(text: &str) -> BTreeSet<String> {
    let word = Regex::new("[a-z_:][a-z0-9_:]*").expect("invariant: a constant pattern");
    word.find_iter(text).map(|word| word.as_str().to_owned()).collect()
}

/// What people look at: dashboards and the runbook.
fn looked_at() -> BTreeSet<String> {
    let asked = Board::all().into_iter().flat_map(|board| board.asked()).map(|asked| asked.expr);
    asked.chain([runbook::file().text]).flat_map(|text| words(&text)).collect()
}

#[test]
fn every_metric_is_used_or_waived_with_a_reason() {
    let rules = Rules::load();
    let mut used = looked_at();
    used.extend(rules.all.iter().flat_map(|(_, reading)| reading.metrics.iter().cloned()));
    let is_used = |name: &str| {
        ["", "_bucket", "_sum", "_count"].iter().any(|part| used.contains(&format!("{name}{part}")))
    };
    let mut found = Vec::new();
    let mut broken = |what: String| found.push(Violation { path: file!().to_owned(), line: 1, what });
    for metric in catalogue::ALL {
        let waived = WAIVED.iter().any(|(name, _)| *name == metric.name);
        match (is_used(metric.name), waived) {
            (false, false) => broken(format!("`{}` is used nowhere; use it, or waive it here", metric.name)),
            (true, true) => broken(format!("`{}` is used; it needs no waiver", metric.name)),
            _ => {}
        }
    }
    for (name, reason) in WAIVED {
        if !catalogue::ALL.iter().any(|metric| metric.name == *name) {
            broken(format!("`{name}` is waived and does not exist"));
        }
        if reason.split(' ').count() < 4 {
            broken(format!("`{name}` is waived without a reason"));
        }
    }
    tree::assert_kept("a metric is exported in vain", found);
}

#[test]
fn every_recording_rule_is_asked_for() {
    let rules = Rules::load();
    let looked_at = looked_at();
    let found = rules.all.iter().filter_map(|(rule, _)| {
        let Makes::Record(name) = &rule.makes else { return None };
        let asked = looked_at.contains(name)
            || rules
                .all
                .iter()
                .any(|(other, reading)| reading.metrics.contains(name) && other.makes != rule.makes);
        (!asked).then(|| rule.violation(format!("nobody asks for `{name}`")))
    });
    tree::assert_kept("a rule records in vain", found.collect());
}
