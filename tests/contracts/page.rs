//! The live page: small documented files that run as they are written, from this program and nowhere else.

use regex::Regex;

use crate::tree::{self, File, Violation};

/// The most lines of a file.
const FILE_LINES: usize = 400;

/// The most characters of a line.
const LINE_CHARACTERS: usize = 125;

fn files() -> Vec<File> {
    let mut files = tree::all();
    files.retain(|file| file.path.starts_with("src/control_plane/admin/page/"));
    assert!(files.len() > 10, "the walk finds the page");
    files
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("invariant: a constant pattern")
}

#[test]
fn each_file_says_what_it_is_for_and_is_short() {
    let mut found = Vec::new();
    for file in files() {
        let begins = match file.path.rsplit_once('.').map_or("", |(_, kind)| kind) {
            "js" => "/**",
            "css" => "/*",
            _ => "<",
        };
        if !file.text.starts_with(begins) {
            found.push(file.violation(1, "does not begin with what it is responsible for"));
        }
        let lines = file.text.lines().count();
        if lines > FILE_LINES {
            found.push(file.violation(FILE_LINES, format!("{lines} lines; the budget is {FILE_LINES}")));
        }
        let wide = file.lines().filter(|(_, text)| {
            !file.path.ends_with(".svg")
                && !file.path.ends_with(".html")
                && text.chars().count() > LINE_CHARACTERS
        });
        found.extend(wide.map(|(line, _)| file.violation(line, "is wider than a screen")));
    }
    tree::assert_kept("a file of the page is over its budget or unexplained", found);
}

#[test]
fn everything_that_one_module_offers_to_others_is_documented() {
    let mut found = Vec::new();
    for file in files().iter().filter(|file| file.path.ends_with(".js")) {
        let lines: Vec<&str> = file.text.lines().collect();
        let exported = (1..lines.len()).filter(|at| lines[*at].starts_with("export "));
        let bare = exported.filter(|at| !lines[at - 1].ends_with("*/"));
        found.extend(bare.map(|at| file.violation(at + 1, "is exported without a word about it")));
    }
    tree::assert_kept("a module of the page offers something undocumented", found);
}

/// Texts from the network become text and nothing else, and nothing comes from another host.
#[test]
fn nothing_is_read_as_markup_run_as_a_script_or_fetched_from_elsewhere() {
    let rules = [
        (
            pattern(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser"),
            "reads markup out of a text",
        ),
        (pattern(r"\beval\(|new Function|setTimeout\(['`]"), "runs a text"),
        (pattern(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}/"), "names another host"),
        (
            pattern(r#"<style|<script>|\sstyle=|\son[a-z]+=""#),
            "stands in the page itself, which its policy forbids",
        ),
        (pattern(r"console\."), "talks to a console that nobody reads"),
    ];
    let namespace = "http://www.w3.org/2000/svg";
    let mut found: Vec<Violation> = Vec::new();
    for file in files() {
        for (line, text) in file.lines() {
            let text = text.replace(namespace, "");
            for (rule, why) in &rules {
                if rule.is_match(&text) {
                    found.push(file.violation(line, *why));
                }
            }
        }
    }
    tree::assert_kept("the page does what its policy forbids", found);
}
