//! What the retry decision promises.

use proptest::prelude::*;

use super::*;

const FAILURES: [Failure; 8] = [
    Failure::Connect,
    Failure::Stale,
    Failure::Reset,
    Failure::Timeout,
    Failure::Status(503),
    Failure::Status(501),
    Failure::Overdue,
    Failure::BadResponse,
];

const ELSEWHERE: [RetryReason; 5] = [
    RetryReason::Connect,
    RetryReason::Reset,
    RetryReason::Timeout,
    RetryReason::Status,
    RetryReason::Overdue,
];

fn after(failure: Failure) -> Attempted {
    let request_written = failure != Failure::Connect;
    Attempted {
        failure,
        repeatable: true,
        request_written,
        body_intact: true,
        answer_started: false,
        attempts: 1,
    }
}

#[test]
fn every_row_of_the_table_is_decided_as_it_says() {
    let rules = RetryRules::default();
    let unsafe_to_repeat = Decision::GiveUp(Some(RetryRefusal::NotIdempotent));
    let never = Decision::GiveUp(None);
    let elsewhere = |reason| [Decision::Elsewhere(reason), Decision::Elsewhere(reason), unsafe_to_repeat];
    for (failure, [unwritten, repeatable, not_repeatable]) in [
        (Failure::Connect, elsewhere(RetryReason::Connect)),
        (Failure::Stale, [Decision::Fresh, Decision::Fresh, unsafe_to_repeat]),
        (Failure::Reset, elsewhere(RetryReason::Reset)),
        (Failure::Timeout, elsewhere(RetryReason::Timeout)),
        (Failure::Status(500), elsewhere(RetryReason::Status)),
        (Failure::Status(504), elsewhere(RetryReason::Status)),
        (Failure::Status(501), [never; 3]),
        (Failure::Status(429), [never; 3]),
        (Failure::Overdue, elsewhere(RetryReason::Overdue)),
        (Failure::BadResponse, [never; 3]),
    ] {
        for (request_written, repeatable, expected) in [
            (false, true, unwritten),
            (false, false, unwritten),
            (true, true, repeatable),
            (true, false, not_repeatable),
        ] {
            let attempted = Attempted { request_written, repeatable, ..after(failure) };
            assert_eq!(rules.decide(&attempted), expected, "{attempted:?}");
        }
    }
}

#[test]
fn what_has_cost_the_backend_nothing_costs_nothing_of_the_budget() {
    let free = ELSEWHERE.into_iter().filter(|&reason| !Decision::Elsewhere(reason).costs_a_retry());
    assert_eq!(free.collect::<Vec<_>>(), [RetryReason::Connect]);
    for other in [Decision::Fresh, Decision::GiveUp(None)] {
        assert!(!other.costs_a_retry() && !other.needs_another_backend());
    }
}

#[test]
fn who_is_slow_or_in_error_is_not_asked_again() {
    let again = ELSEWHERE.into_iter().filter(|&reason| !Decision::Elsewhere(reason).needs_another_backend());
    assert_eq!(again.collect::<Vec<_>>(), [RetryReason::Connect, RetryReason::Reset]);
}

#[test]
fn a_stale_connection_costs_no_attempt() {
    let last = Attempted { attempts: 3, ..after(Failure::Stale) };
    assert_eq!(RetryRules::default().decide(&last), Decision::Fresh);
}

#[test]
fn the_last_attempt_is_the_last() {
    let rules = RetryRules { attempts: 2, ..RetryRules::default() };
    let second = Attempted { attempts: 2, ..after(Failure::Reset) };
    assert_eq!(rules.decide(&second), Decision::GiveUp(Some(RetryRefusal::Attempts)));
    let first = Attempted { attempts: 1, ..second };
    assert_eq!(rules.decide(&first), Decision::Elsewhere(RetryReason::Reset));
}

#[test]
fn what_the_configuration_leaves_out_is_not_retried() {
    let rules = RetryRules {
        on_connect: false,
        on_reset: false,
        on_timeout: false,
        statuses: StatusSet::default(),
        hedge: Hedge::Off,
        ..RetryRules::default()
    };
    for failure in FAILURES.into_iter().filter(|&failure| failure != Failure::Stale) {
        assert_eq!(rules.decide(&after(failure)), Decision::GiveUp(None), "{failure:?}");
    }
}

#[test]
fn only_the_statuses_of_errors_can_be_in_the_set() {
    for status in [0, 200, 429, 499, 500, 503, 599, 600, u16::MAX] {
        let set = StatusSet::default().with(status);
        assert_eq!(set.contains(status), (500..600).contains(&status), "{status}");
        assert!(!set.contains(501) && !set.contains(628));
    }
}

#[test]
fn only_the_methods_of_the_rfc_are_idempotent() {
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
        assert!(is_idempotent(method.as_bytes()), "{method}");
    }
    for method in ["POST", "PATCH", "CONNECT", "get", "PROPFIND", ""] {
        assert!(!is_idempotent(method.as_bytes()), "{method}");
    }
}

proptest! {
    #[test]
    fn nothing_unsafe_is_ever_repeated(
        failure in proptest::sample::select(&FAILURES[..]),
        (repeatable, request_written, body_intact, answer_started) in any::<(bool, bool, bool, bool)>(),
        (attempts, limit) in (1_u32..6, 0_u32..6),
        (on_connect, on_reset, on_timeout) in any::<(bool, bool, bool)>(),
    ) {
        let rules = RetryRules { attempts: limit, on_connect, on_reset, on_timeout, ..RetryRules::default() };
        let attempted = Attempted { failure, repeatable, request_written, body_intact, answer_started, attempts };
        let decision = rules.decide(&attempted);
        if !matches!(decision, Decision::GiveUp(_)) {
            prop_assert!(!answer_started && body_intact && (repeatable || !request_written));
        }
        if matches!(decision, Decision::Elsewhere(_)) {
            prop_assert!(attempts < limit);
        }
    }
}
