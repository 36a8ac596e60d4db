//! A dashboard file as contracts see it: its panels and the expressions it asks, each with the line it stands on.

use serde_json::Value;

use crate::tree::{self, File, Violation};

/// A dashboard in the classic model.
pub(crate) struct Board {
    pub(crate) file: File,
    pub(crate) json: Value,
}

/// A panel or a heading of rows.
#[derive(Clone, Copy)]
pub(crate) struct Panel<'a>(pub(crate) &'a Value);

/// An expression and where it stands.
pub(crate) struct Asked {
    pub(crate) line: usize,
    pub(crate) expr: String,
    pub(crate) legend: String,
}

impl Board {
    /// Reads all dashboards, sorted by name.
    pub(crate) fn all() -> Vec<Self> {
        let mut files = tree::all();
        files.retain(|file| file.path.starts_with("grafana-dashboards/") && file.path.ends_with(".json"));
        assert!(!files.is_empty(), "the walk finds the dashboards");
        files.into_iter().map(Self::parse).collect()
    }

    /// Reads one dashboard.
    pub(crate) fn parse(file: File) -> Self {
        let json = serde_json::from_str(&file.text);
        assert!(json.is_ok(), "{}: {json:?}", file.path);
        Self { json: json.unwrap_or_default(), file }
    }

    /// The name of the file without its ending.
    pub(crate) fn name(&self) -> &str {
        self.file.name().trim_end_matches(".json")
    }

    /// All panels and headings, those in collapsed rows after their heading.
    pub(crate) fn panels(&self) -> Vec<Panel<'_>> {
        let all = items(&self.json, "panels");
        all.flat_map(|panel| [panel].into_iter().chain(items(panel, "panels"))).map(Panel).collect()
    }

    /// The panels without the headings.
    pub(crate) fn graphs(&self) -> Vec<Panel<'_>> {
        self.panels().into_iter().filter(|panel| !panel.is_row()).collect()
    }

    /// Everything that Prometheus is asked: by panels, annotations and variables.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let asked = |expr: &str, written: &str, legend: &str| Asked {
            line: self.line_of(written),
            expr: expr.to_owned(),
            legend: legend.to_owned(),
        };
        let of_target = |target: &Value| {
            let expr = text(target, "expr");
            asked(expr, expr, text(target, "legendFormat"))
        };
        let panels = self.graphs().into_iter().flat_map(Panel::targets).map(of_target);
        let annotations = items(&self.json["annotations"], "list").filter_map(|own| own.get("target"));
        let variables =
            items(&self.json["templating"], "list").filter_map(|own| own["query"]["query"].as_str());
        panels
            .chain(annotations.map(of_target))
            .chain(variables.map(|query| asked(selected_by(query), query, "")))
            .collect()
    }

    /// A violation at the place of a panel.
    pub(crate) fn violation(&self, panel: Panel<'_>, what: &str) -> Violation {
        self.file.violation(self.line_of(panel.title()), format!("{}: {what}", panel.title()))
    }

    /// The line on which a text of the file first stands, as a value; 1 when it does not.
    fn line_of(&self, value: &str) -> usize {
        let written = serde_json::to_string(value).unwrap_or_default();
        self.file.lines().find(|(_, line)| line.contains(&written)).map_or(1, |(line, _)| line)
    }
}

/// What the query of a variable selects: `label_values(SELECTED, label)` or `query_result(SELECTED)`.
fn selected_by(query: &str) -> &str {
    let inner = query.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(query);
    if !query.starts_with("label_values") {
        return inner;
    }
    inner.rsplit_once(',').map_or(inner, |(selected, _)| selected)
}

impl<'a> Panel<'a> {
    pub(crate) fn is_row(self) -> bool {
        text(self.0, "type") == "row"
    }

    pub(crate) fn title(self) -> &'a str {
        text(self.0, "title")
    }

    pub(crate) fn targets(self) -> impl Iterator<Item = &'a Value> {
        items(self.0, "targets")
    }

    pub(crate) fn overrides(self) -> impl Iterator<Item = &'a Value> {
        items(&self.0["fieldConfig"], "overrides")
    }

    /// Left, top, right and bottom in the grid.
    pub(crate) fn edges(self) -> [i64; 4] {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| self.0["gridPos"][key].as_i64().unwrap_or(-1));
        [x, y, x + w, y + h]
    }
}

/// The items of the list at `key`; without one none.
pub(crate) fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// The text at `key`; without one nothing.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
