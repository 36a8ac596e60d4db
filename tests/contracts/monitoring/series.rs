//! The series that a Prometheus with our configuration has, by name, each with the labels that it may be selected by.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll::telemetry::catalogue::{self, Kind};
use plimsoll::telemetry::metrics_md;
use regex::Regex;

use super::yaml::{self, Node};
use crate::tree;

/// What is exported by the Pushgateway, and by Prometheus and Alertmanager themselves. Only what a rule, a dashboard or the
/// runbook asks for has to stand here.
const FOREIGN: &[(&str, &[&str])] = &[
    // Pushgateway, for each group
    ("push_failure_time_seconds", &[]),
    ("push_time_seconds", &[]),
    // Prometheus, for each target
    ("scrape_duration_seconds", &[]),
    ("scrape_samples_scraped", &[]),
    ("up", &[]),
    // Alertmanager
    ("alertmanager_notifications_failed_total", &["integration"]),
    // Prometheus, of itself
    ("prometheus_notifications_dropped_total", &[]),
    ("prometheus_notifications_errors_total", &["alertmanager"]),
    ("prometheus_rule_evaluation_failures_total", &["rule_group"]),
    ("prometheus_tsdb_head_series", &[]),
];

/// The job under which agents push.
const PUSH_JOB: &str = "cpu_usage";

/// What is known of one metric.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) labels: BTreeSet<String>,
    /// The values that a label may have, where they are fixed.
    pub(crate) values: BTreeMap<String, BTreeSet<String>>,
}

/// All series, by the name that an expression selects.
#[derive(Debug, Default)]
pub(crate) struct Series(BTreeMap<String, Known>);

impl Series {
    /// What is scraped, before any rule.
    pub(crate) fn scraped() -> Self {
        let jobs = jobs();
        let mut series = Self::default();
        let mut values = fixed_values();
        for metric in catalogue::ALL {
            let values = values.remove(metric.name).unwrap_or_default();
            series.scrape(metric.name, metric.kind, metric.labels, values, &jobs);
        }
        assert!(values.is_empty(), "METRICS.md lists values of labels of unknown metrics: {values:?}");
        for (name, labels) in FOREIGN {
            series.scrape(name, Kind::Gauge, labels, BTreeMap::new(), &jobs);
        }
        for (name, labels) in of_agents() {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            series.scrape(&name, Kind::Gauge, &labels, BTreeMap::new(), &jobs);
        }
        series
    }

    fn scrape(
        &mut self,
        name: &str,
        kind: Kind,
        labels: &[&str],
        mut values: BTreeMap<String, BTreeSet<String>>,
        jobs: &BTreeSet<String>,
    ) {
        let mut labels: BTreeSet<_> = labels.iter().map(|&label| label.to_owned()).collect();
        labels.extend(["job".to_owned(), "instance".to_owned()]);
        values.insert("job".to_owned(), jobs.clone());
        let known = Known { labels, values };
        if kind == Kind::Histogram {
            for part in ["sum", "count"] {
                self.0.insert(format!("{name}_{part}"), known.clone());
            }
            let mut buckets = known;
            buckets.labels.insert("le".to_owned());
            self.0.insert(format!("{name}_bucket"), buckets);
        } else {
            self.0.insert(name.to_owned(), known);
        }
    }

    /// Adds what a rule makes: the labels of its expression, and those that it adds with their values.
    pub(crate) fn record<'a>(
        &mut self,
        name: &str,
        labels: &BTreeSet<String>,
        added: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) {
        let jobs = self.0.get("up").and_then(|up| up.values.get("job")).cloned();
        let known = self.0.entry(name.to_owned()).or_default();
        known.labels.extend(labels.iter().cloned());
        known.values.extend(jobs.map(|jobs| ("job".to_owned(), jobs)));
        for (label, value) in added {
            known.labels.insert(label.to_owned());
            known.values.entry(label.to_owned()).or_default().insert(value.to_owned());
        }
    }

    /// What is known of the series of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Known> {
        self.0.get(name)
    }

    /// The name most like `name`, for whoever mistyped it.
    pub(crate) fn nearest(&self, name: &str) -> Option<&str> {
        let near = |known: &&String| strsim::levenshtein(known, name);
        self.0.keys().min_by_key(near).map(String::as_str)
    }
}

/// The jobs whose series Prometheus stores.
fn jobs() -> BTreeSet<String> {
    let file = tree::read("monitoring/prometheus.yml");
    let document = yaml::document(&file);
    let configs = Node::of(&document).get("scrape_configs").expect("prometheus.yml has scrape_configs");
    let mut jobs: BTreeSet<String> = configs.items().filter_map(|job| job.get("job_name")?.text()).collect();
    assert!(jobs.contains("plimsoll"), "prometheus.yml scrapes the balancer");
    jobs.insert(PUSH_JOB.to_owned());
    jobs
}

/// What agents export, with the labels, as the page about it lists them; a test of theirs holds it against the exposition.
fn of_agents() -> Vec<(String, Vec<String>)> {
    let row = Regex::new(r"^\| `([a-z0-9_]+)` \| \w+ \| ([^|]*) \|").expect("invariant: a constant pattern");
    let page = tree::read("backend-agent/METRICS.md").text;
    let rows = page.lines().filter_map(|line| row.captures(line));
    let labels = |list: &str| {
        list.split([',', ' ', '`']).filter(|label| !label.is_empty()).map(str::to_owned).collect()
    };
    let found: Vec<_> = rows.map(|row| (row[1].to_owned(), labels(&row[2]))).collect();
    assert!(found.iter().any(|(name, _)| name == "cpu_usage"), "the page about the agent's metrics is read");
    found
}

/// The fixed values of labels, by metric and label, as METRICS.md lists them.
fn fixed_values() -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let heading = Regex::new("^`([a-z_]+)` of `([a-z_]+)`:$").expect("invariant: a constant pattern");
    let value = Regex::new("^- `([^`]+)`: ").expect("invariant: a constant pattern");
    let mut found: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    let mut of = None;
    for line in metrics_md().lines() {
        if let Some(captures) = heading.captures(line) {
            of = Some((captures[2].to_owned(), captures[1].to_owned()));
        } else if let (Some((metric, label)), Some(captures)) = (&of, value.captures(line)) {
            let values = found.entry(metric.clone()).or_default().entry(label.clone()).or_default();
            values.insert(captures[1].to_owned());
        } else if line.starts_with('#') {
            of = None;
        }
    }
    found
}

#[test]
fn fixed_values_of_labels_are_read_from_the_page() {
    let values = fixed_values();
    assert!(values["plimsoll_backend_transitions_total"]["state"].contains("ejected"));
    assert!(values["plimsoll_backend_transitions_total"]["cause"].contains("operator"));
    assert!(!values["plimsoll_retries_total"]["reason"].contains("budget"), "that is of another metric");
}
