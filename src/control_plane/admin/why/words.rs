//! What was decided about an exchange, in a sentence for people.

use std::time::Duration;

use crate::data_plane::record::CLIENT_GONE;
use crate::telemetry::{AttemptOutcome, Label as _, PastExchange, PickReason, RefusalReason, SeriesId, Try};

/// Tells an exchange: `backend-2: round robin's turn; answered 200 in 5.1 ms`. `name` knows the backends' names.
pub(super) fn tell<'a>(past: &PastExchange, name: impl Fn(SeriesId) -> Option<&'a str>) -> String {
    let name = |one: &Try| name(one.backend).unwrap_or("a backend that has left the configuration");
    let mut clauses = Vec::new();
    if !past.queued.is_zero() {
        clauses.push(format!("waited {} for a backend to have room", duration(past.queued)));
    }
    let tries: Vec<&Try> = past.tries.iter().collect();
    match *tries {
        [] => clauses.push(untried(past)),
        [only] => {
            clauses.push(format!("{}: {}", name(only), because(only.reason, past.balance)));
            if !matches!(only.outcome, Some(AttemptOutcome::Ok | AttemptOutcome::ServerError)) {
                clauses.push(format!("it {}", fate(only.outcome)));
            }
        }
        [first, .., _] => {
            let why = because(first.reason, past.balance);
            clauses.push(format!("{} was picked ({why}) and {}", name(first), fate(first.outcome)));
            for (at, one) in tries.iter().enumerate().skip(1) {
                if at + 1 == tries.len() && past.tries.left_out() > 0 {
                    clauses.push(format!("{} more tries failed", past.tries.left_out()));
                }
                clauses.push(format!("{} {}", name(one), follow_up(one, &tries[..at])));
            }
        }
    }
    clauses.push(end(past));
    clauses.join("; ")
}

fn untried(past: &PastExchange) -> String {
    match (past.upstream, past.reason) {
        (_, Some(reason)) => format!("no backend was tried ({reason})"),
        (None, None) => "the route answers by itself".to_owned(),
        (Some(_), None) => "no backend was tried".to_owned(),
    }
}

/// Says why a backend was picked.
fn because(reason: PickReason, balance: Option<&str>) -> &'static str {
    match (reason, balance) {
        (PickReason::Balanced, Some("round_robin")) => "round robin's turn",
        (PickReason::Balanced, Some("least_requests")) => "the choice of least requests",
        (PickReason::Balanced, Some("peak_ewma")) => "the choice of peak EWMA",
        (PickReason::Balanced, Some("random")) => "drawn at random",
        (PickReason::Balanced, Some("consistent_hash")) => "its key belongs there",
        (PickReason::Balanced, _) => "the balancer's choice",
        (PickReason::Sticky, _) => "its cookie names it",
        (PickReason::OnlySuspects, _) => "only suspects were left",
        (PickReason::OnlyTried, _) => "all others had been tried",
        (PickReason::NoShare, _) => "nobody who was available had a share of the work",
        (PickReason::FailOpen, _) => "nobody was available, so all are tried",
    }
}

/// Says how a try ended.
fn fate(outcome: Option<AttemptOutcome>) -> &'static str {
    let Some(outcome) = outcome else { return "was cut off" };
    match outcome {
        AttemptOutcome::Ok => "answered",
        AttemptOutcome::ServerError => "answered with a server error",
        AttemptOutcome::ConnectRefused => "refused the connection",
        AttemptOutcome::ConnectTimeout => "did not connect in time",
        AttemptOutcome::ConnectError => "could not be connected to",
        AttemptOutcome::Reset => "reset the connection",
        AttemptOutcome::Timeout => "did not answer in time",
        AttemptOutcome::BadResponse => "gave no valid answer",
        AttemptOutcome::Stale => "had closed the idle connection",
        AttemptOutcome::Drained => "was drained before it answered",
        AttemptOutcome::Overtaken => "was overtaken",
        AttemptOutcome::ClientAbort => "had not answered when the client left",
    }
}

/// Says how a try ended that was not the first one.
fn follow_up(one: &Try, before: &[&Try]) -> &'static str {
    let rescued = before.iter().any(|failed| failed.backend != one.backend);
    match one.outcome {
        Some(AttemptOutcome::Ok) if rescued => "rescued it",
        Some(AttemptOutcome::Ok) => "answered on a new connection",
        outcome => fate(outcome),
    }
}

fn end(past: &PastExchange) -> String {
    let took = duration(past.took);
    if past.status == CLIENT_GONE {
        return format!("the client left after {took}");
    }
    if past.reason == Some(RefusalReason::ShuttingDown.as_str()) {
        return format!("cut after {took}, since the process ended");
    }
    let slow = if past.slow { ", which is slow" } else { "" };
    match past.reason {
        // No answers are known of a connection that is relayed.
        None if past.status == 0 => return format!("relayed for {took}{slow}"),
        Some(reason) if past.status == 0 => return format!("ended after {took}{slow}: {reason}"),
        _ => {}
    }
    format!("answered {} in {took}{slow}", past.status)
}

