//! Conditions on a request: tests joined by and, or and not.

mod matchers;

use crate::model::{FieldTest, PathTests};

pub(crate) use matchers::matchers;

/// A condition on a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    Always,
    Never,
    Test(Test),
    /// Something that plimsoll cannot ask of a request; the text says what.
    Unknown(String),
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
}

/// One test, as a field of plimsoll's `match`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    Host(Vec<String>),
    /// Ranges of addresses.
    Source(Vec<String>),
    Path(PathTests),
    Method(Vec<String>),
    Header(String, FieldTest),
    Query(String, FieldTest),
}

impl Condition {
    /// Whether every one of them holds.
    pub(crate) fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Self::Always => {}
                Self::Never => return Self::Never,
                Self::All(inner) => kept.extend(inner),
                part if kept.contains(&part) => {}
                part => kept.push(part),
            }
        }
        match kept.len() {
            0 => Self::Always,
            1 => kept.remove(0),
            _ => Self::All(kept),
        }
    }

    /// Whether one of them holds. Tests of the same field become one, as they are in plimsoll.
    pub(crate) fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut kept: Vec<Self> = Vec::new();
        for part in parts {
            match part {
                Self::Never => {}
                Self::Always => return Self::Always,
                Self::Any(inner) => inner.into_iter().for_each(|part| merge(&mut kept, part)),
                part => merge(&mut kept, part),
            }
        }
        match kept.len() {
            0 => Self::Never,
            1 => kept.remove(0),
            _ => Self::Any(kept),
        }
    }

    /// Whether it does not hold.
    pub(crate) fn negated(self) -> Self {
        match self {
            Self::Always => Self::Never,
            Self::Never => Self::Always,
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// What plimsoll cannot ask. None when it can ask everything.
    pub(crate) fn unknown(&self) -> Option<&str> {
        match self {
            Self::Unknown(what) => Some(what),
            Self::Not(inner) => inner.unknown(),
            Self::All(parts) | Self::Any(parts) => parts.iter().find_map(Self::unknown),
            Self::Always | Self::Never | Self::Test(_) => None,
        }
    }

    /// Whether a test in it passes the question.
    pub(crate) fn has(&self, question: &impl Fn(&Test) -> bool) -> bool {
        match self {
            Self::Test(test) => question(test),
            Self::Not(inner) => inner.has(question),
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.has(question)),
            Self::Always | Self::Never | Self::Unknown(_) => false,
        }
    }

    /// The condition for a rule that refuses: what cannot be asked counts as not holding. A rule that refuses all but
    /// some refuses everybody then, and one that refuses some refuses nobody.
    pub(crate) fn closed(self) -> Self {
        match self {
            Self::Unknown(_) => Self::Never,
            Self::Not(inner) => inner.closed().negated(),
            Self::All(parts) => Self::all(parts.into_iter().map(Self::closed)),
            Self::Any(parts) => Self::any(parts.into_iter().map(Self::closed)),
            other => other,
        }
    }
}

/// Adds an alternative: to a test of the same field if there is one.
fn merge(kept: &mut Vec<Condition>, part: Condition) {
    if let Condition::Test(test) = &part {
        for other in kept.iter_mut() {
            if let Condition::Test(earlier) = other
                && earlier.or(test)
            {
                return;
            }
        }
    }
    if !kept.contains(&part) {
        kept.push(part);
    }
}

impl Test {
    /// Widens the test by another one of the same field. False, and nothing done, when they cannot be one.
    fn or(&mut self, other: &Self) -> bool {
        match (self, other) {
            (Self::Host(all), Self::Host(more))
            | (Self::Source(all), Self::Source(more))
            | (Self::Method(all), Self::Method(more)) => {
                let new: Vec<String> = more.iter().filter(|text| !all.contains(text)).cloned().collect();
                all.extend(new);
                true
            }
            (Self::Path(all), Self::Path(more)) if all.ignore_case == more.ignore_case => {
                all.tests.add(&more.tests);
                true
            }
            (Self::Header(name, all), Self::Header(other, more))
            | (Self::Query(name, all), Self::Query(other, more))
                if name == other =>
            {
                all.or(more)
            }
            _ => false,
        }
    }
}

impl FieldTest {
    fn or(&mut self, other: &Self) -> bool {
        match (&mut *self, other) {
            (Self::Any(all), Self::Any(more)) | (Self::Caseless(all), Self::Caseless(more)) => {
                all.add(more);
                true
            }
            (Self::Present, Self::Present | Self::Any(_) | Self::Caseless(_))
            | (Self::Absent, Self::Absent) => true,
            (Self::Any(_) | Self::Caseless(_), Self::Present) => {
                *self = Self::Present;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
