//! Snapshots: each configuration of the corpus with the file and the notes that come of it, which lie beside it.
//! `BLESS=1` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};

use plimsoll_import::{Import, Kind};

/// Imports a text under the name of its file.
type Importer = fn(&str, &str) -> Import;

/// The folders of the corpus, how their configurations end, and what imports them.
const CORPUS: [(&str, &str, Importer); 2] =
    [("haproxy", "cfg", plimsoll_import::haproxy), ("nginx", "conf", plimsoll_import::nginx)];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)
}

/// Every configuration of the corpus, imported.
fn imported() -> Vec<(PathBuf, String, Import)> {
    let mut all = Vec::new();
    for (name, extension, import) in CORPUS {
        let files = fs::read_dir(folder(name)).expect("the corpus has the folder").flatten();
        let files = files.map(|entry| entry.path());
        for path in files.filter(|path| path.extension().is_some_and(|found| found == extension)) {
            let text = fs::read_to_string(&path).expect("the corpus is text");
            let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let import = import(&file, &text);
            all.push((path, text, import));
        }
    }
    assert!(all.len() > 10, "the corpus is there");
    all.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    all
}

fn notes(import: &Import) -> String {
    import.notes.iter().map(|note| format!("{note}\n")).collect()
}

#[test]
fn each_configuration_becomes_what_lies_beside_it() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut differ = Vec::new();
    for (path, _, import) in imported() {
        let yaml = import.yaml.clone().unwrap_or_default();
        for (extension, text) in [("yaml", yaml), ("notes", notes(&import))] {
            let expected = path.with_extension(extension);
            if bless && text.is_empty() {
                let _ = fs::remove_file(&expected);
            } else if bless {
                fs::write(&expected, &text).unwrap();
            } else if fs::read_to_string(&expected).unwrap_or_default() != text {
                differ.push(expected);
            }
        }
    }
    assert!(differ.is_empty(), "not as expected (BLESS=1 writes them anew): {differ:#?}");
}

#[test]
fn nothing_is_dropped_silently() {
    for (path, text, import) in imported() {
        let told: Vec<usize> = import.notes.iter().map(|note| note.place.line).collect();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            let structure = ["global", "defaults", "frontend", "backend", "listen", "}", "]"];
            let first = line.split_whitespace().next().unwrap_or_default();
            // Sections and blocks are what their lines are; a continued line is told where it begins.
            let says_something = !line.is_empty() && !line.starts_with('#') && !structure.contains(&first);
            if says_something && !line.ends_with('{') && !line.contains("goes on") {
                assert!(told.contains(&(index + 1)), "{}: line {}: {line}", path.display(), index + 1);
            }
        }
    }
}

#[test]
fn a_file_with_an_error_gives_no_configuration_and_any_other_one_does() {
    for (path, _, import) in imported() {
        let errors = import.notes.iter().any(|note| note.kind == Kind::Error);
        assert_eq!(import.failed(), errors, "{}", path.display());
    }
}
