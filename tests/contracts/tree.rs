//! Reads the files of the repository, and words what a contract finds in them.
//!
//! The tree is walked rather than asked of git, so that the contracts also hold in an unpacked archive.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// What was built or found, never what was written.
const NOT_SOURCE: [&str; 6] =
    [".git", "target", "node_modules", "corpus", "artifacts", "proptest-regressions"];

/// A text file of the repository.
pub(crate) struct File {
    /// Relative to the repository, with `/` between the parts.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// The directories above the file, outermost first.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &str> {
        self.path.rsplit_once('/').map_or("", |(folders, _)| folders).split('/')
    }

    /// The file's name without its folders.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The file's lines with their numbers, from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// A violation on one line of this file.
    pub(crate) fn violation(&self, line: usize, what: impl Into<String>) -> Violation {
        Violation { path: self.path.clone(), line, what: what.into() }
    }

    /// True for code that exists only to test: its length is nobody's burden.
    pub(crate) fn is_test(&self) -> bool {
        self.name() == "tests.rs" || self.folders().any(|folder| matches!(folder, "tests" | "benches"))
    }
}

/// One place where a contract is broken.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// Fails the calling test with every violation, sorted by place.
#[track_caller]
pub(crate) fn assert_kept(contract: &str, mut violations: Vec<Violation>) {
    violations.sort();
    let list: String = violations.iter().map(|violation| format!("\n  {violation}")).collect();
    assert!(violations.is_empty(), "{contract}{list}");
}

/// The repository's root directory.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Reads one file. One that is missing reads as empty, which fails whatever a contract asks of it.
pub(crate) fn read(path: &str) -> File {
    let text = fs::read_to_string(root().join(path)).unwrap_or_default();
    File { path: path.to_owned(), text }
}

/// All text files of the repository, sorted by path.
pub(crate) fn all() -> Vec<File> {
    let mut found = Vec::new();
    walk(root(), &mut found);
    found.sort();
    found.into_iter().filter_map(|path| load(&path)).collect()
}

/// All Rust sources, those of the tests and of the fuzz targets included.
pub(crate) fn rust() -> Vec<File> {
    let mut files = all();
    files.retain(|file| file.path.ends_with(".rs"));
    assert!(files.len() > 5, "the walk finds the sources");
    files
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("invariant: the repository's folders are readable");
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        let name = entry.file_name();
        if NOT_SOURCE.iter().any(|skipped| name == *skipped) {
            continue;
        }
        if kind.is_dir() {
            walk(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

fn load(path: &Path) -> Option<File> {
    // What is not UTF-8 is not text: a recorded sample of a fuzz target, a picture.
    let text = fs::read_to_string(path).ok()?;
    let path = path.strip_prefix(root()).ok()?.to_str()?.replace('\\', "/");
    Some(File { path, text })
}
