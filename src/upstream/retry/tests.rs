//! What the retry decision promises.

use proptest::prelude::*;

use super::*;

const FAILURES: [Failure; 5] =
    [Failure::Connect, Failure::Stale, Failure::Reset, Failure::Timeout, Failure::BadResponse];

fn after(failure: Failure) -> Attempted {
    let request_written = failure != Failure::Connect;
    Attempted {
        failure,
        idempotent: true,
        request_written,
        body_intact: true,
        answer_started: false,
        attempts: 1,
    }
}

#[test]
fn a_failed_connect_is_tried_elsewhere_whatever_the_method() {
    let post = Attempted { idempotent: false, ..after(Failure::Connect) };
    assert_eq!(RetryRules::default().decide(&post), Decision::Elsewhere(RetryReason::Connect));
}

#[test]
fn a_stale_connection_costs_no_attempt() {
    let last = Attempted { attempts: 3, ..after(Failure::Stale) };
    assert_eq!(RetryRules::default().decide(&last), Decision::Fresh);
}

#[test]
fn a_post_meets_a_stale_connection_safely_only_before_its_first_byte() {
    let rules = RetryRules::default();
    let written = Attempted { idempotent: false, ..after(Failure::Stale) };
    assert_eq!(rules.decide(&written), Decision::GiveUp(Some(RetryRefusal::NotIdempotent)));
    let unwritten = Attempted { request_written: false, ..written };
    assert_eq!(rules.decide(&unwritten), Decision::Fresh);
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
    let rules = RetryRules { on_connect: false, on_reset: false, on_timeout: false, ..RetryRules::default() };
    for failure in [Failure::Connect, Failure::Reset, Failure::Timeout] {
        assert_eq!(rules.decide(&after(failure)), Decision::GiveUp(None));
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
        (idempotent, request_written, body_intact, answer_started) in any::<(bool, bool, bool, bool)>(),
        (attempts, limit) in (1_u32..6, 0_u32..6),
        (on_connect, on_reset, on_timeout) in any::<(bool, bool, bool)>(),
    ) {
        let rules = RetryRules { attempts: limit, on_connect, on_reset, on_timeout, ..RetryRules::default() };
        let attempted = Attempted { failure, idempotent, request_written, body_intact, answer_started, attempts };
        let decision = rules.decide(&attempted);
        if !matches!(decision, Decision::GiveUp(_)) {
            prop_assert!(!answer_started && body_intact && (idempotent || !request_written));
        }
        if matches!(decision, Decision::Elsewhere(_)) {
            prop_assert!(attempts < limit);
        }
    }
}
