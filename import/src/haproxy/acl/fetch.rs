//! One test: what is fetched of a request, how it is compared, and with what.

use crate::address;
use crate::condition::{Condition, Test};
use crate::haproxy::balance::call;
use crate::lint;
use crate::model::{FieldTest, PathTests, Tests};
use crate::word::{Word, shown};

/// How a text is compared.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Match {
    Exact,
    Beginning,
    End,
    Regex,
    Part,
    /// A part between slashes.
    Directory,
    /// A part between dots.
    Domain,
    Found,
    Count,
    Other,
}

/// What a test is about.
enum Subject {
    Path,
    Host,
    /// The host without its port.
    BareHost,
    Source,
    Header(String),
    Query(String),
    Cookie(String),
    Method,
    Constant(bool),
    Other,
}

struct Parts<'a> {
    comparison: Match,
    ignore_case: bool,
    from_file: bool,
    patterns: Vec<&'a str>,
}

/// The condition that a test means. `tls` is what `ssl_fc` says.
pub(crate) fn condition(words: &[Word], tls: bool) -> Condition {
    let [criterion, rest @ ..] = words else { return Condition::Never };
    let unknown = || Condition::Unknown(format!("`{}`", shown(&criterion.text)));
    let (fetch, converters) = converters(&criterion.text);
    let (name, argument) = call(fetch);
    let (mut subject, comparison) = subject(name, argument, tls);
    let mut parts = flags(rest, comparison);
    for converter in converters {
        match converter {
            "lower" | "upper" => parts.ignore_case = true,
            "field(1,:)" | "host_only" | "word(1,:)" if matches!(subject, Subject::Host) => {
                subject = Subject::BareHost;
            }
            _ => return unknown(),
        }
    }
    if parts.from_file || parts.comparison == Match::Other {
        return unknown();
    }
    match subject {
        Subject::Constant(holds) => constant(holds, &parts),
        Subject::Method => methods(&parts).unwrap_or_else(unknown),
        Subject::Path => path(&parts).unwrap_or_else(unknown),
        Subject::BareHost => host(&parts).unwrap_or_else(unknown),
        // HAProxy compares it with the port that the client names.
        Subject::Host => {
            field(&parts).map_or_else(unknown, |test| test_of(Test::Header("host".to_owned(), test)))
        }
        Subject::Source => source(&parts).unwrap_or_else(unknown),
        Subject::Header(name) => field(&parts).map_or_else(unknown, |test| test_of(Test::Header(name, test))),
        Subject::Query(name) => field(&parts).map_or_else(unknown, |test| test_of(Test::Query(name, test))),
        Subject::Cookie(name) => cookie(&name, &parts).unwrap_or_else(unknown),
        Subject::Other => unknown(),
    }
}

/// A test that HAProxy knows by name.
pub(crate) fn predefined(name: &str) -> Option<Condition> {
    let method =
        |names: &[&str]| Some(test_of(Test::Method(names.iter().map(|name| (*name).to_owned()).collect())));
    match name {
        "TRUE" | "HTTP" | "WAIT_END" => Some(Condition::Always),
        "FALSE" | "RDP_COOKIE" => Some(Condition::Never),
        "METH_GET" => method(&["GET", "HEAD"]),
        "METH_HEAD" => method(&["HEAD"]),
        "METH_POST" => method(&["POST"]),
        "METH_PUT" => method(&["PUT"]),
        "METH_DELETE" => method(&["DELETE"]),
        "METH_OPTIONS" => method(&["OPTIONS"]),
        "METH_TRACE" => method(&["TRACE"]),
        "METH_CONNECT" => method(&["CONNECT"]),
        "LOCALHOST" => Some(test_of(Test::Source(vec!["127.0.0.0/8".to_owned(), "::1".to_owned()]))),
        "HTTP_URL_SLASH" => {
            let tests = Tests { prefix: vec!["/".to_owned()], ..Tests::default() };
            Some(test_of(Test::Path(PathTests { ignore_case: false, tests })))
        }
        "HTTP_CONTENT" | "HTTP_1.0" | "HTTP_1.1" | "HTTP_2.0" | "HTTP_URL_ABS" | "HTTP_URL_STAR"
        | "REQ_CONTENT" => Some(Condition::Unknown(format!("`{name}`"))),
        _ => None,
    }
}

/// Parts `fetch,converter,converter`. Commas within parentheses are arguments'.
fn converters(text: &str) -> (&str, Vec<&str>) {
    let mut depth = 0_usize;
    let mut parts = text.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    let fetch = parts.next().unwrap_or_default();
    (fetch, parts.collect())
}

