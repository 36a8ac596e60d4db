//! From a condition to the `match` of routes.
//!
//! A `match` is a conjunction: one test for each field, and in `not` what must not match, each a `match` itself. A
//! condition becomes a disjunction of conjunctions, each of which is one route. A second test of the same field goes into
//! `not: {not: …}`, which is the test itself again.

use super::{Condition, Test};
use crate::model::{FieldTest, Matcher};

/// The most routes that one condition may become. Beyond it nobody could read them.
const ROUTES_MAX: usize = 64;

/// A test, or that it does not hold.
#[derive(Debug, Clone, PartialEq)]
struct Literal {
    test: Test,
    holds: bool,
}

/// The `match` of each route that together are the condition. Empty when it never holds.
///
/// # Errors
/// What of the condition plimsoll cannot ask, in words.
pub(crate) fn matchers(condition: &Condition) -> Result<Vec<Matcher>, String> {
    if let Some(what) = condition.unknown() {
        return Err(what.to_owned());
    }
    let too_many = || "a condition with so many alternatives".to_owned();
    let terms = terms(condition, true).ok_or_else(too_many)?;
    Ok(terms.into_iter().map(matcher).collect())
}

/// The condition as alternatives of conjunctions. None when there are too many of them.
fn terms(condition: &Condition, holds: bool) -> Option<Vec<Vec<Literal>>> {
    match condition {
        Condition::Always if holds => Some(vec![Vec::new()]),
        Condition::Never if !holds => Some(vec![Vec::new()]),
        Condition::Always | Condition::Never | Condition::Unknown(_) => Some(Vec::new()),
        Condition::Test(test) => Some(vec![vec![Literal { test: test.clone(), holds }]]),
        Condition::Not(inner) => terms(inner, !holds),
        Condition::All(parts) if holds => product(parts, holds),
        Condition::Any(parts) if !holds => product(parts, holds),
        Condition::All(parts) | Condition::Any(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(terms(part, holds)?);
                if all.len() > ROUTES_MAX {
                    return None;
                }
            }
            Some(all)
        }
    }
}

fn product(parts: &[Condition], holds: bool) -> Option<Vec<Vec<Literal>>> {
    let mut all = vec![Vec::new()];
    for part in parts {
        let alternatives = terms(part, holds)?;
        if all.len() * alternatives.len() > ROUTES_MAX {
            return None;
        }
        let extended = all.iter().flat_map(|term: &Vec<Literal>| {
            alternatives.iter().map(move |more| {
                let mut term = term.clone();
                for literal in more {
                    if !term.contains(literal) {
                        term.push(literal.clone());
                    }
                }
                term
            })
        });
        // What must hold and must not hold at once never happens.
        let is_possible = |term: &Vec<Literal>| {
            let opposes = |a: &Literal, b: &Literal| a.holds != b.holds && a.test == b.test;
            !term.iter().any(|literal| term.iter().any(|other| opposes(literal, other)))
        };
        all = extended.filter(is_possible).collect();
    }
    Some(all)
}

/// One conjunction as a `match`.
fn matcher(term: Vec<Literal>) -> Matcher {
    let (positive, negative): (Vec<_>, Vec<_>) = term.into_iter().partition(|literal| literal.holds);
    let mut matcher = Matcher::default();
    let only = |test: &Test| {
        let mut only = Matcher::default();
        place(&mut only, test);
        only
    };
    let mut twice = Vec::new();
    for literal in positive {
        if !place(&mut matcher, &literal.test) {
            twice.push(Matcher { not: vec![only(&literal.test)], ..Matcher::default() });
        }
    }
    let mut excluded: Vec<Test> = Vec::new();
    for literal in negative {
        let is_placed = opposite(&literal.test).is_some_and(|opposite| place(&mut matcher, &opposite));
        if !is_placed && !excluded.iter_mut().any(|earlier| earlier.or(&literal.test)) {
            excluded.push(literal.test);
        }
    }
    matcher.not = excluded.iter().map(only).chain(twice).collect();
    matcher
}

/// The test that holds whenever this one does not. None when there is no such test.
fn opposite(test: &Test) -> Option<Test> {
    let of = |field: &FieldTest| match field {
        FieldTest::Present => Some(FieldTest::Absent),
        FieldTest::Absent => Some(FieldTest::Present),
        FieldTest::Any(_) | FieldTest::Caseless(_) => None,
    };
    match test {
        Test::Header(name, field) => Some(Test::Header(name.clone(), of(field)?)),
        Test::Query(name, field) => Some(Test::Query(name.clone(), of(field)?)),
        _ => None,
    }
}

/// Puts a test into its field. False when another one is there already.
fn place(matcher: &mut Matcher, test: &Test) -> bool {
    let put = |fields: &mut Vec<(String, FieldTest)>, name: &String, test: &FieldTest| {
        let is_free = fields.iter().all(|(other, _)| other != name);
        if is_free {
            fields.push((name.clone(), test.clone()));
        }
        is_free
    };
    match test {
        Test::Host(hosts) if matcher.hosts.is_empty() => matcher.hosts.clone_from(hosts),
        Test::Source(ranges) if matcher.sources.is_empty() => matcher.sources.clone_from(ranges),
        Test::Method(methods) if matcher.methods.is_empty() => matcher.methods.clone_from(methods),
        Test::Path(path) if matcher.path.is_none() => matcher.path = Some(path.clone()),
        Test::Header(name, test) => return put(&mut matcher.headers, name, test),
        Test::Query(name, test) => return put(&mut matcher.query, name, test),
        _ => return false,
    }
    true
}
