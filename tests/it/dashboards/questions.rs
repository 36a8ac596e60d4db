//! What dashboards ask, as Grafana would ask it with everything chosen.

use std::path::Path;

use regex::Regex;
use serde_json::Value;

/// One expression of a dashboard.
pub(super) struct Question {
    /// The dashboard, and the title of the panel or what else it is.
    pub(super) place: String,
    pub(super) expr: String,
    /// Whether it is asked for one moment, not for each of a range.
    pub(super) instant: bool,
}

/// Everything that the dashboards ask.
pub(super) fn all() -> Vec<Question> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana-dashboards");
    let files = std::fs::read_dir(folder).expect("there are dashboards").flatten();
    files.flat_map(|file| of_board(&file.path())).collect()
}

fn of_board(path: &Path) -> Vec<Question> {
    let text = std::fs::read_to_string(path).expect("a dashboard can be read");
    let board: Value = serde_json::from_str(&text).expect("a dashboard is JSON");
    let name = board["title"].as_str().expect("a dashboard has a title").to_owned();
    let mut questions = Vec::new();
    let mut ask = |what: &str, target: &Value| {
        questions.push(Question {
            place: format!("{name}: {what}"),
            expr: with_everything_chosen(target["expr"].as_str().expect("a query has an expression")),
            instant: target["instant"] == true,
        });
    };
    for panel in list(&board["panels"]).flat_map(|panel| [panel].into_iter().chain(list(&panel["panels"]))) {
        for target in list(&panel["targets"]) {
            ask(panel["title"].as_str().unwrap_or_default(), target);
        }
    }
    for annotation in
        list(&board["annotations"]["list"]).filter(|annotation| annotation["target"].is_object())
    {
        ask(
            &format!("annotation {}", annotation["name"].as_str().unwrap_or_default()),
            &annotation["target"],
        );
    }
    for variable in list(&board["templating"]["list"]).filter(|variable| variable["type"] == "query") {
        let query = variable["query"]["query"].as_str().expect("a variable has a query");
        let target = serde_json::json!({ "expr": selected_by(query), "instant": false });
        ask(&format!("variable {}", variable["name"].as_str().unwrap_or_default()), &target);
    }
    questions
}

/// What the query of a variable selects: `label_values(SELECTED, label)` or `query_result(SELECTED)`.
fn selected_by(query: &str) -> &str {
    let inner = query.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).expect("it is a call");
    if !query.starts_with("label_values") {
        return inner;
    }
    inner.rsplit_once(',').expect("label_values names a label").0
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Puts in what Grafana puts in for its variables.
fn with_everything_chosen(expr: &str) -> String {
    // Four scrapes and more, since a busy machine may miss one.
    let times = [("$__rate_interval", "8s"), ("$__range", "2m"), ("$__interval", "1s"), ("$__from", "0")];
    let expr = times.iter().fold(expr.to_owned(), |expr, (name, value)| expr.replace(name, value));
    let chosen = Regex::new(r"\$(?:job|instance|upstream|backend)\b").expect("invariant: a constant pattern");
    let expr = chosen.replace_all(&expr, ".*").replace("$each", "backend-1");
    // What is left are the groups of label_replace.
    let left = Regex::new(r"\$\{?[A-Za-z_]").expect("invariant: a constant pattern");
    assert!(!left.is_match(&expr), "a variable that nobody knows: {expr}");
    expr
}
