//! PromQL: what an expression selects, what is wrong with it, and which labels its result has.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{
    AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorMatchCardinality, VectorSelector, parse,
};
use regex::Regex;

use super::series::{Known, Series};

type Labels = BTreeSet<String>;

/// An expression that was held against the series there are.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// What is wrong with it; empty for an expression that is right.
    pub(crate) problems: Vec<String>,
    /// The names of all series that it selects.
    pub(crate) metrics: BTreeSet<String>,
    /// The labels that its result may have.
    pub(crate) labels: Labels,
}

/// Reads an expression. Variables of Grafana may stand in it: those for a time (`$__rate_interval`) anywhere, others as
/// the value of a label.
pub(crate) fn read(text: &str, series: &Series) -> Reading {
    static TIMES: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\$\{?__(?:rate_interval|interval|range)\}?").expect("invariant: a constant pattern")
    });
    let mut reader = Reader { series, reading: Reading::default() };
    match parse(&TIMES.replace_all(text, "1m")) {
        Ok(tree) => reader.reading.labels = reader.labels(&tree),
        Err(error) => reader.complain(format!("is no PromQL: {error}")),
    }
    reader.reading
}

struct Reader<'a> {
    series: &'a Series,
    reading: Reading,
}

impl Reader<'_> {
    fn complain(&mut self, what: impl Into<String>) {
        self.reading.problems.push(what.into());
    }

    /// Walks an expression and returns the labels of its result.
    fn labels(&mut self, expr: &Expr) -> Labels {
        match expr {
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Binary(binary) => self.binary(binary),
            Expr::Call(call) => self.call(call),
            Expr::MatrixSelector(matrix) => self.selector(&matrix.vs),
            Expr::Paren(paren) => self.labels(&paren.expr),
            Expr::Subquery(subquery) => self.labels(&subquery.expr),
            Expr::Unary(unary) => self.labels(&unary.expr),
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Labels::new(),
        }
    }

    fn selector(&mut self, selector: &VectorSelector) -> Labels {
        let Some(name) = &selector.name else {
            self.complain("selects series without a name");
            return Labels::new();
        };
        self.reading.metrics.insert(name.clone());
        let Some(known) = self.series.get(name).cloned() else {
            let nearest = self.series.nearest(name).unwrap_or_default();
            self.complain(format!("`{name}` does not exist; `{nearest}` does"));
            return Labels::new();
        };
        for matcher in selector.matchers.matchers.iter().chain(selector.matchers.or_matchers.iter().flatten())
        {
            self.matcher(name, &known, matcher);
        }
        known.labels
    }

    fn matcher(&mut self, name: &str, known: &Known, matcher: &Matcher) {
        let Matcher { op, name: label, value } = matcher;
        if !known.labels.contains(label) {
            self.complain(format!("`{name}` has no label `{label}`; it has {}", listed(&known.labels)));
        }
        // 1 in Prometheus 2 is 1.0 in Prometheus 3.
        if label == "le" && (*op != MatchOp::Equal || value != "+Inf") {
            self.complain("selects buckets by their bound, which Prometheus 2 and 3 write differently");
        }
        let Some(values) = known.values.get(label).filter(|_| !value.contains('$')) else { return };
        let unknown: Vec<&str> = match op {
            MatchOp::Equal | MatchOp::NotEqual => {
                [value.as_str()].into_iter().filter(|value| !values.contains(*value)).collect()
            }
            MatchOp::Re(_) | MatchOp::NotRe(_) => {
                value.split('|').filter(|part| !any_is(part, values)).collect()
            }
        };
        for value in unknown {
            self.complain(format!(
                "label `{label}` of `{name}` is never `{value}`; it is one of {}",
                listed(values)
            ));
        }
    }

    fn aggregate(&mut self, aggregate: &AggregateExpr) -> Labels {
        if let Some(parameter) = &aggregate.param {
            self.labels(parameter);
        }
        let beneath = self.labels(&aggregate.expr);
        match &aggregate.modifier {
            None => Labels::new(),
            Some(modifier) => {
                self.named(modifier, &beneath);
                kept(modifier, &beneath)
            }
        }
    }

    fn binary(&mut self, binary: &BinaryExpr) -> Labels {
        let (left, right) = (self.labels(&binary.lhs), self.labels(&binary.rhs));
        let Some(modifier) = &binary.modifier else {
            return if left.is_empty() { right } else { left };
        };
        if let Some(matching) = &modifier.matching {
            let both = left.union(&right).cloned().collect();
            self.named(matching, &both);
        }
        let added = |labels: &promql_parser::label::Labels| labels.labels.iter().cloned().collect::<Labels>();
        match &modifier.card {
            VectorMatchCardinality::ManyToOne(more) => left.union(&added(more)).cloned().collect(),
            VectorMatchCardinality::OneToMany(more) => right.union(&added(more)).cloned().collect(),
            // Of `or`, either side's; of `and` and `unless`, the left side's, of which those of an `or` are a part.
            VectorMatchCardinality::ManyToMany if binary.op.to_string() == "or" => {
                left.union(&right).cloned().collect()
            }
            VectorMatchCardinality::ManyToMany => left,
            VectorMatchCardinality::OneToOne => match &modifier.matching {
                Some(matching) => kept(matching, &left),
                None if left.is_empty() => right,
                None => left,
            },
        }
    }

    fn call(&mut self, call: &Call) -> Labels {
        let arguments: Vec<Labels> = call.args.args.iter().map(|argument| self.labels(argument)).collect();
        let mut labels =
            arguments.into_iter().reduce(|all, more| all.union(&more).cloned().collect()).unwrap_or_default();
        match call.func.name {
            "histogram_quantile" if !labels.remove("le") => {
                self.complain("histogram_quantile needs the label `le`");
            }
            "label_replace" | "label_join" => {
                if let Some(Expr::StringLiteral(made)) = call.args.args.get(1).map(|argument| &**argument) {
                    labels.insert(made.val.clone());
                }
            }
            "scalar" | "vector" | "time" => labels.clear(),
            _ => {}
        }
        labels
    }

    /// Complains of a label that is named in a modifier and is on no series beneath it.
    fn named(&mut self, modifier: &LabelModifier, beneath: &Labels) {
        for label in modifier.labels().labels.iter().filter(|label| !beneath.contains(*label)) {
            self.complain(format!(
                "groups by `{label}`, which is on no series there; they have {}",
                listed(beneath)
            ));
        }
    }
}

