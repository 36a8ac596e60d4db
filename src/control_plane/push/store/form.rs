//! What was pushed in the form of the page that is asked for. It is kept in the classic one, in which it came.

use super::Kind;
use crate::telemetry::{PageForm, push_help};

/// Writes what a family is. `is_taken` tells whether another has a name.
pub(super) fn head(
    page: &mut String,
    (name, help): (&str, Option<&str>),
    kind: Kind,
    form: PageForm,
    is_taken: impl Fn(&str) -> bool,
) {
    let (name, word) = match (form, kind) {
        (PageForm::Classic, _) => (name, kind.as_str()),
        // A counter is named there without what its samples end in; what has no such end is none.
        (PageForm::OpenMetrics, Kind::Counter) => match name.strip_suffix("_total") {
            Some(short) if !short.is_empty() && !is_taken(short) => (short, kind.as_str()),
            _ => (name, "unknown"),
        },
        (PageForm::OpenMetrics, Kind::Untyped) => (name, "unknown"),
        (PageForm::OpenMetrics, _) => (name, kind.as_str()),
    };
    if let Some(help) = help {
        push_help(page, name, help, form);
    }
    for part in ["# TYPE ", name, " ", word, "\n"] {
        page.push_str(part);
    }
}

/// Writes the lines of its samples. In OpenMetrics a bound or a quantile always has a point.
pub(super) fn lines(page: &mut String, text: &str, kind: Kind, form: PageForm) {
    let Some(own) = kind.own_label().filter(|_| form == PageForm::OpenMetrics) else {
        page.push_str(text);
        return;
    };
    for line in text.split_inclusive('\n') {
        match whole_bound(line, own) {
            Some(end) => [&line[..end], ".0", &line[end..]].iter().for_each(|part| page.push_str(part)),
            None => page.push_str(line),
        }
    }
}

/// Returns where the value of a line's last label ends, if that is its bound or quantile and a whole number.
fn whole_bound(line: &str, own: &str) -> Option<usize> {
    // Behind the labels stands a number alone, so that the last of these ends them whatever they hold.
    let end = line.rfind("\"} ")?;
    let begin = line[..end].rfind('"')?;
    let front = line[..begin].strip_suffix('=').and_then(|front| front.strip_suffix(own));
    let is_own = front.is_some_and(|front| front.ends_with(['{', ',']));
    let digits = line[begin + 1..end].strip_prefix('-').unwrap_or(&line[begin + 1..end]);
    (is_own && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, kind: Kind, form: PageForm) -> String {
        let mut page = String::new();
        head(&mut page, (name, Some("Says \"so\".")), kind, form, |other| other == "taken");
        page
    }

    #[test]
    fn only_a_counter_that_is_called_one_is_one_in_openmetrics() {
        let open = |name, kind| named(name, kind, PageForm::OpenMetrics);
        let says = "Says \\\"so\\\".";
        assert_eq!(open("jobs_total", Kind::Counter), format!("# HELP jobs {says}\n# TYPE jobs counter\n"));
        for name in ["jobs", "taken_total", "_total"] {
            let page = open(name, Kind::Counter);
            assert_eq!(page, format!("# HELP {name} {says}\n# TYPE {name} unknown\n"));
        }
        assert!(open("cpu_usage", Kind::Untyped).ends_with("# TYPE cpu_usage unknown\n"));
        assert!(open("cpu_usage", Kind::Gauge).ends_with("# TYPE cpu_usage gauge\n"));
        let classic = named("jobs_total", Kind::Counter, PageForm::Classic);
        assert_eq!(classic, "# HELP jobs_total Says \"so\".\n# TYPE jobs_total counter\n");
    }

    #[test]
    fn whole_bounds_get_a_point_and_nothing_else_changes() {
        let text = "a_bucket{x=\"le=\\\"1\\\"} 2\",le=\"1\"} 1\na_bucket{x=\"y\",le=\"0.5\"} 1\n\
                    a_bucket{x=\"y\",le=\"+Inf\"} 2\na_bucket{le=\"-3\"} 2\na_sum{file=\"1\"} 2\na_count 2\n";
        let mut page = String::new();
        lines(&mut page, text, Kind::Histogram, PageForm::OpenMetrics);
        assert_eq!(page, text.replace("le=\"1\"} 1", "le=\"1.0\"} 1").replace("\"-3\"", "\"-3.0\""));
        for (kind, form) in [(Kind::Histogram, PageForm::Classic), (Kind::Gauge, PageForm::OpenMetrics)] {
            let mut page = String::new();
            lines(&mut page, text, kind, form);
            assert_eq!(page, text);
        }
        let mut page = String::new();
        lines(&mut page, "a{quantile=\"1\"} 3\n", Kind::Summary, PageForm::OpenMetrics);
        assert_eq!(page, "a{quantile=\"1.0\"} 3\n");
    }
}
