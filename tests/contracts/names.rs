//! Names: modules are called after what they do, and begin with a sentence that says it.

use regex::Regex;

use crate::tree::{self, File, Violation};

/// Names that say where code ended up, not what it is for.
const SAY_NOTHING: [&str; 10] =
    ["utils", "util", "common", "helpers", "helper", "manager", "types", "misc", "shared", "stuff"];

/// Other programs' words for a concept that has its one word here: listener, upstream, backend, exchange.
const FOREIGN: [&str; 10] = [
    "frontend",
    "frontends",
    "entrypoint",
    "entrypoints",
    "cluster",
    "clusters",
    "endpoint",
    "endpoints",
    "session",
    "sessions",
];

#[test]
fn modules_are_called_after_what_they_do() {
    let found = tree::rust().into_iter().flat_map(|file| {
        let names: Vec<String> =
            file.folders().chain([file.name().trim_end_matches(".rs")]).map(str::to_owned).collect();
        names.into_iter().filter_map(move |name| {
            let name = name.as_str();
            let why = if SAY_NOTHING.contains(&name) {
                "says nothing about what is inside"
            } else if FOREIGN.contains(&name) {
                "is another program's word"
            } else {
                return None;
            };
            Some(file.violation(1, format!("the module name `{name}` {why}")))
        })
    });
    tree::assert_kept("a module has the wrong name", found.collect());
}

#[test]
fn every_source_file_begins_with_what_it_is_responsible_for() {
    // `foo/tests.rs` holds the promises of `foo.rs`, whose sentence is theirs too.
    let found = tree::rust().into_iter().filter(|file| file.name() != "tests.rs").filter(|file| {
        let first = file.text.lines().next().unwrap_or_default();
        first.strip_prefix("//! ").is_none_or(|sentence| sentence.trim().len() < 5)
    });
    tree::assert_kept(
        "a source file does not begin with a `//!` sentence",
        found.map(|file| file.violation(1, "the first line is not a `//!` sentence")).collect(),
    );
}

#[test]
fn a_file_is_where_its_module_name_says() {
    let elsewhere = Regex::new(r"^\s*#\[path\s*=").expect("invariant: a constant pattern");
    let included = Regex::new(r"\binclude!\s*\(").expect("invariant: a constant pattern");
    let found: Vec<Violation> = tree::rust()
        .iter()
        .flat_map(|file: &File| {
            file.lines()
                .filter(|(_, line)| {
                    elsewhere.is_match(line) || (included.is_match(line) && !line.contains("Regex::new"))
                })
                .map(|(line, _)| file.violation(line, "takes code from a file that its name does not tell"))
                .collect::<Vec<_>>()
        })
        .collect();
    tree::assert_kept("a module's file cannot be found by its name", found);
}

#[test]
fn the_reference_configuration_uses_our_words() {
    let file = tree::all().into_iter().find(|file| file.path == "plimsoll.yaml");
    let key = Regex::new(r"^\s*#?\s*(?:- )?([a-z_]+):(?:\s|$)").expect("invariant: a constant pattern");
    let found: Vec<Violation> = file
        .iter()
        .flat_map(|file| {
            file.lines().filter_map(|(line, text)| {
                let name = key.captures(text)?.get(1)?.as_str();
                let foreign = FOREIGN.contains(&name) || matches!(name, "pool" | "pools");
                foreign.then(|| file.violation(line, format!("the key `{name}` is another program's word")))
            })
        })
        .collect();
    tree::assert_kept("a configuration key is not from our vocabulary", found);
}

#[test]
fn the_metrics_use_our_words() {
    let file = tree::all().into_iter().find(|file| file.path == "monitoring/METRICS.md");
    let word = Regex::new(r"`([a-z_]+)`").expect("invariant: a constant pattern");
    let found: Vec<Violation> = file
        .iter()
        .flat_map(|file| {
            file.lines().flat_map(|(line, text)| {
                word.captures_iter(text)
                    .map(|captures| captures[1].to_owned())
                    .filter(|name| name.split('_').any(|part| FOREIGN.contains(&part)))
                    .map(|name| file.violation(line, format!("`{name}` has another program's word in it")))
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    tree::assert_kept("a metric or label is not from our vocabulary", found);
}
