use std::time::Duration;

use proptest::prelude::*;

use super::upstream::health::HealthCheck;
use super::*;

const SMALLEST: &str =
    "listeners: {web: {address: ':8080'}}\nupstreams: {app: {backends: [127.0.0.1:5001]}}\n";

const REFERENCE: &str = include_str!("../../../plimsoll.yaml");

fn no_environment(_: &str) -> Option<String> {
    None
}

fn valid(text: &str) -> Config {
    match parse("plimsoll.yaml", text, &no_environment) {
        Ok((config, _)) => config,
        Err(report) => panic!("{report}"),
    }
}

/// Everything that is said about a file, whether it can be used or not.
fn said(text: &str) -> String {
    match parse("plimsoll.yaml", text, &no_environment) {
        Ok((_, warnings)) => warnings.to_string(),
        Err(report) => report.to_string(),
    }
}

fn golden(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "tests", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, said(text));
    });
}

#[test]
fn the_smallest_file_names_an_address_and_backends() {
    let config = valid(SMALLEST);
    assert_eq!(config.workers, Workers::Auto);
    assert_eq!(config.listeners[0].address.to_string(), "0.0.0.0:8080");
    assert_eq!(config.upstreams[0].backends[0].name.as_str(), "backend-1");
    assert_eq!(config.upstreams[0].health.check, HealthCheck::Tcp);
    assert_eq!(config.upstreams[0].health.timeout, Duration::from_millis(500));
    assert_eq!(config.routes[0].action, RouteAction::Upstream(config.upstreams[0].name.clone()));
    assert_eq!(said(SMALLEST), "");
}

#[test]
fn mistyped_keys_and_words_are_reported_with_what_was_meant() {
    golden("mistyped", include_str!("tests/mistyped.yaml"));
}

#[test]
fn values_out_of_bounds_are_reported_all_at_once() {
    golden("values", include_str!("tests/values.yaml"));
}

#[test]
fn what_does_not_fit_together_is_reported_at_its_place() {
    golden("cross_checks", include_str!("tests/cross_checks.yaml"));
}

#[test]
fn what_is_doubtful_is_a_warning() {
    golden("warnings", include_str!("tests/warnings.yaml"));
}

#[test]
fn routes_that_cannot_work_are_reported() {
    golden("routes", include_str!("tests/routes.yaml"));
}

#[test]
fn listeners_that_relay_are_told_what_they_cannot() {
    golden("relays", include_str!("tests/relays.yaml"));
}

#[test]
fn a_listener_that_relays_needs_no_route() {
    let tcp = "{address: '127.0.0.1:0', protocol: tcp";
    let upstreams = "{a: {backends: [127.0.0.1:1]}, b: {backends: [127.0.0.1:2]}}";
    let config = valid(&format!(
        "listeners: {{x: {tcp}, upstream: b}}, y: {tcp}, upstream: a}}}}\nupstreams: {upstreams}"
    ));
    assert!(config.routes.is_empty());
    assert_eq!(config.listeners[0].upstream, Some(config.upstreams[1].name.clone()));
    let config = valid(&format!("listeners: {{x: {tcp}}}}}\nupstreams: {{a: {{backends: [127.0.0.1:1]}}}}"));
    assert_eq!(config.listeners[0].upstream, Some(config.upstreams[0].name.clone()), "the only one");
    let unused = said(&format!("listeners: {{x: {tcp}, upstream: b}}}}\nupstreams: {upstreams}"));
    assert!(unused.contains("no route leads to the upstream `a`"), "{unused}");
    let without_effect = said(&format!(
        "listeners: {{x: {tcp}, timeouts: {{idle: 1s}}}}}}\nupstreams: {{a: {{backends: [127.0.0.1:1]}}}}"
    ));
    assert!(
        without_effect.contains("`timeouts.idle` has no effect with `protocol: tcp`"),
        "{without_effect}"
    );
}

