//! What becomes of a push: how it is counted, and what to do about it.

use hyper::StatusCode;

use crate::exchange::{Answer, NoAnswer};

/// All values of the label `result`: what was accepted, and the ways to fail.
pub(crate) const RESULTS: [&str; 8] =
    [ACCEPTED, "rejected", "failed", "refused", "unknown_host", "unreachable", "timeout", "no_http"];

/// The value of the label `result` for a push that was accepted.
pub(crate) const ACCEPTED: &str = "accepted";

/// Why a push was not accepted.
#[derive(Debug, thiserror::Error)]
pub(super) enum PushError {
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    #[error("answered {}{}", .0.status, words(.0))]
    Refused(Answer),
}

/// Tells an answer that accepts from one that does not.
pub(super) fn judge(answer: Result<Answer, NoAnswer>) -> Result<(), PushError> {
    let answer = answer?;
    if answer.status.is_success() { Ok(()) } else { Err(PushError::Refused(answer)) }
}

fn words(answer: &Answer) -> String {
    match (&answer.location, &*answer.said) {
        (Some(location), _) => format!(", to {location}"),
        (None, "") => String::new(),
        (None, said) => format!(": {said}"),
    }
}

impl PushError {
    /// Returns the value of the label `result`.
    pub(super) fn result(&self) -> &'static str {
        match self {
            Self::Refused(answer) if answer.status.is_server_error() => "failed",
            Self::Refused(_) => "rejected",
            Self::NoAnswer(NoAnswer::Refused { .. }) => "refused",
            Self::NoAnswer(NoAnswer::UnknownHost { .. }) => "unknown_host",
            Self::NoAnswer(NoAnswer::Unreachable { .. }) => "unreachable",
            Self::NoAnswer(NoAnswer::Slow { .. }) => "timeout",
            Self::NoAnswer(NoAnswer::Broken(_)) => "no_http",
        }
    }

    /// Returns the status that was answered.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused(answer) => Some(answer.status),
            Self::NoAnswer(_) => None,
        }
    }

    /// Returns what whoever runs the agent can do.
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::NoAnswer(no_answer) => match no_answer {
                NoAnswer::Refused { .. } => "nobody listens there: start the gateway, or correct --push",
                NoAnswer::UnknownHost { .. } => "start the gateway, or correct the host name in --push",
                NoAnswer::Unreachable { .. } => "check the routes and firewalls on the way to the gateway",
                NoAnswer::Slow { .. } => "the gateway is overloaded, or the way to it loses packets",
                NoAnswer::Broken(_) => "is this a Pushgateway? check the port in --push",
            },
            Self::Refused(answer) => match answer.status.as_u16() {
                300..=399 => "give --push the URL that it redirects to",
                400 => {
                    "does another client push a metric of the same name with another type? delete its group"
                }
                401 | 403 => "the agent sends no credentials: let it in without",
                404 | 405 => {
                    "check --push: it is the base URL of a Pushgateway, or of plimsoll's admin server while admin.push is on"
                }
                413 => "let the gateway accept larger bodies",
                429 | 503 => "the gateway takes no more at the moment",
                _ => "look into the log of the gateway",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, location: Option<&str>, said: &str) -> Result<(), PushError> {
        let status = StatusCode::from_u16(status).unwrap();
        judge(Ok(Answer { status, location: location.map(str::to_owned), said: said.to_owned() }))
    }

    #[test]
    fn any_success_is_accepted() {
        for status in [200, 202, 204] {
            assert!(answered(status, None, "").is_ok());
        }
    }

    #[test]
    fn what_was_answered_is_told_in_its_own_words() {
        let said = |pushed: Result<(), PushError>| pushed.unwrap_err().to_string();
        assert_eq!(
            said(answered(400, None, "unexpected end of input")),
            "answered 400 Bad Request: unexpected end of input"
        );
        assert_eq!(said(answered(502, None, "")), "answered 502 Bad Gateway");
        assert_eq!(
            said(answered(301, Some("http://b/"), "x")),
            "answered 301 Moved Permanently, to http://b/"
        );
    }

    #[test]
    fn every_way_to_fail_is_counted_under_a_result_that_exists_from_the_start() {
        let cause = || std::io::Error::from(std::io::ErrorKind::Other);
        let authority = || "a:1".to_owned();
        let no_answers = [
            NoAnswer::Refused { authority: authority() },
            NoAnswer::UnknownHost { host: authority(), cause: cause() },
            NoAnswer::Unreachable { authority: authority(), cause: cause() },
            NoAnswer::Slow { stage: "connecting", patience: std::time::Duration::ZERO },
            NoAnswer::Broken(String::new()),
        ];
        let mut errors: Vec<_> = no_answers.into_iter().map(PushError::from).collect();
        errors.extend(
            [204, 302, 400, 404, 418, 500].into_iter().filter_map(|status| answered(status, None, "").err()),
        );
        let mut results: Vec<_> = errors.iter().map(PushError::result).chain([ACCEPTED]).collect();
        results.sort_unstable();
        results.dedup();
        let mut all = RESULTS;
        all.sort_unstable();
        assert_eq!(results, all);
    }
}
