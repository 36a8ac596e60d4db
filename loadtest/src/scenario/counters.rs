//! Reads a balancer's counters from its page of metrics, as far as a story has use for them.

use crate::story::recording::Sample;

/// What the counters of one upstream stand at on `page`, the text format of Prometheus. Names with escapes or commas,
/// which no metric of a balancer has, are not understood.
pub(super) fn read(page: &str, upstream: &str, names: &[String]) -> Sample {
    let mut sample = Sample::new(0.0, names.len());
    for line in page.lines() {
        let Some((metric, rest)) = line.split_once('{') else { continue };
        let Some((labels, value)) = rest.split_once('}') else { continue };
        let label = |name: &str| {
            let of = labels.split(',').filter_map(|label| label.split_once('='));
            of.into_iter().find(|(own, _)| *own == name).map(|(_, value)| value.trim_matches('"'))
        };
        let value = value.split_ascii_whitespace().next().and_then(|value| value.parse().ok());
        if let (Some(value), true) = (value, label("upstream") == Some(upstream)) {
            let backend = names.iter().position(|name| Some(name.as_str()) == label("backend"));
            sample.count(metric, backend, label("code"), value);
        }
    }
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_the_upstream_are_read_by_backend() {
        let page = "# HELP plimsoll_retries_total x\n\
                    plimsoll_retries_total{upstream=\"app\",backend=\"b\",cause=\"connect\"} 3\n\
                    plimsoll_retries_total{upstream=\"app\",backend=\"b\",cause=\"reset\"} 4\n\
                    plimsoll_retries_total{upstream=\"other\",backend=\"b\",cause=\"reset\"} 9\n\
                    plimsoll_rescues_total{upstream=\"app\",backend=\"a\"} 7 # {trace_id=\"x\"} 1\n\
                    broken{upstream=\"app\n\nup 1\n";
        let sample = read(page, "app", &["a".to_owned(), "b".to_owned()]);
        let counted = sample.backends.iter().map(|counters| (counters.retried, counters.rescued));
        assert_eq!(counted.collect::<Vec<_>>(), [(0.0, 7.0), (7.0, 0.0)]);
    }
}
