//! Documents: short enough to be read, there when promised, and naming only what exists.

use regex::Regex;

use crate::tree::{self, File, Violation};

/// Documents that a reader looks for, with the most lines each may have.
const EXPECTED: [(&str, usize); 8] = [
    ("README.md", 120),
    ("ARCHITECTURE.md", 250),
    ("CONTRIBUTING.md", 120),
    ("CHANGELOG.md", 1000),
    ("EXAMPLES.md", 120),
    ("LICENSE-APACHE", 250),
    ("LICENSE-MIT", 50),
    (".ci/run", 60),
];

#[test]
fn every_document_is_there_and_short_enough() {
    let files = tree::all();
    let found = EXPECTED.into_iter().filter_map(|(path, limit)| {
        let Some(file) = files.iter().find(|file| file.path == path) else {
            return Some(Violation { path: path.to_owned(), line: 0, what: "is missing".to_owned() });
        };
        let lines = file.text.lines().count();
        (lines > limit).then(|| file.violation(limit, format!("{lines} lines; the limit is {limit}")))
    });
    tree::assert_kept("a document is missing or too long", found.collect());
}

#[test]
fn links_lead_to_files_that_exist() {
    let link = Regex::new(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)").expect("invariant: a constant pattern");
    tree::assert_kept(
        "a link leads nowhere",
        unresolved(&link, |file, target| {
            let elsewhere = target.contains("://") || target.starts_with("mailto:");
            let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            elsewhere || tree::root().join(folder).join(target).exists()
        }),
    );
}

#[test]
fn paths_named_in_documents_exist() {
    let path = Regex::new(r"`((?:src|tests|fuzz|monitoring|deploy|loadtest|demo-backend|backend-agent|\.ci|\.github)/[A-Za-z0-9_./-]+)`")
        .expect("invariant: a constant pattern");
    tree::assert_kept(
        "a document names a file that does not exist",
        unresolved(&path, |_, target| tree::root().join(target).exists()),
    );
}

/// What `pattern` captures in the Markdown files and `resolves` refuses.
fn unresolved(pattern: &Regex, resolves: impl Fn(&File, &str) -> bool) -> Vec<Violation> {
    let files = tree::all();
    let documents: Vec<&File> = files.iter().filter(|file| file.path.ends_with(".md")).collect();
    assert!(!documents.is_empty(), "the walk finds the documents");
    let mut found = Vec::new();
    for file in documents {
        for (line, text) in file.lines() {
            for captures in pattern.captures_iter(text) {
                let target = &captures[1];
                if !resolves(file, target) {
                    found.push(file.violation(line, format!("`{target}` does not exist")));
                }
            }
        }
    }
    found
}

#[test]
fn every_way_to_check_is_the_same_way() {
    for path in [".ci/run", ".github/workflows/ci.yml", "justfile", "README.md", "CONTRIBUTING.md"] {
        assert!(tree::read(path).text.contains("./check"), "{path} calls ./check, the one test command");
    }
}

#[test]
fn configurations_in_documents_are_valid() {
    let files = tree::all();
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        for (line, block) in yaml_blocks(file) {
            if let Err(report) = plimsoll::control_plane::config::parse(&file.path, &block, &|_| None) {
                found.push(file.violation(line, report.to_string()));
            }
        }
    }
    tree::assert_kept("a configuration in a document would be refused", found);
}

/// The blocks of a Markdown file that are marked as YAML and show a whole configuration, with their first lines.
fn yaml_blocks(file: &File) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (line, text) in file.lines() {
        match (&mut open, text.trim_end()) {
            (None, "```yaml") => open = Some((line + 1, String::new())),
            (Some(_), "```") => blocks.extend(open.take()),
            (Some((_, block)), text) => {
                block.push_str(text);
                block.push('\n');
            }
            (None, _) => {}
        }
    }
    blocks.retain(|(_, block)| block.contains("listeners:"));
    blocks
}

#[test]
fn the_readme_shows_a_configuration() {
    assert!(
        !yaml_blocks(&tree::read("README.md")).is_empty(),
        "the first file a user writes is in the README"
    );
}
