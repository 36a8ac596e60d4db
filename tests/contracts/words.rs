//! Words: files say what is, neither what is left to do nor where and how they were written.

use regex::Regex;

use crate::tree::{self, Violation};

/// Patterns that no file of the repository contains, each with what to do instead.
///
/// They are put together from halves, or this file would be the first to break its own contract.
fn banned() -> Vec<(Regex, &'static str)> {
    let patterns: [(String, &'static str); 7] = [
        (format!(r"\b(TO{}|FIX{}|XX{})\b", "DO", "ME", "X"), "do it, or write down why it is not needed"),
        (format!(r"\bdbg{}\s*\(", "!"), "remove the trace"),
        (format!(r"(?m)^\s*#\[ignore{}", r"\b"), "a test that does not run is not a test"),
        (format!(r"\.rs{}\d+", ":"), "name the symbol; line numbers are wrong after the next edit"),
        (
            format!(r"(/ho{}|/Us{}|/ro{})/[a-z]", "me", "ers", "ot"),
            "a path of one machine means nothing on another",
        ),
        (format!(r"(?i)\bwork{}s?\b|/work/(main|wt|shared)\b", "tree"), "says where a file was written"),
        (format!(r"(?i)\bas (reque{}|instru{}|discus{})\b", "sted", "cted", "sed"), "give the reason itself"),
    ];
    patterns
        .into_iter()
        .map(|(pattern, advice)| (Regex::new(&pattern).expect("invariant: a constant pattern"), advice))
        .collect()
}

fn found_in(file: &tree::File, banned: &[(Regex, &'static str)]) -> Vec<Violation> {
    file.lines()
        .flat_map(|(line, text)| {
            banned.iter().filter_map(move |(pattern, advice)| {
                let word = pattern.find(text)?.as_str().trim();
                Some(file.violation(line, format!("`{word}`: {advice}")))
            })
        })
        .collect()
}

#[test]
fn files_say_what_is() {
    let banned = banned();
    let files = tree::all();
    tree::assert_kept(
        "a file says what does not belong there",
        files.iter().flat_map(|file| found_in(file, &banned)).collect(),
    );
}

#[test]
fn each_pattern_finds_what_it_is_for() {
    let planted = [
        ["// TO", "DO: later"].concat(),
        ["dbg", "!(x);"].concat(),
        ["#[ig", "nore = \"slow\"]"].concat(),
        ["see src/app.r", "s:12"].concat(),
        ["cd /ho", "me/someone"].concat(),
        ["in my work", "tree"].concat(),
        ["as reque", "sted"].concat(),
    ];
    let banned = banned();
    for (text, pattern) in planted.iter().zip(&banned) {
        assert!(pattern.0.is_match(text), "{} finds {text}", pattern.0);
    }
}

#[test]
fn dependencies_come_from_crates_io_alone() {
    const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
    let files = tree::all();
    let locks = files.iter().filter(|file| file.name() == "Cargo.lock");
    let elsewhere = locks.flat_map(|lock| {
        lock.lines().filter_map(|(line, text)| {
            let source = text.strip_prefix("source = ")?.trim_matches('"');
            (source != CRATES_IO).then(|| lock.violation(line, format!("`{source}` is not crates.io")))
        })
    });
    let redirects = files
        .iter()
        .filter(|file| file.path.contains(".cargo/config"))
        .map(|file| file.violation(1, "would redirect or configure every build of a clone"));
    tree::assert_kept("a dependency comes from elsewhere", elsewhere.chain(redirects).collect());
}
