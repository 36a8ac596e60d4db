//! Writes down what was not as it should be, request by request, for whoever wants to know when and why.

use crate::tap::Sent;
use crate::verdict::{Answered, Observed};
use std::fmt::{Result, Write as _};
use std::time::Duration;

/// A line per failed or slow request and per thing sent to the failed backend, in milliseconds from the fault's start.
pub(crate) fn text(observed: &Observed) -> std::result::Result<String, std::fmt::Error> {
    let mut lines = Vec::new();
    for (what, answers) in
        [("GET", &observed.gets), ("POST", &observed.posts), ("in turn", &observed.in_turn)]
    {
        for answer in answers.iter().filter(|answer| answer.failure.is_some() || answer.is_slow()) {
            lines.push((answer.due, described(what, answer)?));
        }
    }
    let during = observed.fault_from..observed.fault_until;
    for (at, sent) in observed.sent.iter().filter(|(at, _)| during.contains(at)) {
        let what = match sent {
            Sent::Connect => "connection".to_owned(),
            Sent::Get => "GET".to_owned(),
            Sent::Post(number) => format!("POST {number}"),
        };
        lines.push((*at, format!("sent to the failed backend: {what}")));
    }
    lines.sort();
    let mut out = String::new();
    for (at, line) in lines {
        from_fault(&mut out, at, observed.fault_from)?;
        writeln!(out, " {line}")?;
    }
    Ok(out)
}

fn described(what: &str, answer: &Answered) -> std::result::Result<String, std::fmt::Error> {
    let took = answer.done.saturating_sub(answer.due).as_millis();
    let mut line =
        format!("{what} {}: {} after {took} ms", answer.number, answer.failure.unwrap_or("answered"));
    if let Some(backend) = &answer.backend {
        write!(line, " by {backend}")?;
    }
    Ok(line)
}

fn from_fault(out: &mut String, at: Duration, fault: Duration) -> Result {
    let (sign, span) = if at < fault { ('-', fault - at) } else { ('+', at - fault) };
    write!(out, "{sign}{:>8.1}", span.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;

    #[test]
    fn what_went_wrong_is_told_in_order_and_what_did_not_is_left_out() {
        let ms = Duration::from_millis;
        let answer = |number, due, done, failure| {
            let backend = Some("backend-2".to_owned());
            Answered { number, due: ms(due), done: ms(done), failure, backend }
        };
        let observed = Observed {
            fault: Fault::Hang,
            gets: vec![answer(1, 990, 1400, None), answer(2, 1000, 1005, None)],
            posts: vec![answer(7, 1010, 1020, Some("status"))],
            in_turn: Vec::new(),
            seen: Vec::new(),
            sent: vec![(ms(999), Sent::Get), (ms(1005), Sent::Post(7))],
            late_tries: None,
            checks: true,
            fault_from: ms(1000),
            fault_until: ms(2000),
            returning: String::new(),
            end: ms(3000),
        };
        let text = text(&observed).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "-    10.0 GET 1: answered after 410 ms by backend-2",
                "+     5.0 sent to the failed backend: POST 7",
                "+    10.0 POST 7: status after 10 ms by backend-2",
            ]
        );
    }
}
