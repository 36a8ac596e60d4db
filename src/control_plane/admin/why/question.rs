//! Which exchanges are asked for.

use serde::{Deserialize, Deserializer, de};

use super::Names;
use crate::telemetry::{PastExchange, TraceId};

/// How many exchanges are shown when nobody says how many.
const LIMIT: usize = 20;

/// What is said to a question that makes no sense.
pub(super) const WRONG: &str = "a parameter is wrong; there are id, trace (32 hexadecimal digits), upstream, backend, \
                                status (as 503 or 5xx), notable (true or false) and limit (a number)";

/// Which exchanges are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::control_plane::admin) struct Asked {
    id: Option<String>,
    #[serde(default, deserialize_with = "trace_id")]
    trace: Option<TraceId>,
    pub(super) upstream: Option<String>,
    pub(super) backend: Option<String>,
    #[serde(default, deserialize_with = "statuses")]
    status: Option<Statuses>,
    limit: Option<usize>,
    #[serde(default)]
    notable: bool,
}

/// One status, or a class of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Statuses {
    One(u16),
    /// By the first digit.
    Class(u16),
}

impl Asked {
    /// Returns how many exchanges are asked for at most.
    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(LIMIT)
    }

    /// Tells whether this exchange is asked for.
    pub(super) fn wants(&self, past: &PastExchange, names: &Names<'_>) -> bool {
        let is = |asked: &Option<String>, name: Option<&str>| asked.is_none() || asked.as_deref() == name;
        let went_to = |asked: &String| past.tries.iter().any(|one| names.backend(one.backend) == Some(asked));
        is(&self.upstream, names.upstream(past.upstream))
            && self.backend.as_ref().is_none_or(went_to)
            && self.id.as_ref().is_none_or(|id| past.request_id.is(id))
            && self.trace.is_none_or(|trace| past.trace_id == Some(trace))
            && self.status.is_none_or(|statuses| statuses.contain(past.status))
            && (!self.notable || past.is_notable())
    }
}

impl Statuses {
    fn parse(text: &str) -> Option<Self> {
        if let Some(class) = text.strip_suffix("xx") {
            return class.parse().ok().filter(|class| (1..=5).contains(class)).map(Self::Class);
        }
        text.parse().ok().filter(|status| (100..=599).contains(status)).map(Self::One)
    }

    fn contain(self, status: u16) -> bool {
        match self {
            Self::One(asked) => status == asked,
            Self::Class(class) => status / 100 == class,
        }
    }
}

fn statuses<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Option<Statuses>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Statuses::parse(&text).map(Some).ok_or_else(|| de::Error::custom("no status"))
}

fn trace_id<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Option<TraceId>, D::Error> {
    let text = String::deserialize(deserializer)?;
    TraceId::parse(&text).map(Some).ok_or_else(|| de::Error::custom("no trace id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_asked_for_by_itself_or_with_its_class() {
        let contain = |asked: &str, status| Statuses::parse(asked).expect("it is valid").contain(status);
        assert!(contain("503", 503) && !contain("503", 502));
        assert!(contain("5xx", 599) && contain("5xx", 500) && !contain("5xx", 499));
        for wrong in ["", "xx", "6xx", "0xx", "5", "600", "99", "5XX", "-1", "50x"] {
            assert_eq!(Statuses::parse(wrong), None, "{wrong}");
        }
    }
}
