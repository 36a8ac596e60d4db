//! The table of systems that plimsoll takes over: each row names a test that is there, and each system's tests have a row.

use std::collections::BTreeSet;

use regex::Regex;

use crate::tree::{self, Violation};

const TABLE: &str = "EXAMPLES.md";
/// The systems, and what has tests of its own beside them.
const SYSTEMS: &str = "tests/seeds/";
const BESIDE: &str = "tests/pair/";

/// The tests of a folder as `module::name`, below `prefix`.
fn tests(folder: &str, prefix: &str) -> BTreeSet<String> {
    let test = Regex::new(r"#\[test\]\s+fn (\w+)\(").expect("invariant: a constant pattern");
    let files = tree::rust();
    let sources = files.iter().filter_map(|file| Some((file.path.strip_prefix(folder)?, &file.text)));
    let found = sources.flat_map(|(path, text)| {
        let module = path.trim_end_matches(".rs").replace('/', "::");
        let module = if module == "main" { String::new() } else { format!("{module}::") };
        test.captures_iter(text)
            .map(move |found| format!("{prefix}{module}{}", &found[1]))
            .collect::<Vec<_>>()
    });
    found.collect()
}

/// What the table names as a test, with its lines.
fn named() -> Vec<(usize, String)> {
    let name = Regex::new(r"`([a-z_]+(?:::[a-z0-9_]+)+)`").expect("invariant: a constant pattern");
    let table = tree::read(TABLE);
    let names = table.lines().flat_map(|(line, text)| {
        name.captures_iter(text).map(move |found| (line, found[1].to_owned())).collect::<Vec<_>>()
    });
    names.collect()
}

#[test]
fn each_test_that_the_table_names_is_there() {
    let (tests, table, named) = (&tests(SYSTEMS, "") | &tests(BESIDE, "pair::"), tree::read(TABLE), named());
    assert!(named.len() >= 10, "the table names its tests");
    let missing = named.into_iter().filter(|(_, name)| !tests.contains(name));
    let missing: Vec<Violation> =
        missing.map(|(line, name)| table.violation(line, format!("there is no test `{name}`"))).collect();
    tree::assert_kept("the table names a test that is not there", missing);
}

#[test]
fn each_test_of_a_system_is_in_the_table() {
    let named: BTreeSet<String> = named().into_iter().map(|(_, name)| name).collect();
    let table = tree::read(TABLE);
    let missing = tests(SYSTEMS, "").into_iter().filter(|test| !named.contains(test));
    let missing: Vec<Violation> =
        missing.map(|test| table.violation(1, format!("`{test}` has no row"))).collect();
    tree::assert_kept("a system that is replayed is not in the table", missing);
}
