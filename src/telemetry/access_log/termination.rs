//! How an exchange ended, in the two letters of HAProxy's termination state (its configuration manual, "Session state
//! at disconnection"): who ended it, and at which stage.

use super::entry::Entry;
use crate::telemetry::labels::{AttemptOutcome, Label as _, RefusalReason, TcpOutcome};

/// The status that is logged when the client left before it was answered.
const CLIENT_GONE: u16 = 499;

/// Returns the two letters.
pub(super) fn letters(entry: &Entry<'_>) -> [u8; 2] {
    let Some(reason) = entry.reason else {
        return match (entry.status, entry.upstream) {
            (CLIENT_GONE, _) => [b'C', stage(entry)],
            // A route that redirects or answers by itself.
            (_, None) => *b"LR",
            _ => *b"--",
        };
    };
    if let Some(refusal) = RefusalReason::ALL.iter().find(|known| known.as_str() == reason) {
        return refused(*refusal, entry);
    }
    if entry.is_relayed()
        && let Some(outcome) = TcpOutcome::ALL.iter().find(|known| known.as_str() == reason)
    {
        return relayed(*outcome, entry);
    }
    match AttemptOutcome::ALL.iter().find(|known| known.as_str() == reason) {
        Some(outcome) => failed(*outcome, entry),
        None => [b'I', stage(entry)],
    }
}

fn refused(reason: RefusalReason, entry: &Entry<'_>) -> [u8; 2] {
    use RefusalReason as R;
    let by = match reason {
        R::Incomplete => b'C',
        R::HeadTimeout | R::BodyTimeout => b'c',
        R::NoneAvailable => return *b"SC",
        R::Overloaded if entry.timings.admission.is_some() => return *b"sQ",
        // As many wait as may.
        R::Overloaded => return *b"PQ",
        R::ShuttingDown => b'K',
        R::BadRequestLine | R::BadHeader | R::BadHost | R::ConflictingLength | R::BadLength => b'P',
        R::BadTransferCoding | R::BadChunk | R::BadVersion | R::BadMethod | R::BadExpectation => b'P',
        R::BadProxyHeader | R::TargetTooLong | R::HeadTooLarge | R::BodyTooLarge | R::NoRoute => b'P',
    };
    [by, stage(entry)]
}

/// What is said of nothing but connections that are relayed.
fn relayed(outcome: TcpOutcome, entry: &Entry<'_>) -> [u8; 2] {
    use TcpOutcome as T;
    let by = match outcome {
        T::Ok => return *b"--",
        T::ConnectRefused | T::ConnectError | T::NoneAvailable => return *b"SC",
        T::ConnectTimeout => return *b"sC",
        T::Overloaded => return *b"sQ",
        T::ClientReset | T::ClientAbort => b'C',
        T::BackendReset => b'S',
        T::IdleTimeout => b'c',
        T::Drained => b'D',
        T::ShuttingDown => b'K',
    };
    [by, stage(entry)]
}

fn failed(outcome: AttemptOutcome, entry: &Entry<'_>) -> [u8; 2] {
    use AttemptOutcome as A;
    let by = match outcome {
        A::Ok => return *b"--",
        A::ConnectRefused | A::ConnectError => return *b"SC",
        A::ConnectTimeout => return *b"sC",
        A::ServerError | A::Reset | A::Stale | A::Overtaken => b'S',
        A::Timeout => b's',
        A::BadResponse => b'P',
        A::Drained => b'D',
        A::ClientAbort => b'C',
    };
    [by, stage(entry)]
}

/// Returns how far the exchange had come: the request, the queue, the head of the answer, or its data.
fn stage(entry: &Entry<'_>) -> u8 {
    match (entry.upstream, entry.backend) {
        (None, _) => b'R',
        (Some(_), None) if entry.timings.admission.is_some() => b'Q',
        (Some(_), None) => b'C',
        (Some(_), Some(_)) if entry.answer_started => b'D',
        // Not connected yet.
        (Some(_), Some(_)) if entry.is_relayed() => b'C',
        (Some(_), Some(_)) => b'H',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::access_log::entry::{RELAYED, Timings};
    use crate::telemetry::access_log::tests::entry;
    use std::time::Duration;

    #[test]
    fn no_word_means_a_refusal_and_a_failed_attempt() {
        let outcomes: Vec<_> = AttemptOutcome::ALL.iter().map(|known| known.as_str()).collect();
        assert!(RefusalReason::ALL.iter().all(|known| !outcomes.contains(&known.as_str())));
    }

    #[test]
    fn each_end_has_the_letters_that_haproxy_gives_it() {
        let waited = Timings { admission: Some(Duration::from_millis(1)), ..Timings::default() };
        let well = Entry { reason: None, timings: Timings::default(), ..entry() };
        let early = Entry { upstream: None, backend: None, route: None, ..well.clone() };
        let queued = Entry { backend: None, timings: waited, ..well.clone() };
        let pending = Entry { answer_started: false, ..well.clone() };
        let begun = Entry { answer_started: true, ..well.clone() };
        for (told, reason, expected) in [
            (&begun, None, "--"),
            (&Entry { route: Some("old"), ..early.clone() }, None, "LR"),
            (&early, Some("bad_host"), "PR"),
            (&early, Some("no_route"), "PR"),
            (&early, Some("head_timeout"), "cR"),
            (&early, Some("incomplete"), "CR"),
            (&queued, Some("incomplete"), "CQ"),
            (&queued, Some("overloaded"), "sQ"),
            (&Entry { backend: None, ..well.clone() }, Some("overloaded"), "PQ"),
            (&Entry { backend: None, ..well.clone() }, Some("none_available"), "SC"),
            (&pending, Some("connect_refused"), "SC"),
            (&pending, Some("connect_timeout"), "sC"),
            (&pending, Some("incomplete"), "CH"),
            (&pending, Some("body_timeout"), "cH"),
            (&pending, Some("bad_chunk"), "PH"),
            (&pending, Some("reset"), "SH"),
            (&pending, Some("timeout"), "sH"),
            (&pending, Some("bad_response"), "PH"),
            (&begun, Some("client_abort"), "CD"),
            (&begun, Some("reset"), "SD"),
            (&begun, Some("timeout"), "sD"),
            (&begun, Some("drained"), "DD"),
            (&begun, Some("shutting_down"), "KD"),
            (&begun, Some("a word of tomorrow"), "ID"),
        ] {
            let told = Entry { reason, ..told.clone() };
            assert_eq!(letters(&told), expected.as_bytes(), "{reason:?} of {told:?}");
        }
        assert_eq!(letters(&Entry { status: CLIENT_GONE, ..early }), *b"CR");
        let dialled = Entry { version: RELAYED, status: 0, ..pending };
        let talked = Entry { answer_started: true, ..dialled.clone() };
        for (told, reason, expected) in [
            (&talked, None, "--"),
            (&talked, Some("client_reset"), "CD"),
            (&talked, Some("backend_reset"), "SD"),
            (&talked, Some("idle_timeout"), "cD"),
            (&talked, Some("drained"), "DD"),
            (&talked, Some("shutting_down"), "KD"),
            (&dialled, Some("connect_refused"), "SC"),
            (&dialled, Some("connect_timeout"), "sC"),
            (&Entry { backend: None, ..dialled.clone() }, Some("none_available"), "SC"),
            (&Entry { version: RELAYED, ..queued }, Some("client_abort"), "CQ"),
        ] {
            let told = Entry { reason, ..told.clone() };
            assert_eq!(letters(&told), expected.as_bytes(), "{reason:?} of {told:?}");
        }
    }
}
