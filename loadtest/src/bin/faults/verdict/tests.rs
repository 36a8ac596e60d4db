use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn answered(number: u64, due: u64, done: u64, backend: usize) -> Answered {
    let backend = Some(crate::fleet::name(backend));
    Answered { number, due: ms(due), done: ms(done), failure: None, backend }
}

fn failed(number: u64, due: u64, done: u64) -> Answered {
    Answered { number, due: ms(due), done: ms(done), failure: Some("reset"), backend: None }
}

/// A fault from 1 s to 5 s in a run of 10 s.
fn observed() -> Observed {
    Observed {
        fault_from: ms(1000),
        fault_until: ms(5000),
        returning: "backend-1".to_owned(),
        end: ms(10_000),
        fault: Fault::Kill,
        gets: Vec::new(),
        posts: Vec::new(),
        in_turn: Vec::new(),
        seen: Vec::new(),
        sent: Vec::new(),
        late_tries: None,
        checks: true,
    }
}

#[test]
fn the_gap_runs_between_good_answers_and_ends_with_the_run() {
    let answers =
        [answered(0, 0, 10, 0), answered(1, 980, 990, 0), failed(2, 995, 1500), answered(3, 1501, 1530, 0)];
    assert_eq!(longest_gap(&answers, ms(1000), ms(1600)), ms(540), "a failure is no answer");
    assert_eq!(longest_gap(&answers, ms(1000), ms(3000)), ms(1470), "nothing came until the end");
    assert_eq!(longest_gap(&[], ms(1000), ms(3000)), ms(2000), "nothing ever came");
}

#[test]
fn what_was_long_before_the_fault_is_no_gap() {
    let answers: Vec<_> = [10, 800, 1001, 1010].map(|done| answered(0, done - 5, done, 0)).into();
    assert_eq!(longest_gap(&answers, ms(1000), ms(1020)), ms(201));
}

#[test]
fn failures_and_slow_answers_count_from_the_fault_on() {
    let mut run = observed();
    (run.fault_from, run.fault_until) = (ms(2000), ms(6000));
    run.gets =
        vec![failed(0, 10, 20), answered(1, 30, 500, 0), answered(1, 1000, 1500, 0), failed(2, 1990, 2000)];
    run.gets.extend([answered(3, 1950, 2060, 1), answered(4, 2000, 2100, 1), failed(5, 2000, 5000)]);
    let verdict = run.verdict();
    assert_eq!((verdict.failed_get, verdict.failed_before, verdict.slow_before), (2, 1, 1));
    assert_eq!(
        verdict.slow_get, 1,
        "answered 110 ms after it was due; 100 ms is not slow, a failure is not either"
    );
    assert_eq!(verdict.failures, BTreeMap::from([("reset", 2)]));
}

#[test]
fn a_failed_post_that_had_been_sent_is_told_apart() {
    let mut run = observed();
    run.posts = [6, 7, 8].map(|number| failed(number, 1000, 1010)).into();
    run.seen = vec![Seen { backend: 0, number: 7 }, Seen { backend: 1, number: 9 }];
    run.sent = vec![(ms(1005), Sent::Post(6)), (ms(1005), Sent::Post(9))];
    let verdict = run.verdict();
    assert_eq!((verdict.failed_post, verdict.failed_post_sent), (3, 2));
    assert_eq!(
        (verdict.posts_executed_twice, verdict.posts_sent_twice),
        (0, 1),
        "9 went to two, one received it"
    );
}

#[test]
fn a_post_that_two_backends_received_was_executed_twice() {
    let seen = |backend, number| Seen { backend, number };
    assert_eq!(executed_twice(&[seen(0, 1), seen(1, 2), seen(2, 1), seen(1, 1)]), 1);
    assert_eq!(executed_twice(&[seen(0, 1), seen(0, 1)]), 1, "by the same backend");
}

#[test]
fn a_backend_is_back_with_a_quarter_of_the_traffic_in_two_slices_in_a_row() {
    let mut run = observed();
    // One request per 10 ms; backend-1 answers everything in one slice, and from 6 s on every third request.
    let backend = |due: u64| match due {
        5400..5600 => 0,
        6000.. if (due / 10).is_multiple_of(3) => 0,
        _ => 1,
    };
    run.gets = (0..1000).map(|n| answered(n, n * 10, n * 10 + 5, backend(n * 10))).collect();
    assert_eq!(run.verdict().back_after_s, Some(1.0));
    run.gets.retain(|get| get.due < ms(6000));
    assert_eq!(run.verdict().back_after_s, None);
}

#[test]
fn requests_to_a_backend_that_failed_long_ago_are_counted_where_they_can_be_known() {
    let mut run = observed();
    run.sent = [2999, 3000, 4999, 5000].map(|at| (ms(at), Sent::Get)).into();
    run.sent.push((ms(4000), Sent::Connect));
    let late = |run: &Observed| (run.verdict().late_requests, run.verdict().late_connects);
    assert_eq!(late(&run), (None, 1), "nobody but the balancer knows what a refused connection was for");
    run.late_tries = Some(7);
    assert_eq!(late(&run), (Some(7), 1));
    (run.late_tries, run.checks) = (None, false);
    assert_eq!(late(&run), (Some(2), 1), "without checks a connection is for a request");
    run.fault = Fault::Hang;
    assert_eq!(late(&run), (Some(2), 1));
}
