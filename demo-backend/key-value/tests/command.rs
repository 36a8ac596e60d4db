//! The command `storage` as a process, one at a time and many at once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking; the allowance does not reach functions")]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

fn storage(file: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_storage"));
    command.arg("--file").arg(file).args(arguments).stdin(Stdio::null());
    command
}

fn said(output: &Output) -> (bool, &str) {
    (output.status.success(), std::str::from_utf8(&output.stdout).unwrap())
}

#[test]
fn values_are_printed_in_order_joined_by_a_comma_and_a_space() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("storage.data");
    let run = |arguments: &[&str]| storage(&file, arguments).output().unwrap();
    assert_eq!(said(&run(&["--key", "key_name"])), (true, ""), "nothing for a key that is not there");
    for value in ["test_value", "test_value2", "-3"] {
        assert_eq!(said(&run(&["--key", "key_name", "--val", value])), (true, ""));
    }
    assert_eq!(said(&run(&["--key", "key_name"])), (true, "test_value, test_value2, -3\n"));
    assert_eq!(said(&run(&["--key", "other"])), (true, ""));
}

#[test]
fn the_file_is_storage_data_among_the_temporary_ones_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let command = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_storage"));
        command.env("TMPDIR", folder.path()).env_remove("STORAGE_FILE").args(["--key", "k"]);
        command
    };
    assert!(command().args(["--val", "v"]).output().unwrap().status.success());
    assert!(folder.path().join("storage.data").exists());
    let other = folder.path().join("other");
    assert!(command().args(["--val", "w"]).env("STORAGE_FILE", &other).output().unwrap().status.success());
    assert_eq!(said(&command().output().unwrap()), (true, "v\n"));
    assert_eq!(said(&command().env("STORAGE_FILE", &other).output().unwrap()), (true, "w\n"));
}

#[test]
fn a_damaged_file_is_an_error_that_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("storage.data");
    std::fs::write(&file, "{\n  \"key\": oops\n}").unwrap();
    for arguments in [&["--key", "key"][..], &["--key", "key", "--val", "v"]] {
        let output = storage(&file, arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.starts_with(&format!("storage: {}:2:10: expected value", file.display())), "{error}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{\n  \"key\": oops\n}");
}

#[test]
fn no_value_of_many_processes_at_once_is_lost() {
    const WRITERS: usize = 8;
    const VALUES: usize = 12;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("storage.data");
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let file = &file;
            scope.spawn(move || {
                for value in 0..VALUES {
                    let value = format!("{writer}-{value}");
                    let added = storage(file, &["--key", "all", "--val", &value]).status().unwrap();
                    assert!(added.success());
                    let seen = storage(file, &["--key", "all"]).output().unwrap();
                    let seen = said(&seen).1.to_owned();
                    assert!(seen.trim().split(", ").any(|seen| seen == value), "{value} in {seen}");
                }
            });
        }
    });
    let output = storage(&file, &["--key", "all"]).output().unwrap();
    let all: Vec<&str> = said(&output).1.trim().split(", ").collect();
    assert_eq!(all.len(), WRITERS * VALUES, "{all:?}");
    for writer in 0..WRITERS {
        let own = all.iter().filter(|value| value.starts_with(&format!("{writer}-")));
        let expected: Vec<String> = (0..VALUES).map(|value| format!("{writer}-{value}")).collect();
        assert_eq!(own.copied().collect::<Vec<_>>(), expected, "each in its order");
    }
}

#[test]
fn whoever_is_killed_leaves_a_whole_file_with_all_that_was_stored() {
    const WRITERS: usize = 30;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("storage.data");
    let long = "x".repeat(60_000);
    let mut stored = Vec::new();
    let mut killed = 0;
    for writer in 0..WRITERS {
        let value = format!("{writer}-{long}");
        let mut process = storage(&file, &["--key", "all", "--val", &value]).spawn().unwrap();
        // From none to more than it takes, so that kills fall on every part of it.
        for _ in 0..writer * 8_000 {
            std::hint::spin_loop();
        }
        let _ = process.kill();
        if process.wait().unwrap().success() {
            stored.push(value);
        } else {
            killed += 1;
        }
        let output = storage(&file, &["--key", "all"]).output().unwrap();
        assert!(output.status.success(), "after {writer}: {}", String::from_utf8_lossy(&output.stderr));
        let all = said(&output).1.trim().to_owned();
        let all: Vec<&str> = all.split(", ").collect();
        for value in &stored {
            assert!(all.contains(&value.as_str()), "what was stored is there after {killed} were killed");
        }
    }
    assert!(killed > 0, "somebody was killed");
}
