//! Lints: the rules that the compiler and clippy enforce are in force, in every crate, and not waived.
//!
//! A lint that one manifest forgets to inherit is a rule that holds by chance.

use regex::Regex;

use crate::tree::{self, Violation};

/// What the workspace must deny, as it stands in the root manifest.
const IN_FORCE: [&str; 16] = [
    "missing_docs = \"deny\"",
    "unreachable_pub = \"deny\"",
    "unsafe_code = \"forbid\"",
    "allow_attributes_without_reason = \"deny\"",
    "dbg_macro = \"deny\"",
    "disallowed_methods = \"deny\"",
    "disallowed_types = \"deny\"",
    "panic = \"deny\"",
    "print_stderr = \"deny\"",
    "print_stdout = \"deny\"",
    "todo = \"deny\"",
    "too_many_lines = \"deny\"",
    "unimplemented = \"deny\"",
    "unwrap_used = \"deny\"",
    "broken_intra_doc_links = \"deny\"",
    "[lints]",
];

#[test]
fn the_workspace_denies_what_the_house_forbids() {
    let manifest = tree::read("Cargo.toml");
    let missing = IN_FORCE.iter().filter(|line| !manifest.text.lines().any(|text| text.trim() == **line));
    let missing = missing.map(|line| manifest.violation(1, format!("`{line}` is missing")));
    tree::assert_kept("a lint is not in force", missing.collect());
}

#[test]
fn a_function_has_at_most_sixty_lines() {
    let settings = tree::read("clippy.toml");
    assert!(
        settings.text.lines().any(|line| line == "too-many-lines-threshold = 60"),
        "clippy.toml sets the limit"
    );
    // Put together from halves: this file must not find itself.
    let waiver = Regex::new(&["(allow|expect)\\(.*too_many", "_lines"].concat())
        .expect("invariant: a constant pattern");
    let waived: Vec<Violation> = tree::rust()
        .iter()
        .flat_map(|file| {
            let lines = file.lines().filter(|(_, text)| waiver.is_match(text));
            lines
                .map(|(line, _)| file.violation(line, "splits nothing, waives the limit"))
                .collect::<Vec<_>>()
        })
        .collect();
    tree::assert_kept("a function is longer than the limit", waived);
}

#[test]
fn every_member_inherits_the_lints() {
    let inherited = Regex::new(r"(?m)^\[lints\]\nworkspace = true$").expect("invariant: a constant pattern");
    let files = tree::all();
    let manifests: Vec<_> = files.iter().filter(|file| file.name() == "Cargo.toml").collect();
    assert!(manifests.len() >= 4, "the walk finds the members");
    let forgotten = manifests
        .into_iter()
        // cargo-fuzz needs its own workspace, so its manifest has no workspace to inherit from.
        .filter(|file| file.path != "fuzz/Cargo.toml" && !inherited.is_match(&file.text))
        .map(|file| file.violation(1, "has no `[lints] workspace = true`"));
    tree::assert_kept("a member is outside the lints", forgotten.collect());
}

#[test]
fn the_toolchain_is_exact_and_matches_the_manifest() {
    let toolchain = tree::read("rust-toolchain.toml").text;
    let exact = Regex::new(r#"(?m)^channel = "(\d+\.\d+)\.\d+"$"#).expect("invariant: a constant pattern");
    let version = exact.captures(&toolchain).map(|found| found[1].to_owned()).unwrap_or_default();
    assert!(!version.is_empty(), "rust-toolchain.toml names an exact version");
    let manifest = tree::read("Cargo.toml").text;
    assert!(
        manifest.contains(&format!("rust-version = \"{version}\"")),
        "Cargo.toml's rust-version is {version}, the toolchain that everything is tested with"
    );
}