#[test]
fn a_key_given_twice_is_reported_with_both_places() {
    golden(
        "duplicate_keys",
        "workers: 1\nlisteners: {web: {address: ':1'}}\nworkers: 2\nupstreams: {app: {backends: [a:1]}}\n",
    );
}

#[test]
fn broken_yaml_is_one_problem_with_its_place() {
    golden("syntax", "listeners:\n  web:\n    address: [127.0.0.1:80\nupstreams: {}\n");
    golden("indentation", "listeners:\n  web:\n      address: :80\n    protocol: http\n");
}

#[test]
fn an_empty_file_says_what_to_write() {
    golden("empty", "# nothing here\n");
    golden("empty_mapping", "{}\n");
}

#[test]
fn the_value_of_a_variable_cannot_add_structure() {
    let text = "listeners: {web: {address: '${A}'}}\nupstreams: {app: {backends: ['${B:-127.0.0.1:1}']}}\n";
    let inject = |name: &str| (name == "A").then(|| ":80, protocol: tcp}\nworkers: 7".to_owned());
    let Err(report) = parse("plimsoll.yaml", text, &inject) else { panic!("the value is no address") };
    assert_eq!(report.problems().count(), 1);
    let plain = |name: &str| (name == "A").then(|| "127.0.0.1:80".to_owned());
    assert!(parse("plimsoll.yaml", text, &plain).is_ok());
}

#[test]
fn aliases_cannot_exhaust_memory() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    assert!(said(&bomb).contains("more than 100000 values"));
}

#[test]
fn nesting_has_a_bottom() {
    for text in ["[".repeat(200_000), "- ".repeat(200_000), "{a: ".repeat(100_000), "? ".repeat(100_000)] {
        assert!(said(&text).contains("error"), "{}", &text[..4]);
    }
}

#[test]
fn every_default_in_the_table_is_valid() {
    let everything = "
listeners: {web: {address: ':80'}}
routes:
  - {match: {path: {exact: /x}}, redirect: {to: /y}}
  - {match: {path: {exact: /y}}, respond: {}}
  - {upstream: app}
upstreams: {app: {balance: consistent_hash, sticky: {}, health: {http: {}, agent: 2}, backends: [{address: 'a:1'}]}}";
    let config = valid(everything);
    assert!(config.upstreams[0].sticky.is_some());
    assert!(matches!(config.upstreams[0].health.check, HealthCheck::Http(_)));
}

#[test]
fn a_key_with_one_usual_value_takes_it_alone() {
    let short = "upstreams: {app: {backends: ['a:1'], slow_start: 0s, outliers: off, health: {agent: 9777}}}";
    let long = "upstreams: {app: {backends: ['a:1'], slow_start: {duration: off}, outliers: off,
        health: {agent: {port: 9777}}}}";
    let [short, long] =
        [short, long].map(|text| valid(&format!("listeners: {{web: {{address: ':80'}}}}\n{text}")));
    assert_eq!(short, long);
    assert_eq!(short.upstreams[0].slow_start.duration, Duration::ZERO);
    assert_eq!(short.upstreams[0].outliers, None);
}

#[test]
fn of_very_many_problems_the_first_errors_are_told_and_the_others_counted() {
    let backends: String = (0..1000).map(|_| "'127.0.0.1:1', ".to_owned()).collect();
    let text =
        format!("listeners: {{web: {{address: ':80'}}}}\nupstreams: {{app: {{backends: [{backends}]}}}}");
    let report = said(&text);
    assert_eq!(report.matches("error: two backends of `app`").count(), 100);
    assert!(report.ends_with("899 more problems, which are told when these are mended\n"), "{report}");
}

#[test]
fn every_exchange_may_count_as_slow() {
    for zero in ["0", "0s"] {
        let text = format!(
            "listeners: {{web: {{address: ':80'}}}}\nupstreams: {{app: {{backends: ['a:1']}}}}\ntelemetry: {{slow: {zero}}}"
        );
        assert_eq!(valid(&text).telemetry.slow, Duration::ZERO);
    }
}

