//! Promises: what is imported is a valid configuration, and the command says what became of the file.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::control_plane::config::{self, keys::KEYS};

/// Whether the file can be valid: one that relays bytes or speaks the PROXY protocol asks for a release that knows how.
fn is_for_this_release(yaml: &str) -> bool {
    let knows = KEYS.iter().any(|key| key.path == "listeners.*.timeouts.tunnel");
    knows || !["protocol: tcp", "proxy_protocol:"].iter().any(|key| yaml.contains(key))
}

/// The files of the corpus that end so.
fn corpus(extension: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("import/tests/corpus");
    let folders = ["haproxy", "nginx"].map(|name| fs::read_dir(root.join(name)).unwrap());
    let files = folders.into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    files
}

fn problems(yaml: &str) -> Option<String> {
    // The variables of the corpus.
    let environment = |name: &str| {
        let value = match name {
            "ADDRESS" => "127.0.0.1",
            "PORT" => "8080",
            _ => "127.0.0.1:5001",
        };
        Some(value.to_owned())
    };
    config::parse("plimsoll.yaml", yaml, &environment).err().map(|report| report.to_string())
}

fn run_on(program: Program, text: &str, output: Option<PathBuf>) -> (String, String, bool) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("given");
    fs::write(&file, text).unwrap();
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let arguments = Arguments { program, file: file.clone(), output };
    let imported = import(&arguments, &mut out, &mut notes).unwrap();
    let shown = |bytes| String::from_utf8(bytes).unwrap().replace(&file.display().to_string(), "given");
    (shown(out), shown(notes), imported)
}

#[test]
fn every_file_of_the_corpus_passes_the_check() {
    let files = corpus("yaml");
    assert!(files.len() > 5, "the corpus is there");
    let checked = files.iter().map(|path| (path, fs::read_to_string(path).unwrap()));
    for (path, yaml) in checked.filter(|(_, yaml)| is_for_this_release(yaml)) {
        if let Some(report) = problems(&yaml) {
            panic!("{}: {report}", path.display());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_left_of_a_file_when_lines_are_lost_and_moved_passes_the_check(
        which in any::<Index>(),
        lost in prop::collection::vec(any::<Index>(), 0..12),
        moved in prop::collection::vec((any::<Index>(), any::<Index>()), 0..6),
    ) {
        let files = [corpus("cfg"), corpus("conf")].concat();
        let path = which.get(&files);
        let text = fs::read_to_string(path).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        for index in lost {
            lines.remove(index.index(lines.len()));
        }
        for (from, to) in moved {
            let line = lines.remove(from.index(lines.len()));
            lines.insert(to.index(lines.len()), line);
        }
        let is_haproxy = path.extension().is_some_and(|extension| extension == "cfg");
        let program = if is_haproxy { plimsoll_import::haproxy } else { plimsoll_import::nginx };
        let given = lines.join("\n");
        if let Some(yaml) = program("given", &given).yaml.filter(|yaml| is_for_this_release(yaml)) {
            let report = problems(&yaml);
            prop_assert!(report.is_none(), "{given}\n{yaml}\n{}", report.unwrap_or_default());
        }
    }
}

#[test]
fn the_configuration_is_one_thing_and_the_notes_are_another() {
    let text = "defaults\n mode http\nfrontend web\n bind :80\n default_backend app\nbackend app\n server a 127.0.0.1:1\n";
    let (out, notes, imported) = run_on(Program::Haproxy, text, None);
    assert!(imported);
    assert_eq!(problems(&out), None);
    assert!(
        notes.contains("given:5:2: mapped: `default_backend app`: a route to the upstream `app`\n"),
        "{notes}"
    );
    assert!(
        notes.ends_with("given: 4 mapped, 0 not needed, 0 not supported, 0 unknown, 0 error\n"),
        "{notes}"
    );
}

#[test]
fn a_file_with_an_error_gives_nothing_but_notes_and_leaves_the_output_alone() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("plimsoll.yaml");
    let text = "upstream a { server 127.0.0.1:1; }\nserver { location / { proxy_pass http://b:x; } }";
    let (out, notes, imported) = run_on(Program::Nginx, text, Some(output.clone()));
    assert!(!imported);
    assert!(out.is_empty() && !output.exists());
    assert!(notes.contains("given:2:23: error: `proxy_pass http://b:x`"), "{notes}");
}

#[test]
fn the_output_is_written_where_it_is_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("plimsoll.yaml");
    let text = "server { location / { proxy_pass http://127.0.0.1:5001; } }";
    let (out, _, imported) = run_on(Program::Nginx, text, Some(output.clone()));
    assert!(imported && out.is_empty());
    assert_eq!(problems(&fs::read_to_string(output).unwrap()), None);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the wall clock is what the promise is about")]
fn a_thousand_imported_backends_are_checked_quickly() {
    let servers: String =
        (0..1000).map(|index| format!(" server s{index} 127.0.0.1:{} check\n", 1024 + index)).collect();
    let text = format!(
        "defaults\n mode http\nfrontend web\n bind :80\n default_backend app\nbackend app\n{servers}"
    );
    let (yaml, _, imported) = run_on(Program::Haproxy, &text, None);
    assert!(imported);
    let started = Instant::now();
    assert_eq!(problems(&yaml), None);
    // Without optimization and beside other work; optimized it is a few milliseconds.
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}