fn subject(name: &str, argument: Option<&str>, tls: bool) -> (Subject, Match) {
    const SUFFIXES: [(&str, Match); 10] = [
        ("_beg", Match::Beginning),
        ("_end", Match::End),
        ("_reg", Match::Regex),
        ("_sub", Match::Part),
        ("_dir", Match::Directory),
        ("_dom", Match::Domain),
        ("_cnt", Match::Count),
        ("_len", Match::Other),
        ("_val", Match::Other),
        ("_ip", Match::Other),
    ];
    let suffix = SUFFIXES.iter().find_map(|(suffix, how)| Some((name.strip_suffix(suffix)?, *how)));
    let (base, comparison) = suffix.unwrap_or((name, Match::Exact));
    // Old words have the argument before the comparison: hdr(host)_beg is none of them.
    let header = argument.map(|name| name.split(',').next().unwrap_or(name).to_ascii_lowercase());
    let subject = match (base, header) {
        ("path" | "url" | "pathq", None) => Subject::Path,
        ("hdr" | "req.hdr" | "req.fhdr" | "hdr_ip", Some(name)) if name == "host" => Subject::Host,
        ("hdr" | "req.hdr" | "req.fhdr", Some(name)) if lint::token(&name) => Subject::Header(name),
        ("urlp" | "url_param" | "req.urlp", Some(_)) => {
            match argument.map(|name| name.split(',').next().unwrap_or(name)) {
                Some(name) => Subject::Query(name.to_owned()),
                None => Subject::Other,
            }
        }
        ("cook" | "req.cook", Some(_)) => match argument.filter(|name| lint::token(name)) {
            Some(name) => Subject::Cookie(name.to_owned()),
            None => Subject::Other,
        },
        ("src", None) => Subject::Source,
        ("method", None) => Subject::Method,
        ("always_true", None) => Subject::Constant(true),
        ("always_false", None) => Subject::Constant(false),
        ("ssl_fc", None) => Subject::Constant(tls),
        ("ssl_fc_has_sni", None) => Subject::Constant(tls),
        _ => Subject::Other,
    };
    (subject, comparison)
}

/// Reads flags and patterns. `-m` says how texts are compared, whatever the name of the fetch says.
fn flags(words: &[Word], comparison: Match) -> Parts<'_> {
    let mut parts = Parts { comparison, ignore_case: false, from_file: false, patterns: Vec::new() };
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match word.text.as_str() {
            "-i" => parts.ignore_case = true,
            "-f" | "-M" => {
                parts.from_file = true;
                rest.next();
            }
            "-n" => {}
            "-u" => {
                rest.next();
            }
            "-m" => {
                parts.comparison = match rest.next().map_or("", |word| word.text.as_str()) {
                    "str" => Match::Exact,
                    "beg" => Match::Beginning,
                    "end" => Match::End,
                    "reg" => Match::Regex,
                    "sub" => Match::Part,
                    "dir" => Match::Directory,
                    "dom" => Match::Domain,
                    "found" => Match::Found,
                    _ => Match::Other,
                };
            }
            "--" => {
                parts.patterns.extend(rest.by_ref().map(|word| word.text.as_str()));
            }
            text => parts.patterns.push(text),
        }
    }
    parts
}

fn test_of(test: Test) -> Condition {
    Condition::Test(test)
}

fn constant(holds: bool, parts: &Parts<'_>) -> Condition {
    let wanted = match parts.patterns[..] {
        [] => true,
        [pattern, ..] => !matches!(pattern, "0" | "false"),
    };
    if holds == wanted { Condition::Always } else { Condition::Never }
}

fn methods(parts: &Parts<'_>) -> Option<Condition> {
    let usable = parts.comparison == Match::Exact
        && !parts.patterns.is_empty()
        && parts.patterns.iter().all(|method| lint::token(method));
    let methods = parts.patterns.iter().map(|method| {
        // HAProxy's names for them, and methods in any case with `-i`.
        let name = method.strip_prefix("HTTP_").unwrap_or(method);
        if parts.ignore_case { name.to_ascii_uppercase() } else { name.to_owned() }
    });
    let arriving: Vec<String> = methods.filter(|method| lint::method(method)).collect();
    match (usable, arriving.is_empty()) {
        (false, _) => None,
        (true, true) => Some(Condition::Never),
        (true, false) => Some(test_of(Test::Method(arriving))),
    }
}

/// Ranges of addresses. None when one of them is a name, which HAProxy looks up.
fn source(parts: &Parts<'_>) -> Option<Condition> {
    let ranges: Option<Vec<String>> = parts.patterns.iter().map(|text| address::range(text)).collect();
    let usable = |ranges: &Vec<String>| parts.comparison == Match::Exact && !ranges.is_empty();
    ranges.filter(usable).map(|ranges| test_of(Test::Source(ranges)))
}

