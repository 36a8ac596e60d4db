//! Makes the story of a scenario's run from what the client alone has seen, with what the balancer told if it was asked.

use super::counters;
use crate::report::{BucketReport, Report};
use crate::story::grown;
use crate::story::recording::{Act, Change, Deed, Recording, Sample, State};
use std::time::SystemTime;

/// What the report does not know of itself.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// The command that made it.
    pub command: String,
    /// How it was recorded, and what was found, in sentences.
    pub source: String,
    /// When the load began.
    pub began: SystemTime,
    /// How long it lasted, in seconds.
    pub seconds: f64,
    /// What was done to backends.
    pub acts: Vec<Act>,
    /// What the balancer told; None when it was not asked.
    pub told: Option<Told>,
}

/// What a balancer tells of a run.
#[derive(Debug, Clone)]
pub struct Told {
    /// The upstream that it is about.
    pub upstream: String,
    /// What it thought of the backends.
    pub changes: Vec<Change>,
    /// Its page of metrics before the load and after it.
    pub metrics: [String; 2],
}

/// The names of the backends, in the order in which a story has them.
pub fn backends(report: &Report) -> Vec<String> {
    report.share.keys().cloned().collect()
}

/// A recording whose counters are the answers that the client got, by the time at which they were due.
pub fn recording(report: &Report, circumstances: Circumstances) -> Recording {
    let Circumstances { command, source, began, seconds, acts, told } = circumstances;
    let backends = backends(report);
    let mut samples = samples(&report.buckets, &backends, seconds);
    if let (Some(told), Some(last)) = (&told, samples.last_mut()) {
        add_repeated(last, told, &backends);
    }
    let changes = match told {
        Some(told) => told.changes,
        None => inferred(&report.buckets, &backends, &acts),
    };
    Recording {
        command,
        source,
        began,
        seconds,
        samples,
        cpu: vec![Vec::new(); backends.len()],
        acts,
        changes,
        client: report.clone(),
        backends,
    }
}

/// Adds what no client sees: attempts that failed and were repeated, and requests that were rescued so.
fn add_repeated(last: &mut Sample, told: &Told, names: &[String]) {
    let [before, after] = told.metrics.each_ref().map(|page| counters::read(page, &told.upstream, names));
    for (at, counters) in last.backends.iter_mut().enumerate() {
        counters.retried += grown(&before, &after, |sample| sample.backends[at].retried);
        counters.rescued += grown(&before, &after, |sample| sample.backends[at].rescued);
    }
}

/// What a client can tell of the backends that were killed: out from the first slice without an answer of theirs, back
/// from the first one with answers again.
fn inferred(buckets: &[BucketReport], names: &[String], acts: &[Act]) -> Vec<Change> {
    let mut changes = Vec::new();
    for act in acts.iter().filter(|act| act.deed == Deed::Killed) {
        let answers =
            |bucket: &BucketReport| bucket.rps.get(&names[act.backend]).is_some_and(|rps| *rps > 0.0);
        // The slice in which it was killed has answers from before.
        let mut after = buckets.iter().filter(|bucket| bucket.at_seconds > act.at);
        let Some(out) = after.find(|bucket| !answers(bucket)) else { continue };
        let change = |at, to| Change { at, backend: act.backend, to };
        changes.push(change(out.at_seconds, State::Down));
        changes.extend(after.find(|bucket| answers(bucket)).map(|back| change(back.at_seconds, State::Up)));
    }
    changes
}

fn samples(buckets: &[BucketReport], names: &[String], seconds: f64) -> Vec<Sample> {
    let length = match buckets {
        [first, second, ..] => second.at_seconds - first.at_seconds,
        _ => seconds,
    };
    let mut sample = Sample::new(0.0, names.len());
    let mut samples = vec![sample.clone()];
    for bucket in buckets {
        sample.at = (bucket.at_seconds + length).min(seconds);
        for (name, counters) in names.iter().zip(&mut sample.backends) {
            counters.answers += bucket.rps.get(name).copied().unwrap_or(0.0) * length;
        }
        // The client tells answers below 500 from all others, so these stand for themselves.
        sample.classes[1] += (bucket.requests - bucket.failed) as f64;
        samples.push(sample.clone());
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Outcome, Recorder};
    use hyper::header::HeaderValue;
    use std::time::Duration;
    use tokio::time::Instant;

    /// Forty requests of which each backend answers those that are due in its part, in slices of half a second.
    fn report(backend: impl Fn(u64) -> &'static str) -> Report {
        let start = Instant::now();
        let half = Duration::from_millis(500);
        let mut recorder = Recorder::new(start, "all", half, half);
        for number in 0..40_u64 {
            let due = start + Duration::from_millis(number * 50);
            let backend = Some(HeaderValue::from_static(backend(number)));
            recorder.record(&Outcome { number, due, done: due, result: Ok(()), backend });
        }
        recorder.finish(start + 4 * half)
    }

    fn recorded(report: &Report, acts: Vec<Act>, told: Option<Told>) -> Recording {
        let (command, source) = (String::new(), String::new());
        let began = SystemTime::UNIX_EPOCH;
        recording(report, Circumstances { command, source, began, seconds: 2.0, acts, told })
    }

    #[test]
    fn the_clients_answers_are_the_counters_of_the_story() {
        let recording = recorded(&report(|number| if number < 20 { "a" } else { "b" }), Vec::new(), None);
        let answers = |at: usize| recording.samples[at].backends.iter().map(|counters| counters.answers);
        assert_eq!(recording.backends, ["a", "b"]);
        let moments = recording.samples.iter().map(|sample| sample.at).collect::<Vec<_>>();
        assert_eq!(moments, [0.0, 0.5, 1.0, 1.5, 2.0]);
        assert_eq!(answers(2).collect::<Vec<_>>(), [20.0, 0.0]);
        assert_eq!(answers(4).collect::<Vec<_>>(), [20.0, 20.0]);
        assert_eq!(recording.samples[4].classes[1], 40.0);
    }

    #[test]
    fn without_a_balancer_to_ask_a_killed_backend_is_out_while_it_does_not_answer() {
        let report = report(|number| if (10..25).contains(&number) || number % 2 == 0 { "b" } else { "a" });
        let killed = Act { at: 0.4, backend: 0, deed: Deed::Killed };
        let changes = recorded(&report, vec![killed], None).changes;
        let moments: Vec<(f64, State)> = changes.iter().map(|change| (change.at, change.to)).collect();
        assert_eq!(moments, [(0.5, State::Down), (1.0, State::Up)]);
        let metrics = ["3", "5"]
            .map(|value| format!("plimsoll_retries_total{{upstream=\"app\",backend=\"a\"}} {value}\n"));
        let told = Told { upstream: "app".to_owned(), changes: Vec::new(), metrics };
        let asked = recorded(&report, vec![killed], Some(told));
        assert!(asked.changes.is_empty(), "it was asked");
        assert_eq!(asked.samples.last().unwrap().backends[0].retried, 2.0);
        assert!(recorded(&report, Vec::new(), None).changes.is_empty(), "nobody was killed");
    }
}