#[test]
fn the_reference_file_loads_without_a_warning() {
    assert_eq!(said(REFERENCE), "");
}

#[test]
fn the_reference_file_shows_every_key_with_its_default() {
    let problems = Problems::default();
    let mut root = tree::parse(REFERENCE, &problems).unwrap();
    environment::expand(&mut root, &no_environment, &problems);
    let mut shown = Vec::new();
    walk(&root, "", &mut shown);
    for key in keys::KEYS {
        let alternative = REFERENCE.contains(&format!("{{{}: ", key.name()));
        assert!(alternative || shown.iter().any(|(path, _)| path == key.path), "{} is not shown", key.path);
        if let keys::Presence::Default(default) = key.presence {
            let default = written(&tree::parse(default, &problems).unwrap());
            let values: Vec<_> =
                shown.iter().filter(|(path, _)| path == key.path).map(|(_, value)| value).collect();
            assert!(
                values.contains(&&default),
                "{} is not shown with its default {default}: {values:?}",
                key.path
            );
        }
    }
}

/// Collects the path in the table and the value of everything in a file.
fn walk(node: &Node, path: &str, shown: &mut Vec<(String, String)>) {
    shown.push((path.to_owned(), written(node)));
    for item in if let tree::Content::List(items) = &node.content { items.as_slice() } else { &[] } {
        walk(item, &format!("{path}[]"), shown);
    }
    for entry in node.entries() {
        let named = [entry.key.as_str(), "*"]
            .map(|name| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") });
        let known = |named: &&String| {
            keys::KEYS.iter().any(|key| key.path == **named || key.path.starts_with(&format!("{named}.")))
        };
        if let Some(named) = named.iter().find(known) {
            walk(&entry.value, named, shown);
        }
    }
}

fn written(node: &Node) -> String {
    match &node.content {
        tree::Content::Null | tree::Content::Unset => String::new(),
        tree::Content::Scalar(text) => text.clone(),
        tree::Content::List(items) => items.iter().map(written).collect::<Vec<_>>().join(", "),
        tree::Content::Map(_) => "{…}".to_owned(),
    }
}

#[test]
fn hosts_are_kept_in_the_form_in_which_requests_are_compared() {
    let config = valid(
        "listeners: {web: {address: ':80'}}
routes: [{match: {host: [Example.ORG., '*.Example.org', '::1', '[0:0::2]', 10.0.0.1]}, respond: 200}]",
    );
    use route::matcher::HostPattern::{Below, Exact};
    let expected = [
        Exact("example.org".to_owned()),
        Below(".example.org".to_owned()),
        Exact("[::1]".to_owned()),
        Exact("[::2]".to_owned()),
        Exact("10.0.0.1".to_owned()),
    ];
    assert_eq!(config.routes[0].matcher.hosts, expected);
}

#[test]
fn a_byte_order_mark_and_carriage_returns_do_no_harm() {
    assert_eq!(valid(&format!("\u{feff}{}", SMALLEST.replace('\n', "\r\n"))), valid(SMALLEST));
}

#[test]
fn a_file_that_cannot_be_read_is_reported_by_name() {
    let Err(report) = load(Path::new("/nonexistent/plimsoll.yaml")) else { panic!("there is no such file") };
    assert!(report.to_string().starts_with("/nonexistent/plimsoll.yaml: error: cannot read the file"));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "(?s).{0,200}") {
        let _ = said(&text);
    }

    #[test]
    fn no_damage_to_a_file_makes_the_parser_panic(at in 0_usize..20_000, cut in 0_usize..40, put in "[\\[\\]{}:,\\-#&*!|>'\"%@`\n\t a0$~]{0,6}") {
        let mut text: Vec<char> = REFERENCE.chars().collect();
        let start = at.min(text.len());
        let end = (start + cut).min(text.len());
        text.splice(start..end, put.chars());
        let _ = said(&text.into_iter().collect::<String>());
    }
}
