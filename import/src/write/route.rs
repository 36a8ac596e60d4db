//! Writes routes.

use super::headers;
use super::yaml::Yaml;
use crate::model::{Action, FieldTest, Matcher, Response, Route, Tests};

pub(crate) fn write(yaml: &mut Yaml, route: &Route) {
    yaml.item();
    // A comment above the item would stand between its dash and its keys.
    yaml.value("name", &route.name);
    for line in &route.about {
        yaml.comment(line);
    }
    yaml.list("listener", &route.listeners);
    if !route.matcher.is_empty() {
        yaml.open("match");
        matcher(yaml, &route.matcher);
        yaml.close();
    }
    if route.idempotent {
        yaml.value("idempotent", "true");
    }
    headers::write(yaml, "request_headers", &route.request_headers);
    headers::write(yaml, "response_headers", &route.response_headers);
    match &route.action {
        Action::Upstream(name) => yaml.value("upstream", name),
        Action::Redirect { to, status } => {
            yaml.open("redirect");
            yaml.value("to", to);
            yaml.value("status", &status.to_string());
            yaml.close();
        }
        Action::Respond(response) => respond(yaml, response),
    }
    yaml.end_item();
}

fn respond(yaml: &mut Yaml, response: &Response) {
    yaml.open("respond");
    yaml.value("status", &response.status.to_string());
    yaml.open("headers");
    for (name, value) in &response.headers {
        yaml.value(name, value);
    }
    yaml.close();
    yaml.given("body", response.body.as_ref());
    yaml.close();
}

fn matcher(yaml: &mut Yaml, matcher: &Matcher) {
    yaml.list("host", &matcher.hosts);
    if let Some(path) = &matcher.path {
        yaml.open("path");
        tests(yaml, &path.tests);
        if path.ignore_case {
            yaml.value("ignore_case", "true");
        }
        yaml.close();
    }
    yaml.list("source", &matcher.sources);
    yaml.list("method", &matcher.methods);
    fields(yaml, "headers", &matcher.headers);
    fields(yaml, "query", &matcher.query);
    yaml.open("not");
    match &matcher.not[..] {
        [only] => self::matcher(yaml, only),
        several => several.iter().for_each(|not| {
            yaml.item();
            self::matcher(yaml, not);
            yaml.end_item();
        }),
    }
    yaml.close();
}

fn fields(yaml: &mut Yaml, key: &str, fields: &[(String, FieldTest)]) {
    yaml.open(key);
    for (name, test) in fields {
        yaml.open(name);
        match test {
            FieldTest::Present => yaml.value("present", "true"),
            FieldTest::Absent => yaml.value("present", "false"),
            FieldTest::Any(tests) => self::tests(yaml, tests),
            FieldTest::Caseless(tests) => {
                self::tests(yaml, tests);
                yaml.value("ignore_case", "true");
            }
        }
        yaml.close();
    }
    yaml.close();
}

fn tests(yaml: &mut Yaml, tests: &Tests) {
    yaml.list("exact", &tests.exact);
    yaml.list("prefix", &tests.prefix);
    yaml.list("suffix", &tests.suffix);
    yaml.list("regex", &tests.regex);
}
