//! The rules of Prometheus: what they ask for exists, and Prometheus is told of them all.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::expression::{self, Reading};
use super::series::Series;
use super::yaml::{self, Node};
use crate::tree::{self, File, Violation};

const FOLDER: &str = "monitoring/rules/";
const DEMO: &str = "monitoring/rules/demo/";
const TESTS: &str = "monitoring/rules/tests/";

/// What a rule makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Makes {
    /// A series of this name.
    Record(String),
    /// An alert of this name.
    Alert(String),
}

/// One rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) makes: Makes,
    pub(crate) expr: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Rule {
    pub(crate) fn violation(&self, what: impl Into<String>) -> Violation {
        Violation { path: self.path.clone(), line: self.line, what: what.into() }
    }
}

/// All rules, and all series after them.
pub(crate) struct Rules {
    /// Each with what its expression says.
    pub(crate) all: Vec<(Rule, Reading)>,
    pub(crate) series: Series,
}

impl Rules {
    /// The rules of the repository, read once.
    pub(crate) fn load() -> &'static Self {
        static RULES: LazyLock<Rules> = LazyLock::new(Rules::read);
        &RULES
    }

    /// Reads the files, in the order in which Prometheus has them: a rule may use what one before it made.
    fn read() -> Self {
        let mut series = Series::scraped();
        let mut all = Vec::new();
        for rule in files().iter().flat_map(in_file) {
            let reading = expression::read(&rule.expr, &series);
            let own = rule.labels.iter().map(|(label, value)| (label.as_str(), value.as_str()));
            match &rule.makes {
                Makes::Record(name) => series.record(name, &reading.labels, own),
                Makes::Alert(name) => {
                    let state = ["pending", "firing"].map(|state| ("alertstate", state));
                    let added = own.chain([("alertname", name.as_str())]).chain(state);
                    series.record("ALERTS", &reading.labels, added);
                }
            }
            all.push((rule, reading));
        }
        assert!(all.len() > 20, "the walk finds the rules");
        Self { all, series }
    }

    /// The alerts among them, with their names.
    pub(crate) fn alerts(&self) -> impl Iterator<Item = (&str, &Rule, &Reading)> {
        self.all.iter().filter_map(|(rule, reading)| match &rule.makes {
            Makes::Alert(name) => Some((name.as_str(), rule, reading)),
            Makes::Record(_) => None,
        })
    }
}

/// The files of rules: what everything else builds on first, those of one place last.
fn files() -> Vec<File> {
    let mut files = tree::all();
    files.retain(|file| {
        file.path.starts_with(FOLDER) && !file.path.starts_with(TESTS) && file.path.ends_with(".yml")
    });
    files
        .sort_by_key(|file| (file.path.starts_with(DEMO), file.name() != "recording.yml", file.path.clone()));
    files
}

fn in_file(file: &File) -> Vec<Rule> {
    let document = yaml::document(file);
    let groups = Node::of(&document).list("groups");
    groups.flat_map(|group| group.list("rules").collect::<Vec<_>>()).map(|rule| read(file, rule)).collect()
}

fn read(file: &File, rule: Node<'_>) -> Rule {
    let text = |key| rule.get(key).and_then(Node::text);
    let entries = |key| rule.get(key).map(|node| node.entries().collect()).unwrap_or_default();
    let makes = text("record").map(Makes::Record).or_else(|| text("alert").map(Makes::Alert));
    assert!(makes.is_some(), "{}:{}: neither record nor alert", file.path, rule.line());
    Rule {
        path: file.path.clone(),
        line: rule.line(),
        makes: makes.expect("invariant: just asserted"),
        expr: text("expr").unwrap_or_default(),
        labels: entries("labels"),
        annotations: entries("annotations"),
    }
}

#[test]
fn every_rule_asks_for_what_exists() {
    let rules = Rules::load();
    let found = rules.all.iter().flat_map(|(rule, reading)| {
        reading.problems.iter().map(|problem| rule.violation(format!("{:?}: {problem}", rule.makes)))
    });
    tree::assert_kept("a rule asks for what does not exist", found.collect());
}

#[test]
fn prometheus_reads_every_file_of_rules_but_those_of_one_place() {
    let file = tree::read("monitoring/prometheus.yml");
    let document = yaml::document(&file);
    let listed: Vec<_> = Node::of(&document).list("rule_files").filter_map(Node::text).collect();
    let found = files().into_iter().filter_map(|rules| {
        let listed = listed.iter().any(|listed| rules.path == format!("monitoring/{listed}"));
        let what = if rules.path.starts_with(DEMO) {
            listed.then_some("is for demonstrations only and must not be in prometheus.yml")
        } else {
            (!listed).then_some("is not in rule_files of prometheus.yml")
        };
        what.map(|what| rules.violation(1, what))
    });
    tree::assert_kept("Prometheus reads other files than there are", found.collect());
}
