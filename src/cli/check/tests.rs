use super::*;
use crate::telemetry::LookupResult;

const FILE: &str = r#"
listeners:
  web: {address: "127.0.0.1:8080"}
  internal: {address: "127.0.0.1:8081"}
routes:
  - {name: metrics, listener: internal, match: {path: {exact: /metrics}}, respond: 204}
  - {name: old, match: {host: old.example.org}, redirect: "https://example.org{path}{query}"}
  - {name: canary, match: {path: /api/, headers: {x-canary: "1"}}, upstream: next}
  - {name: api, match: {path: /api/, method: [GET, HEAD]}, upstream: app}
upstreams:
  app: {backends: [127.0.0.1:5001, "no-such-host.invalid:5002"]}
  next: {backends: [127.0.0.1:5003]}
"#;

/// What a check of `text` says on standard output and on standard error, and whether the file is valid, where every host
/// name has an address.
fn said(text: &str, question: Option<&str>, headers: &[&str]) -> (String, String, bool) {
    said_where(text, question, headers, |_| Vec::new())
}

fn said_where(
    text: &str,
    question: Option<&str>,
    headers: &[&str],
    unresolved: impl Fn(&Config) -> Vec<News>,
) -> (String, String, bool) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plimsoll.yaml");
    std::fs::write(&path, text).unwrap();
    let question = question.map(|question| {
        let headers = headers.iter().map(|text| explain::header(text).unwrap()).collect();
        Question::parse(question).unwrap().with_headers(headers)
    });
    let (mut out, mut problems) = (Vec::new(), Vec::new());
    let valid = check(&path, question.as_ref(), unresolved, &mut out, &mut problems).unwrap();
    let text =
        |bytes| String::from_utf8(bytes).unwrap().replace(&path.display().to_string(), "plimsoll.yaml");
    (text(out), text(problems), valid)
}

fn explained(question: &str, headers: &[&str]) -> String {
    let (out, problems, valid) = said(FILE, Some(question), headers);
    assert!(valid, "{problems}");
    out.split_once("\n\n").map(|(_, explanation)| explanation.to_owned()).unwrap_or_default()
}

fn golden(name: &str, explanation: &str) {
    insta::with_settings!({ snapshot_path => "tests", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, explanation);
    });
}

#[test]
fn a_valid_file_is_summed_up_in_a_line() {
    let (out, problems, valid) = said(FILE, None, &[]);
    assert_eq!(out, "plimsoll.yaml: ok: 2 listeners, 4 routes, 2 upstreams, 3 backends, no warnings\n");
    assert_eq!(problems, "");
    assert!(valid);
}

#[test]
fn a_host_name_without_an_address_is_a_warning() {
    let failed = |_: &Config| {
        vec![News {
            host: "no-such-host.invalid".into(),
            result: LookupResult::Failed,
            before: None,
            address: None,
            addresses: Box::default(),
            error: Some("unknown".into()),
            turned: true,
        }]
    };
    let (out, problems, valid) = said_where(FILE, None, &[], failed);
    assert!(out.ends_with("3 backends, 1 warning\n"), "{out}");
    let warning = "plimsoll.yaml: warning: cannot resolve `no-such-host.invalid`: unknown\n      = hint: ";
    assert!(problems.starts_with(warning), "{problems}");
    assert!(valid);
}

#[test]
fn a_wrong_file_is_answered_with_its_problems_and_their_count() {
    let (out, problems, valid) = said("listener: {}\nupstreams: {app: {backends: [127.0.0.1]}}\n", None, &[]);
    assert_eq!(out, "");
    assert!(problems.contains("plimsoll.yaml:1:1: error: unknown key `listener`"), "{problems}");
    assert!(problems.ends_with("plimsoll.yaml: 3 errors\n"), "{problems}");
    assert!(!valid);
}

#[test]
fn a_route_is_explained_with_those_before_it() {
    golden("taken", &explained("GET http://example.org:8080/api/x?y=1", &[]));
    golden("taken_by_header", &explained("http://example.org:8080/api/", &["X-Canary: 1"]));
    golden("redirected", &explained("http://old.example.org:8080/a?b", &[]));
}

#[test]
fn a_request_is_explained_for_whom_it_comes_from() {
    let routes = "- {name: inside, match: {source: [10.0.0.0/8, \"fd00::/8\"]}, respond: 200}\n  - ";
    let file = FILE.replacen("- ", routes, 1);
    let heard = |question: &str| {
        let (out, problems, valid) = said(&file, Some(question), &[]);
        assert!(valid, "{problems}");
        out
    };
    assert!(heard("http://a:8080/ from 10.1.2.3").contains("for a:8080 from 10.1.2.3, at listener web"));
    assert!(heard("http://a:8080/ from 10.1.2.3").contains("  yes  inside: matches\n"));
    assert!(heard("GET http://a:8080/ from fd00::1").contains("  yes  inside: matches\n"));
    let nobody = heard("http://a:8080/");
    assert!(nobody.contains(" from 127.0.0.1 (nobody is named), at"), "{nobody}");
    assert!(nobody.contains("  no   inside: source is not in `10.0.0.0/8` or `fd00::/8`\n"), "{nobody}");
}

#[test]
fn a_request_to_no_listeners_port_is_explained_at_every_listener() {
    golden("every_listener", &explained("POST http://example.org/metrics", &[]));
}

#[test]
fn a_question_that_is_no_request_is_refused() {
    for text in [
        "",
        "GET",
        "GET /path",
        "get http://a/",
        "GET ftp://a/",
        "GET http://",
        "GET http://a:x/",
        "http://a/ from b",
    ] {
        assert!(Question::parse(text).is_err(), "{text}");
    }
    for text in ["x-canary", "x y: 1", "x: a\nb"] {
        assert!(explain::header(text).is_err(), "{text}");
    }
}
