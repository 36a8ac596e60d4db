use super::*;

const MS: Duration = Duration::from_millis(1);

struct Fixture {
    start: Instant,
    recorder: Recorder,
}

impl Fixture {
    fn new() -> Fixture {
        let start = Instant::now();
        Fixture { start, recorder: Recorder::new(start, "before", 100 * MS, 1000 * MS) }
    }

    fn at(&self, ms: u32) -> Instant {
        self.start + MS * ms
    }

    fn answer(&mut self, due: u32, done: u32, backend: &'static str) {
        let backend = Some(HeaderValue::from_static(backend));
        let outcome = Outcome { number: 0, due: self.at(due), done: self.at(done), result: Ok(()), backend };
        self.recorder.record(&outcome);
    }

    fn fail(&mut self, due: u32, done: u32, failure: Failure) {
        let outcome = Outcome {
            number: 0,
            due: self.at(due),
            done: self.at(done),
            result: Err(failure),
            backend: None,
        };
        self.recorder.record(&outcome);
    }
}

#[test]
fn latency_counts_from_the_time_a_request_was_due() {
    let mut run = Fixture::new();
    run.answer(0, 5, "backend-1");
    run.answer(10, 510, "backend-1");
    let report = run.recorder.finish(run.start + 600 * MS);
    assert!((5.0..5.1).contains(&report.latency.p50_ms.unwrap()));
    assert!((500.0..501.0).contains(&report.latency.max_ms.unwrap()));
}

#[test]
fn the_longest_gap_spans_failures_and_reaches_to_the_end_of_the_run() {
    let mut run = Fixture::new();
    run.answer(10, 20, "backend-1");
    run.fail(30, 40, Failure::Connect);
    run.answer(60, 70, "backend-2");
    assert_eq!(run.recorder.finish(run.start + 100 * MS).longest_gap_ms, 50.0);

    let mut run = Fixture::new();
    run.answer(10, 20, "backend-1");
    assert_eq!(run.recorder.finish(run.start + 300 * MS).longest_gap_ms, 280.0);

    let run = Fixture::new();
    assert_eq!(run.recorder.finish(run.start + 300 * MS).longest_gap_ms, 300.0);
}

#[test]
fn a_request_belongs_to_the_phase_in_which_it_was_due() {
    let mut run = Fixture::new();
    run.answer(10, 20, "backend-1");
    run.answer(20, 30, "backend-2");
    run.recorder.mark("during", run.start + 100 * MS);
    run.answer(99, 120, "backend-1");
    run.answer(100, 121, "backend-2");
    run.fail(101, 130, Failure::Reset);
    let report = run.recorder.finish(run.start + 200 * MS);
    let [before, during] = &report.phases[..] else { panic!("{:?}", report.phases) };
    assert_eq!((before.name.as_str(), before.requests, before.failed), ("before", 3, 0));
    assert_eq!((during.name.as_str(), during.requests, during.failed), ("during", 2, 1));
    assert_eq!(during.share["backend-1"], 0.0);
    assert_eq!(during.share["backend-2"], 1.0);
    assert_eq!(before.rps["backend-1"], 20.0);
    assert_eq!((report.requests, report.failed, report.failures["reset"]), (5, 1, 1));
}

#[test]
fn buckets_cover_the_run_in_order_and_hold_requests_by_due_time() {
    let mut run = Fixture::new();
    run.answer(0, 950, "backend-1");
    for due in (0..5000).step_by(10) {
        run.answer(due, due + 1, "backend-2");
    }
    // Later than the timeout allows: counted, in the oldest bucket that is still open.
    run.answer(150, 4999, "backend-1");
    let report = run.recorder.finish(run.start + 5000 * MS);
    assert_eq!(report.buckets.len(), 50);
    assert_eq!(report.buckets.iter().map(|bucket| bucket.requests).sum::<u64>(), report.requests);
    assert_eq!(report.buckets[0].requests, 11);
    assert_eq!(report.buckets[1].requests, 10);
    assert_eq!(report.buckets[49].at_seconds, 4.9);
    assert_eq!(report.buckets[49].rps["backend-2"], 100.0);
}

#[test]
fn a_window_holds_what_was_answered_since_the_last_one() {
    let mut run = Fixture::new();
    run.answer(0, 5, "backend-1");
    run.fail(1, 6, Failure::Status);
    let first = run.recorder.take_window(run.start + 1000 * MS);
    run.answer(1000, 1005, "backend-2");
    let second = run.recorder.take_window(run.start + 1500 * MS);
    assert_eq!((first.span.all.requests(), first.span.all.failed()), (2, 1));
    assert_eq!((second.span.all.requests(), second.length), (1, 500 * MS));
    assert_eq!((second.requests, second.failed), (3, 1));
    assert_eq!(second.names, ["backend-1", "backend-2"]);
    assert_eq!(second.span.backends[1].successes(), 1);
}

#[test]
fn the_number_of_backends_told_apart_is_bounded() {
    let mut run = Fixture::new();
    for n in 0..BACKENDS_MAX + 10 {
        let backend = Some(HeaderValue::from_str(&format!("backend-{n}")).unwrap());
        run.recorder.record(&Outcome { number: 0, due: run.at(0), done: run.at(1), result: Ok(()), backend });
    }
    assert_eq!(run.recorder.backends().len(), BACKENDS_MAX);
    assert_eq!(run.recorder.finish(run.start + MS).requests, BACKENDS_MAX as u64 + 10);
}
