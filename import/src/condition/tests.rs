//! Promises about conditions: each is held against what it means for requests.

use super::*;
use crate::model::{Matcher, Tests};

fn path(prefix: &str) -> Condition {
    let tests = Tests { prefix: vec![prefix.to_owned()], ..Tests::default() };
    Condition::Test(Test::Path(PathTests { ignore_case: false, tests }))
}

fn path_ignoring_case(prefix: &str) -> Condition {
    let tests = Tests { prefix: vec![prefix.to_owned()], ..Tests::default() };
    Condition::Test(Test::Path(PathTests { ignore_case: true, tests }))
}

fn method(method: &str) -> Condition {
    Condition::Test(Test::Method(vec![method.to_owned()]))
}

fn host(host: &str) -> Condition {
    Condition::Test(Test::Host(vec![host.to_owned()]))
}

/// A request as the tests here see it: method, host and path.
type Request = (&'static str, &'static str, &'static str);

fn meant(condition: &Condition, request: Request) -> bool {
    match condition {
        Condition::Always => true,
        Condition::Never | Condition::Unknown(_) => false,
        Condition::Test(test) => test_holds(test, request),
        Condition::Not(inner) => !meant(inner, request),
        Condition::All(parts) => parts.iter().all(|part| meant(part, request)),
        Condition::Any(parts) => parts.iter().any(|part| meant(part, request)),
    }
}

fn test_holds(test: &Test, (method, host, path): Request) -> bool {
    match test {
        Test::Host(hosts) => hosts.iter().any(|name| name == host),
        Test::Method(methods) => methods.iter().any(|name| name == method),
        Test::Path(tests) => path_holds(tests, path),
        Test::Source(..) | Test::Header(..) | Test::Query(..) => false,
    }
}

fn path_holds(tests: &PathTests, path: &str) -> bool {
    let lower = |text: &str| if tests.ignore_case { text.to_lowercase() } else { text.to_owned() };
    tests.tests.prefix.iter().any(|prefix| lower(path).starts_with(&lower(prefix)))
        || tests.tests.regex.iter().any(|text| regex::Regex::new(text).unwrap().is_match(path))
}

fn matches(matcher: &Matcher, request: Request) -> bool {
    let (method, host, path) = request;
    (matcher.hosts.is_empty() || matcher.hosts.iter().any(|name| name == host))
        && (matcher.methods.is_empty() || matcher.methods.iter().any(|name| name == method))
        && matcher.path.as_ref().is_none_or(|tests| path_holds(tests, path))
        && !matcher.not.iter().any(|not| matches(not, request))
}

fn requests() -> impl Iterator<Item = Request> {
    let methods = ["GET", "POST"];
    let paths = ["/", "/a", "/A", "/ab", "/abc", "/b", "/c/d"];
    methods.into_iter().flat_map(move |method| {
        ["x.org", "y.org"].into_iter().flat_map(move |host| paths.map(move |path| (method, host, path)))
    })
}

#[track_caller]
fn check(condition: &Condition) {
    let routes = matchers(condition).unwrap();
    for request in requests() {
        let matched = routes.iter().any(|matcher| matches(matcher, request));
        assert_eq!(matched, meant(condition, request), "{request:?} of {condition:?} as {routes:?}");
    }
}

#[test]
fn a_condition_becomes_routes_that_mean_the_same() {
    let conditions = [
        Condition::Always,
        Condition::Never,
        path("/a"),
        path("/a").negated(),
        Condition::all([path("/a"), method("GET"), host("x.org")]),
        Condition::all([path("/a"), path("/ab")]),
        Condition::all([path("/a"), path("/ab"), path("/abc")]),
        Condition::all([path("/a"), path("/ab").negated()]),
        Condition::all([path("/a"), path("/ab"), path("/abc").negated(), method("GET")]),
        Condition::any([path("/a"), method("POST")]),
        Condition::any([path("/a"), path_ignoring_case("/AB")]),
        Condition::any([path("/b"), path_ignoring_case("/AB")]).negated(),
        Condition::any([path("/a"), path("/b")]).negated(),
        Condition::all([Condition::any([path("/a"), host("y.org")]), method("GET")]),
        Condition::all([path("/a"), method("GET")]).negated(),
        Condition::all([host("x.org"), host("y.org")]),
        Condition::all([path("/a").negated(), method("GET").negated()]),
        Condition::all([
            path("/a").negated(),
            method("GET").negated(),
            host("x.org"),
            host("y.org").negated(),
        ]),
        Condition::all([
            path("/a"),
            path("/ab"),
            path("/abc"),
            path_ignoring_case("/B").negated(),
            method("GET").negated(),
        ]),
    ];
    conditions.iter().for_each(check);
}

#[test]
fn tests_of_one_field_become_one_test() {
    let routes = matchers(&Condition::any([path("/a"), path("/b")])).unwrap();
    assert_eq!(routes.len(), 1);
    assert_eq!(routes[0].path.as_ref().unwrap().tests.prefix, ["/a", "/b"]);
}

#[test]
fn what_cannot_be_said_is_an_error_and_not_something_else() {
    let asked = Condition::all([path("/a"), Condition::Unknown("`src`".to_owned())]);
    assert_eq!(matchers(&asked).unwrap_err(), "`src`");
}

#[test]
fn conditions_that_would_become_a_flood_of_routes_are_refused() {
    let pair = |name: &str| Condition::any([host(name), method(name)]);
    let many = Condition::all((0..20).map(|index| pair(&format!("n{index}"))));
    assert!(matchers(&many).is_err());
}

#[test]
fn a_rule_that_refuses_all_but_some_refuses_everybody_when_they_cannot_be_told() {
    let trusted = || Condition::Unknown("`src`".to_owned());
    assert_eq!(trusted().negated().closed(), Condition::Always);
    assert_eq!(Condition::all([path("/admin"), trusted().negated()]).closed(), path("/admin"));
    assert_eq!(trusted().closed(), Condition::Never, "a list of who is refused stays without effect");
}
