//! Rules about header fields as keys of routes. A rule with a condition makes two routes of one: with it, and without.

use super::rule::{Change, HeaderRule, Rules};
use crate::condition::{Condition, Test};
use crate::model::Headers;
use crate::note::Notes;

/// The most conditions that are told apart: each doubles the routes.
const CONDITIONS_MAX: usize = 3;

/// A part of the requests that meet a condition, and what is done to their header fields and to those of their answers.
#[derive(Debug)]
pub(crate) struct Variant {
    pub(crate) condition: Condition,
    pub(crate) request: Headers,
    pub(crate) response: Headers,
}

/// The variants of a condition under the rules of a frontend and a backend. The first that matches decides.
pub(crate) fn variants(condition: &Condition, frontend: &Rules, backend: Option<&Rules>) -> Vec<Variant> {
    let backend = || backend.into_iter();
    let requests =
        || frontend.request_headers.iter().chain(backend().flat_map(|rules| &rules.request_headers));
    // An answer comes by the backend first.
    let answers = backend().flat_map(|rules| &rules.response_headers).chain(&frontend.response_headers);
    let mut response = Headers::default();
    answers.for_each(|rule| rule.change.apply(&mut response));
    // What the condition asks anyway is met by all.
    let is_met = |asked: &Condition| *asked == Condition::Always || implies(condition, asked);
    let mut asked = conditions(requests());
    asked.retain(|asked| !is_met(asked));
    // From all to none: who meets several conditions takes the variant of all of them.
    let subsets = (0..1_usize << asked.len()).rev();
    let variant = |subset: usize| {
        let chosen = |at: usize| subset >> at & 1 == 1;
        let met =
            asked.iter().enumerate().filter(|(at, _)| chosen(*at)).map(|(_, condition)| (*condition).clone());
        let mut request = Headers::default();
        for rule in requests() {
            let place = asked.iter().position(|condition| **condition == rule.condition);
            if is_met(&rule.condition) || place.is_some_and(chosen) {
                rule.change.apply(&mut request);
            }
        }
        let condition = Condition::all(std::iter::once(condition.clone()).chain(met));
        Variant { condition, request, response: response.clone() }
    };
    subsets.map(variant).collect()
}

/// Whether the first condition asks all that the second one asks.
fn implies(condition: &Condition, other: &Condition) -> bool {
    let asks = |part: &Condition| match condition {
        Condition::All(parts) => parts.contains(part),
        condition => condition == part,
    };
    match other {
        Condition::All(parts) => parts.iter().all(asks),
        other => asks(other),
    }
}

/// The different conditions of rules, as many as are told apart.
fn conditions<'a>(rules: impl Iterator<Item = &'a HeaderRule>) -> Vec<&'a Condition> {
    let mut all: Vec<&Condition> = Vec::new();
    for rule in rules.filter(|rule| rule.condition != Condition::Always) {
        if !all.contains(&&rule.condition) && all.len() < CONDITIONS_MAX {
            all.push(&rule.condition);
        }
    }
    all
}

/// Notes the rules that are not applied.
pub(crate) fn tell(frontend: &Rules, backend: Option<&Rules>, notes: &Notes) {
    let rules = || {
        frontend.request_headers.iter().chain(backend.into_iter().flat_map(|rules| &rules.request_headers))
    };
    let asked = conditions(rules());
    for rule in
        rules().filter(|rule| rule.condition != Condition::Always && !asked.contains(&&rule.condition))
    {
        let why =
            "each condition of a header doubles the routes, and three have done so: write a route for it";
        notes.not_supported(&rule.line, why);
    }
}

/// Notes the rules that ask for a field which a rule before them changes.
pub(crate) fn tell_late(frontend: &Rules, notes: &Notes) {
    for changed in &frontend.request_headers {
        let name = changed.change.name();
        let asks = |test: &Test| matches!(test, Test::Header(asked, _) if asked == name);
        let place = |line: &[crate::word::Word]| line.first().map(|word| word.place);
        for rule in frontend.in_order() {
            if rule.condition.has(&asks) && place(&changed.line) < place(&rule.line) {
                let line = place(&changed.line).unwrap_or_default().line;
                let why =
                    format!("`{name}` is compared as the client sent it, not as line {line} changes it");
                notes.not_supported(&rule.line, why);
            }
        }
    }
}

impl Change {
    /// The key that says it.
    pub(crate) fn key(&self) -> &'static str {
        match self {
            Self::Set(..) => "set",
            Self::Add(..) => "add",
            Self::Remove(_) => "remove",
        }
    }
}
