//! What is kept of a demo for its report: the balancer's counters in slices, CPU usage, and what happened to whom.
//!
//! It stands apart from `recent`, which forgets: this keeps the whole run, and so it is only there when a report
//! is wanted. Its size is bounded by the length of the run.

use super::scrape;
use loadtest::report::Report;
use loadtest::story::recording::{Act, Change, Deed, METRICS, Recording, Sample};
use loadtest::story::{Story, TransitionsError, read_transitions};
use std::time::{Duration, SystemTime};

/// How finely a run is kept, and one that is longer than an hour.
const SLICE: Duration = Duration::from_millis(500);
const SLICE_OF_HOURS: Duration = Duration::from_secs(1);

/// How the report says that it came about.
const SOURCE: &str = "The balancer's counters were read every half second (every second in a run of more than an hour), \
    the CPU usage of each backend from its agent every second, in percent of all CPUs of this machine; failures, gaps and \
    latency are what the client saw.";

/// How finely a run of this length is kept.
pub(super) fn slice(duration: Duration) -> Duration {
    if duration > Duration::from_secs(3600) { SLICE_OF_HOURS } else { SLICE }
}

/// The whole run so far.
#[derive(Debug)]
pub(super) struct History {
    names: Vec<String>,
    began: SystemTime,
    slice: Duration,
    samples: Vec<Sample>,
    cpu: Vec<Vec<(f64, f64)>>,
    acts: Vec<Act>,
    changes: Vec<Change>,
}

impl History {
    /// Begins the history of a run of this length over the backends called `names`.
    pub(super) fn begin(names: &[String], duration: Duration) -> History {
        History {
            names: names.to_vec(),
            began: SystemTime::now(),
            slice: slice(duration),
            samples: Vec::new(),
            cpu: vec![Vec::new(); names.len()],
            acts: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Keeps the counters on the balancer's page of metrics, unless the last that were kept are still fresh.
    pub(super) fn note_metrics(&mut self, elapsed: Duration, page: &str) {
        let at = elapsed.as_secs_f64();
        let fresh = |last: &Sample| at - last.at < self.slice.as_secs_f64();
        if !page.is_empty() && !self.samples.last().is_some_and(fresh) {
            self.samples.push(self.sample(at, page));
        }
    }

    /// Keeps the counters at the end, however fresh those before are.
    pub(super) fn note_end(&mut self, elapsed: Duration, page: &str) {
        if !page.is_empty() {
            self.samples.push(self.sample(elapsed.as_secs_f64(), page));
        }
    }

    /// Keeps the CPU usage of the backends, None for those that are away.
    pub(super) fn note_cpu(&mut self, elapsed: Duration, percents: &[Option<f64>]) {
        for (kept, percent) in self.cpu.iter_mut().zip(percents) {
            kept.extend(percent.map(|percent| (elapsed.as_secs_f64(), percent)));
        }
    }

    /// Keeps what was done to the backend at this position.
    pub(super) fn note_act(&mut self, elapsed: Duration, backend: usize, deed: Deed) {
        self.acts.push(Act { at: elapsed.as_secs_f64(), backend, deed });
    }

    /// Keeps the changes of state on the balancer's page of transitions; those that are known already count once.
    pub(super) fn note_transitions(&mut self, page: &str) -> Result<(), TransitionsError> {
        for change in read_transitions(page, "app", &self.names, self.began)? {
            if !self.changes.contains(&change) {
                self.changes.push(change);
            }
        }
        Ok(())
    }

    /// Tells the story of the run that `command` was typed for.
    pub(super) fn story(self, command: String, client: &Report) -> Story {
        Story::tell(&Recording {
            command,
            source: SOURCE.to_owned(),
            began: self.began,
            seconds: client.phases.iter().map(|phase| phase.seconds).sum(),
            backends: self.names,
            samples: self.samples,
            cpu: self.cpu,
            acts: self.acts,
            changes: self.changes,
            client: client.clone(),
        })
    }

    fn sample(&self, at: f64, page: &str) -> Sample {
        let mut sample = Sample::new(at, self.names.len());
        for series in scrape::series(page).filter(|series| METRICS.contains(&series.name)) {
            let backend =
                series.label("backend").and_then(|own| self.names.iter().position(|name| name == own));
            sample.count(series.name, backend, series.label("code"), series.value);
        }
        sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# TYPE plimsoll_requests_total counter
plimsoll_requests_total{upstream=\"app\",backend=\"backend-1\",code=\"200\"} 40
plimsoll_requests_total{upstream=\"app\",backend=\"backend-1\",code=\"502\"} 2
plimsoll_requests_total{upstream=\"app\",backend=\"none\",code=\"503\"} 1
plimsoll_retries_total{upstream=\"app\",backend=\"backend-1\",reason=\"connect\"} 3
plimsoll_redistribution_seconds_sum{upstream=\"app\",backend=\"backend-1\"} 0.25
plimsoll_redistribution_seconds_bucket{upstream=\"app\",backend=\"backend-1\",le=\"0.5\"} 1
";

    fn history() -> History {
        History::begin(&["backend-1".to_owned(), "backend-2".to_owned()], Duration::from_secs(30))
    }

    #[test]
    fn counters_are_kept_by_backend_and_class() {
        let mut history = history();
        history.note_metrics(Duration::from_secs(1), PAGE);
        let sample = &history.samples[0];
        assert_eq!((sample.backends[0].answers, sample.backends[0].retried), (42.0, 3.0));
        assert_eq!(sample.backends[0].redistribution_seconds, 0.25);
        assert_eq!(sample.backends[1].answers, 0.0);
        assert_eq!(sample.classes, [0.0, 40.0, 0.0, 0.0, 3.0]);
    }

    #[test]
    fn a_slice_is_kept_once_and_a_page_that_did_not_come_is_none() {
        let mut history = history();
        for millis in [0, 100, 450, 500, 700, 1000] {
            history.note_metrics(Duration::from_millis(millis), PAGE);
        }
        history.note_metrics(Duration::from_millis(1500), "");
        history.note_end(Duration::from_millis(1100), PAGE);
        let kept: Vec<f64> = history.samples.iter().map(|sample| sample.at).collect();
        assert_eq!(kept, [0.0, 0.5, 1.0, 1.1]);
    }

    #[test]
    fn a_transition_that_is_read_twice_is_kept_once() {
        let mut history = history();
        let page = r#"{"transitions":[{"at":"2026-11-21T09:51:00.250Z","upstream":"app",
            "backend":"backend-2","from":"up","to":"down","cause":"check","words":""}]}"#;
        for _ in 0..2 {
            history.note_transitions(page).unwrap();
        }
        assert_eq!(history.changes.len(), 1);
    }
}
