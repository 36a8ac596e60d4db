//! From a condition to the `match` of routes.
//!
//! A `match` is a conjunction: one test for each field, and one `not`, which is a `match` itself. A condition becomes a
//! disjunction of conjunctions, each of which is one route. A second test of the same field goes into `not: {not: …}`,
//! which is the test itself again.

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
    let joined = || "a `not` of several fields at once".to_owned();
    terms.into_iter().map(|term| matcher(term).ok_or_else(joined)).collect()
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
        all = extended.collect();
    }
    Some(all)
}

/// One conjunction as a `match`. None when it excludes more than one `not` can say.
fn matcher(term: Vec<Literal>) -> Option<Matcher> {
    let (positive, negative): (Vec<_>, Vec<_>) = term.into_iter().partition(|literal| literal.holds);
    let mut matcher = Matcher::default();
    let mut rest = Vec::new();
    for literal in positive {
        if !place(&mut matcher, &literal.test) {
            rest.push(literal);
        }
    }
    let mut excluded: Option<Test> = None;
    for literal in negative {
        if let Some(opposite) = opposite(&literal.test)
            && place(&mut matcher, &opposite)
        {
            continue;
        }
        let Some(earlier) = &mut excluded else {
            excluded = Some(literal.test);
            continue;
        };
        if !earlier.or(&literal.test) {
            let mut both = earlier.clone().heeding_case();
            if !both.or(&literal.test.heeding_case()) {
                return None;
            }
            *earlier = both;
        }
    }
    if rest.is_empty() {
        matcher.not = excluded.map(|test| {
            let mut not = Matcher::default();
            place(&mut not, &test);
            Box::new(not)
        });
        return Some(matcher);
    }
    rest.extend(excluded.map(|test| Literal { test, holds: false }));
    let inner = self::matcher(rest)?;
    matcher.not = Some(Box::new(Matcher { not: Some(Box::new(inner)), ..Matcher::default() }));
    Some(matcher)
}

/// The test that holds whenever this one does not. None when there is no such test.
fn opposite(test: &Test) -> Option<Test> {
    let of = |field: &FieldTest| match field {
        FieldTest::Present => Some(FieldTest::Absent),
        FieldTest::Absent => Some(FieldTest::Present),
        FieldTest::Any(_) => None,
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
        Test::Method(methods) if matcher.methods.is_empty() => matcher.methods.clone_from(methods),
        Test::Path(path) if matcher.path.is_none() => matcher.path = Some(path.clone()),
        Test::Header(name, test) => return put(&mut matcher.headers, name, test),
        Test::Query(name, test) => return put(&mut matcher.query, name, test),
        _ => return false,
    }
    true
}
