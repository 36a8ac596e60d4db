//! Tests of the rules: every alert has one that asserts silence first, then the complete alert.
//!
//! That what they assert is true is said by `promtool`; here is seen that none is missing.

use super::rules::{Rule, Rules};
use super::yaml::{self, Node};
use crate::tree::{self, File, Violation};

/// What a test asserts of one alert at one moment.
struct Assertion {
    alert: String,
    /// The labels of each alert that must be there; none for silence.
    expected: Vec<Vec<(String, String)>>,
}

fn tests() -> Vec<File> {
    let mut files = tree::all();
    files.retain(|file| file.path.starts_with("monitoring/rules/tests/"));
    assert!(!files.is_empty(), "the walk finds the tests of the rules");
    files
}

/// Every assertion of a file, in its order.
fn assertions(file: &File) -> Vec<Assertion> {
    let document = yaml::document(file);
    let tests = Node::of(&document).list("tests").collect::<Vec<_>>();
    let asserted = tests.iter().flat_map(|test| test.list("alert_rule_test").collect::<Vec<_>>());
    asserted
        .map(|asserted| Assertion {
            alert: asserted.get("alertname").and_then(Node::text).unwrap_or_default(),
            expected: asserted
                .list("exp_alerts")
                .filter_map(|alert| Some(alert.get("exp_labels")?.entries().collect()))
                .collect(),
        })
        .collect()
}

#[test]
fn every_alert_is_tested_silent_first_then_complete() {
    let files: Vec<_> = tests().iter().map(assertions).collect();
    let rules = Rules::load();
    let untested = rules.alerts().filter_map(|(name, rule, _)| {
        let tested = files.iter().any(|asserted| is_tested(rule, name, asserted));
        (!tested)
            .then(|| rule.violation(format!("{name} {:?} has no test: silence, then the alert", rule.labels)))
    });
    tree::assert_kept("an alert is not tested", untested.collect());
}

/// Tells whether a file asserts that this alert is silent, and later that it fires.
fn is_tested(rule: &Rule, name: &str, asserted: &[Assertion]) -> bool {
    let fires = |labels: &[(String, String)]| {
        rule.labels.iter().all(|ours| labels.iter().any(|(k, v)| ours == (k, v)))
    };
    let mut of_this = asserted.iter().filter(|asserted| asserted.alert == name);
    of_this.by_ref().any(|asserted| asserted.expected.is_empty())
        && of_this.any(|asserted| asserted.expected.iter().any(|labels| fires(labels)))
}

#[test]
fn tests_assert_something_about_alerts_that_exist() {
    let rules = Rules::load();
    let mut found = Vec::new();
    for file in tests() {
        let asserted = assertions(&file);
        let mut broken = |what: String| found.push(Violation { path: file.path.clone(), line: 1, what });
        if asserted.iter().all(|asserted| asserted.expected.is_empty()) {
            broken("expects no alert at all".to_owned());
        }
        for Assertion { alert, .. } in &asserted {
            // promtool is content with silence of what does not exist.
            if !rules.alerts().any(|(name, ..)| name == alert) {
                broken(format!("there is no alert {alert}"));
            }
        }
    }
    tree::assert_kept("a test of the rules tests nothing", found);
}
