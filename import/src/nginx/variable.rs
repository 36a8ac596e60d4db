//! Texts with variables, and the conditions of `if`.

use crate::condition::{Condition, Test};
use crate::lint;
use crate::model::{FieldTest, PathTests, Tests};
use crate::word::Word;

/// The target of a redirection in plimsoll's form. None when a variable in it has no counterpart.
pub(crate) fn redirect_target(target: &str, server_name: Option<&str>) -> Option<String> {
    if server_name.is_none() && target.contains("server_name") {
        return None;
    }
    text(target, server_name.unwrap_or_default(), false, false).filter(|target| !target.is_empty())
}

/// A text with variables in plimsoll's form. None when one of them has no counterpart. The client is known `in_headers`
/// alone.
pub(crate) fn text(text: &str, server_name: &str, tls: bool, in_headers: bool) -> Option<String> {
    if text.contains(['{', '}']) {
        return self::text(&without_braces(text)?, server_name, tls, in_headers);
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let length = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let (name, tail) = after.split_at(length);
        match name {
            "host" => out.push_str("{host}"),
            "http_host" => out.push_str("{authority}"),
            "request_uri" => out.push_str("{path}{query}"),
            "uri" | "document_uri" => out.push_str("{path}"),
            "is_args" => {}
            "args" | "query_string" => out.push_str("{query}"),
            "scheme" => out.push_str(if tls { "https" } else { "http" }),
            "server_name" => out.push_str(server_name),
            "remote_addr" | "realip_remote_addr" if in_headers => out.push_str("{client}"),
            _ => return None,
        }
        rest = tail;
    }
    out.push_str(rest);
    // `?$args` and `$is_args$args` both bring the question mark that {query} has already; without it, {query} cannot.
    let bare = |out: &str| out.replace("?{query}", "").replace("{path}{query}", "").contains("{query}");
    if in_headers && bare(&out) && !text.contains("$is_args$") {
        return None;
    }
    let out = out.replace("?{query}", "{query}");
    lint::header_value(&out).then_some(out)
}

/// `${name}` as `$name`, where nothing after it would become a part of the name. None otherwise.
fn without_braces(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, tail) = after.split_once('}')?;
        let runs_on = tail.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        if runs_on || name.is_empty() {
            return None;
        }
        out.push_str(before);
        out.push('$');
        out.push_str(name);
        rest = tail;
    }
    out.push_str(rest);
    (!out.contains(['{', '}'])).then_some(out)
}

/// The condition of `if (…)`. `tls` is what `$scheme` says.
pub(crate) fn condition(words: &[Word], tls: bool) -> Condition {
    let text: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    let joined = text.join(" ");
    let inner = joined.trim().trim_start_matches('(').trim_end();
    let inner = inner.strip_suffix(')').unwrap_or(inner).trim();
    let (variable, rest) = inner.split_once(' ').unwrap_or((inner, ""));
    let (operator, value) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
    let value = value.trim();
    let unknown = Condition::Unknown(format!("`{}`", crate::word::shown(variable)));
    let (operator, negated) = match operator.strip_prefix('!') {
        Some(operator) => (operator, true),
        None => (operator, false),
    };
    let tests = match operator {
        "" => None,
        "=" => Some(Tests { exact: vec![value.to_owned()], ..Tests::default() }),
        "~" if lint::regex(value) => Some(Tests { regex: vec![value.to_owned()], ..Tests::default() }),
        "~*" if lint::regex(value) => Some(Tests { regex: vec![format!("(?i){value}")], ..Tests::default() }),
        _ => return unknown,
    };
    let found = of_variable(variable, tests, tls).unwrap_or(unknown);
    if negated { found.negated() } else { found }
}

/// A variable that passes the tests; without any, one that is there.
fn of_variable(variable: &str, tests: Option<Tests>, tls: bool) -> Option<Condition> {
    let field = || match &tests {
        None => FieldTest::Present,
        Some(tests) if tests.exact == [""] => FieldTest::Absent,
        Some(tests) => FieldTest::Any(tests.clone()),
    };
    let header = |name: &str| Condition::Test(Test::Header(name.replace('_', "-"), field()));
    match variable {
        "$scheme" => {
            let wanted = tests?.exact.pop()?;
            let holds = wanted == if tls { "https" } else { "http" };
            Some(if holds { Condition::Always } else { Condition::Never })
        }
        "$https" => {
            let is_empty = tests.is_some_and(|tests| tests.exact == [""]);
            Some(if tls != is_empty { Condition::Always } else { Condition::Never })
        }
        "$host" | "$http_host" => match &tests {
            Some(Tests { exact, .. }) if exact.len() == 1 => {
                let host = lint::host_pattern(&exact[0]).filter(|host| !host.starts_with('*'))?;
                Some(Condition::Test(Test::Host(vec![host])))
            }
            _ => Some(header("host")),
        },
        "$request_method" => {
            let tests = tests?;
            let methods = match (&tests.exact[..], &tests.regex[..]) {
                ([method], _) => vec![method.clone()],
                (_, [regex]) => alternatives(regex)?,
                _ => return None,
            };
            let usable = methods.iter().all(|method| lint::method(method));
            usable.then_some(Condition::Test(Test::Method(methods)))
        }
        "$uri" | "$document_uri" | "$request_uri" => {
            let tests = tests?;
            let usable = tests.exact.iter().all(|path| lint::path_start(path));
            usable.then_some(Condition::Test(Test::Path(PathTests { ignore_case: false, tests })))
        }
        _ => {
            let token = |prefix: &str| variable.strip_prefix(prefix).filter(|name| lint::token(name));
            token("$http_").map(header).or_else(|| {
                let name = token("$arg_")?;
                Some(Condition::Test(Test::Query(name.to_owned(), field())))
            })
        }
    }
}

/// `^(GET|HEAD)$` as its alternatives. None when the expression is another one.
fn alternatives(regex: &str) -> Option<Vec<String>> {
    let bare = regex.strip_prefix('^')?.strip_suffix('$')?;
    let bare = bare.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(bare);
    let parts: Vec<String> = bare.split('|').map(str::to_owned).collect();
    parts.iter().all(|part| lint::token(part)).then_some(parts)
}