/// The labels that are left of a result after `by`, `without`, `on` or `ignoring`.
fn kept(modifier: &LabelModifier, labels: &Labels) -> Labels {
    let named: Labels = modifier.labels().labels.iter().cloned().collect();
    match modifier {
        LabelModifier::Include(_) => labels.intersection(&named).cloned().collect(),
        LabelModifier::Exclude(_) => labels.difference(&named).cloned().collect(),
    }
}

/// Tells whether a part of a pattern, between `|`, is the whole of one of the values.
fn any_is(pattern: &str, values: &BTreeSet<String>) -> bool {
    let whole = Regex::new(&format!("^(?:{pattern})$"));
    whole.is_ok_and(|whole| values.iter().any(|value| whole.is_match(value)))
}

fn listed(words: &BTreeSet<String>) -> String {
    words.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        read(text, &Series::scraped()).problems.join("; ")
    }

    #[test]
    fn an_expression_that_is_right_has_no_problem() {
        for right in [
            "sum without (code) (rate(plimsoll_requests_total{code=~\"5..\"}[$__rate_interval]))",
            "plimsoll_requests_total{upstream=~\"$upstream\", job=\"$job\"}",
            "rate(plimsoll_backend_transitions_total{state=~\"up|slow_.*\", cause!=\"ramp\"}[${__range}])",
            "histogram_quantile(0.9, sum by (le, upstream) (rate(plimsoll_queue_wait_seconds_bucket[5m])))",
            "time() - push_time_seconds{job=\"cpu_usage\"} > 15",
        ] {
            assert_eq!(problems(right), "", "{right}");
        }
    }

    #[test]
    fn each_mistake_is_found() {
        for (wrong, said) in [
            ("rate(plimsoll_requests_total[5m)", "is no PromQL"),
            ("plimsoll_request_total", "`plimsoll_requests_total` does"),
            ("plimsoll_requests_total{status=\"500\"}", "has no label `status`"),
            ("plimsoll_retries_total{reason=\"budget\"}", "never `budget`"),
            ("plimsoll_backend_transitions_total{state=~\"up|dead\"}", "never `dead`"),
            ("up{job=\"balancer\"}", "never `balancer`"),
            ("sum by (listener) (plimsoll_backend_up)", "groups by `listener`"),
            ("plimsoll_backend_up * on (node) plimsoll_backend_weight", "groups by `node`"),
            ("sum by (code) (sum without (code) (plimsoll_requests_total))", "groups by `code`"),
            ("histogram_quantile(0.9, sum(plimsoll_queue_wait_seconds_bucket))", "needs the label `le`"),
            ("plimsoll_queue_wait_seconds_bucket{le=\"1\"}", "by their bound"),
            ("{upstream=\"app\"}", "without a name"),
        ] {
            assert!(problems(wrong).contains(said), "{wrong}: {}", problems(wrong));
        }
    }

    #[test]
    fn labels_of_a_result_are_those_that_the_expression_leaves() {
        let labels = |text| listed(&read(text, &Series::scraped()).labels);
        for (text, left) in [
            ("plimsoll_ready", "instance, job"),
            ("sum without (code) (plimsoll_requests_total)", "backend, instance, job, upstream"),
            ("sum(plimsoll_requests_total)", ""),
            ("1 - plimsoll_ready", "instance, job"),
            (
                "plimsoll_backend_up / ignoring (backend) group_left () plimsoll_upstream_backends",
                "backend, instance, job, upstream",
            ),
            ("cpu_usage and on (job) up", "instance, job"),
            ("label_replace(up, \"backend\", \"$1\", \"instance\", \"(.*)\")", "backend, instance, job"),
            ("up or absent(up)", "instance, job"),
        ] {
            assert_eq!(labels(text), left, "{text}");
        }
    }
}
