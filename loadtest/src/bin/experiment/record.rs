//! Makes the story's recording of what Prometheus scraped: counters of the balancer by scrape, and CPU usage.
//!
//! It stands apart from asking for it, so that its tests need no server.

use crate::prometheus::Series;
use loadtest::story::recording::Sample;
use std::collections::BTreeMap;

/// The counters in `series` at each scrape, oldest first, in seconds since `began`.
///
/// # Errors
/// When they are of several balancers, whose scrapes cannot be told apart by their times.
pub(crate) fn samples(series: &[Series], names: &[String], began: f64) -> anyhow::Result<Vec<Sample>> {
    let mut instances: Vec<(&str, &str)> =
        series.iter().map(|series| (series.label("job"), series.label("instance"))).collect();
    instances.sort_unstable();
    instances.dedup();
    if let [first, second, ..] = instances[..] {
        anyhow::bail!(
            "Prometheus scrapes several balancers, such as {first:?} and {second:?}; choose one by --select, such as \
             'instance=\"{}\"'",
            first.1
        );
    }
    let mut scrapes: BTreeMap<i64, Sample> = BTreeMap::new();
    for one in series {
        let backend = names.iter().position(|name| name == one.label("backend"));
        for &(at, value) in &one.samples {
            let milliseconds = (at * 1000.0).round() as i64;
            let sample = scrapes.entry(milliseconds).or_insert_with(|| Sample::new(at - began, names.len()));
            sample.count(one.label("__name__"), backend, Some(one.label("code")), value);
        }
    }
    Ok(scrapes.into_values().collect())
}

/// The CPU usage of each backend, in the order of `names`: the series whose label `instance` is its name.
pub(crate) fn cpu(series: &[Series], names: &[String], began: f64) -> Vec<Vec<(f64, f64)>> {
    let of = |name: &String| {
        let own = series.iter().filter(|series| series.label("instance") == name);
        let mut values: Vec<(f64, f64)> = own
            .flat_map(|series| &series.samples)
            .filter(|(_, percent)| percent.is_finite())
            .map(|&(at, percent)| (at - began, percent))
            .collect();
        values.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        values
    };
    names.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(labels: &[(&str, &str)], samples: &[(f64, f64)]) -> Series {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Series { labels: labels.collect(), samples: samples.to_vec() }
    }

    fn names() -> Vec<String> {
        ["backend-1", "backend-2"].map(str::to_owned).to_vec()
    }

    #[test]
    fn what_was_scraped_at_once_is_one_sample() {
        let answers = |backend, code, samples: &[(f64, f64)]| {
            let name = ("__name__", "plimsoll_requests_total");
            series(&[name, ("backend", backend), ("code", code)], samples)
        };
        let all = [
            answers("backend-1", "200", &[(105.0, 10.0), (110.0, 20.0)]),
            answers("backend-1", "502", &[(110.0, 1.0)]),
            answers("backend-2", "200", &[(105.0, 11.0), (110.0, 22.0)]),
            answers("none", "503", &[(105.0, 0.0), (110.0, 3.0)]),
        ];
        let samples = samples(&all, &names(), 100.0).unwrap();
        assert_eq!(samples.iter().map(|sample| sample.at).collect::<Vec<_>>(), [5.0, 10.0]);
        assert_eq!((samples[1].backends[0].answers, samples[1].backends[1].answers), (21.0, 22.0));
        assert_eq!(samples[1].classes, [0.0, 42.0, 0.0, 0.0, 4.0]);
    }

    #[test]
    fn two_balancers_are_not_added_up() {
        let of = |instance| series(&[("job", "plimsoll"), ("instance", instance)], &[]);
        let error = samples(&[of("a:9900"), of("b:9900")], &names(), 0.0).unwrap_err().to_string();
        assert!(error.contains("a:9900") && error.contains("--select"), "{error}");
    }

    #[test]
    fn cpu_usage_belongs_to_the_backend_that_it_is_labelled_with() {
        let all = [
            series(&[("instance", "backend-2")], &[(101.0, 7.0), (102.0, f64::NAN)]),
            series(&[("instance", "stranger")], &[(101.0, 9.0)]),
        ];
        assert_eq!(cpu(&all, &names(), 100.0), [vec![], vec![(1.0, 7.0)]]);
    }
}