/// Milliseconds with as many digits as people want to read.
fn duration(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Ending, Offset, Telemetry};

    /// Tells an exchange that was given to backends of these numbers, picked and ended so.
    fn told(status: u16, tries: &[(usize, PickReason, Option<AttemptOutcome>)]) -> String {
        told_as(past(status), tries)
    }

    fn past(status: u16) -> PastExchange {
        PastExchange { took: Duration::from_micros(5_120), status, ..PastExchange::example() }
    }

    fn told_as(mut past: PastExchange, tries: &[(usize, PickReason, Option<AttemptOutcome>)]) -> String {
        let telemetry = Telemetry::new(1);
        let backends = ["backend-1", "backend-2", "backend-3"].map(|name| telemetry.backend("app", name));
        for (number, reason, outcome) in tries {
            let id = backends[number - 1].id;
            past.tries.began(id, *reason, 0, Offset::START);
            let end = Ending::at(Offset::START);
            outcome.iter().for_each(|outcome| past.tries.ended(id, *outcome, end));
        }
        tell(&past, |id| backends.iter().find(|known| known.id == id).map(|known| &*known.backend))
    }

    #[test]
    fn what_went_well_is_told_in_one_breath() {
        use AttemptOutcome as Outcome;
        let one = |reason, outcome, status| told(status, &[(2, reason, Some(outcome))]);
        let told = one(PickReason::Balanced, Outcome::Ok, 200);
        assert_eq!(told, "backend-2: round robin's turn; answered 200 in 5.1 ms");
        let told = one(PickReason::Sticky, Outcome::ServerError, 500);
        assert_eq!(told, "backend-2: its cookie names it; answered 500 in 5.1 ms");
        let told = one(PickReason::FailOpen, Outcome::ConnectRefused, 502);
        let because = "nobody was available, so all are tried";
        assert_eq!(told, format!("backend-2: {because}; it refused the connection; answered 502 in 5.1 ms"));
    }

    #[test]
    fn the_one_who_rescued_is_named_with_the_one_who_failed() {
        use AttemptOutcome as Outcome;
        let balanced = PickReason::Balanced;
        let rescued = told(200, &[(1, balanced, Some(Outcome::Reset)), (3, balanced, Some(Outcome::Ok))]);
        assert_eq!(
            rescued,
            "backend-1 was picked (round robin's turn) and reset the connection; backend-3 rescued it; \
             answered 200 in 5.1 ms"
        );
        let failed =
            told(502, &[(1, balanced, Some(Outcome::ConnectRefused)), (2, balanced, Some(Outcome::Reset))]);
        assert!(failed.ends_with("; backend-2 reset the connection; answered 502 in 5.1 ms"), "{failed}");
        let stale = told(200, &[(1, balanced, Some(Outcome::Stale)), (1, balanced, Some(Outcome::Ok))]);
        assert!(stale.contains("had closed the idle connection; backend-1 answered on a new"), "{stale}");
        let overtaken =
            told(200, &[(1, balanced, Some(Outcome::Ok)), (2, balanced, Some(Outcome::Overtaken))]);
        assert!(overtaken.contains("and answered; backend-2 was overtaken;"), "{overtaken}");
        let many = told(502, &[(1, balanced, Some(Outcome::Timeout)); 6]);
        assert!(many.contains("; 2 more tries failed; backend-1 did not answer in time; answered"), "{many}");
    }

    #[test]
    fn an_exchange_without_a_backend_says_why() {
        let refused =
            PastExchange { reason: Some("overloaded"), queued: Duration::from_secs(1), ..past(503) };
        let expected = "waited 1000.0 ms for a backend to have room; no backend was tried (overloaded); \
                        answered 503 in 5.1 ms";
        assert_eq!(told_as(refused, &[]), expected);
        let own = PastExchange { upstream: None, ..past(301) };
        assert_eq!(told_as(own, &[]), "the route answers by itself; answered 301 in 5.1 ms");
    }

    #[test]
    fn an_exchange_that_was_not_answered_says_so() {
        let left = told(CLIENT_GONE, &[(1, PickReason::Balanced, Some(AttemptOutcome::ClientAbort))]);
        assert!(
            left.ends_with("it had not answered when the client left; the client left after 5.1 ms"),
            "{left}"
        );
        let late = told_as(PastExchange { slow: true, ..past(200) }, &[]);
        assert!(late.ends_with("; answered 200 in 5.1 ms, which is slow"), "{late}");
        let cut = PastExchange { reason: Some("shutting_down"), ..past(503) };
        let cut = told_as(cut, &[(1, PickReason::Balanced, None)]);
        assert!(cut.ends_with("it was cut off; cut after 5.1 ms, since the process ended"), "{cut}");
    }

    #[test]
    fn every_reason_and_every_outcome_has_words() {
        for reason in PickReason::ALL {
            assert_ne!(because(*reason, None), "");
        }
        let mut fates: Vec<_> = AttemptOutcome::ALL.iter().map(|outcome| fate(Some(*outcome))).collect();
        fates.push(fate(None));
        fates.sort_unstable();
        fates.dedup();
        assert_eq!(fates.len(), AttemptOutcome::ALL.len() + 1);
    }
}