fn path(parts: &Parts<'_>) -> Option<Condition> {
    let mut tests = text_tests(parts)?;
    if parts.comparison == Match::Found {
        return Some(Condition::Always);
    }
    // What no path begins or ends with never holds, in HAProxy as here.
    tests.exact.retain(|text| lint::path_start(text));
    tests.prefix.retain(|text| lint::path_start(text));
    tests.suffix.retain(|text| lint::path_end(text));
    if tests.is_empty() {
        return Some(Condition::Never);
    }
    Some(test_of(Test::Path(PathTests { ignore_case: parts.ignore_case, tests })))
}

/// A test of the host: by `host` where plimsoll can, which ignores case and port, else by the header.
fn host(parts: &Parts<'_>) -> Option<Condition> {
    let patterns = || parts.patterns.iter();
    let hosts: Option<Vec<String>> = match parts.comparison {
        Match::Exact => {
            patterns().map(|text| lint::host_pattern(text).filter(|host| !host.starts_with('*'))).collect()
        }
        Match::End => patterns()
            .map(|text| lint::host_pattern(&format!("*{text}")).filter(|_| text.starts_with('.')))
            .collect(),
        _ => None,
    };
    if let Some(hosts) = hosts.filter(|hosts| !hosts.is_empty()) {
        return Some(test_of(Test::Host(hosts)));
    }
    field(parts).map(|test| test_of(Test::Header("host".to_owned(), test)))
}

fn field(parts: &Parts<'_>) -> Option<FieldTest> {
    match (parts.comparison, &parts.patterns[..]) {
        (Match::Found, _) => return Some(FieldTest::Present),
        (Match::Count, ["gt", "0"] | ["ge", "1"]) => return Some(FieldTest::Present),
        (Match::Count, ["eq", "0"] | ["lt", "1"] | ["0"]) => return Some(FieldTest::Absent),
        (Match::Count, _) => return None,
        _ => {}
    }
    let tests = text_tests(parts)?;
    let usable = tests.regex.iter().all(|text| lint::regex(text)) && !tests.is_empty();
    let test = if parts.ignore_case { FieldTest::Caseless } else { FieldTest::Any };
    usable.then(|| test(tests))
}

/// A cookie stands among others in one header.
fn cookie(name: &str, parts: &Parts<'_>) -> Option<Condition> {
    let name = regex::escape(name);
    let case = if parts.ignore_case { "(?i)" } else { "" };
    let found = |value: &str| format!("{case}(^|; *){name}={value}");
    let escaped = || parts.patterns.iter().map(|text| regex::escape(text));
    let regex: Vec<String> = match parts.comparison {
        Match::Found => vec![found("")],
        Match::Exact => escaped().map(|text| found(&format!("{text} *(;|$)"))).collect(),
        Match::Beginning => escaped().map(|text| found(&text)).collect(),
        Match::End => escaped().map(|text| found(&format!("[^;]*{text} *(;|$)"))).collect(),
        Match::Part => escaped().map(|text| found(&format!("[^;]*{text}"))).collect(),
        _ => return None,
    };
    let usable = !regex.is_empty() && regex.iter().all(|text| lint::regex(text));
    let tests = FieldTest::Any(Tests { regex, ..Tests::default() });
    usable.then(|| test_of(Test::Header("cookie".to_owned(), tests)))
}

/// The patterns as tests of a text. None when one of them cannot be said.
fn text_tests(parts: &Parts<'_>) -> Option<Tests> {
    let texts = || parts.patterns.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let escaped = |around: fn(&str) -> String| {
        parts.patterns.iter().map(|text| around(&regex::escape(text))).collect::<Vec<_>>()
    };
    let none = Tests::default();
    let tests = match parts.comparison {
        Match::Exact => Tests { exact: texts(), ..none },
        Match::Beginning => Tests { prefix: texts(), ..none },
        Match::End => Tests { suffix: texts(), ..none },
        Match::Regex => Tests { regex: texts(), ..none },
        Match::Part => Tests { regex: escaped(str::to_owned), ..none },
        Match::Directory => {
            let bare = parts.patterns.iter().map(|text| regex::escape(text.trim_matches('/')));
            Tests { regex: bare.map(|text| format!("(^|/){text}(/|$)")).collect(), ..none }
        }
        Match::Domain => Tests { regex: escaped(|text| format!("(^|[./:]){text}([./:]|$)")), ..none },
        Match::Found => none,
        Match::Count | Match::Other => return None,
    };
    tests.regex.iter().all(|text| lint::regex(text)).then_some(tests)
}
