//! A large file is imported and checked in a time that grows no faster than the file.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use tokio::time::Instant;

/// What checking may cost beyond the growth of the file: a machine that does other things beside it.
const SLACK: u32 = 3;

/// A file of HAProxy with so many backends, each with a rule and a server of its own.
fn with_backends(count: usize) -> String {
    let mut text = "defaults\n  mode http\nfrontend web\n  bind 127.0.0.1:8080\n".to_owned();
    for index in 0..count {
        let _ = writeln!(text, "  use_backend b{index} if {{ path_beg /b{index}/ }}");
    }
    for index in 0..count {
        let _ = writeln!(text, "backend b{index}\n  server s 127.0.0.1:{}", 1024 + index);
    }
    text
}

/// How long it takes to check the imported file, at best.
#[track_caller]
fn checked_in(count: usize) -> Duration {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (theirs, ours) = (folder.path().join("haproxy.cfg"), folder.path().join("plimsoll.yaml"));
    std::fs::write(&theirs, with_backends(count)).expect("a file can be written");
    let own = |arguments: &[&str], path: &std::path::Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        let output = command.args(arguments).arg(path).output().expect("the binary was built");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    std::fs::write(&ours, own(&["import", "haproxy"], &theirs)).expect("a file can be written");
    let times = (0..3).map(|_| {
        let started = Instant::now();
        own(&["check", "-c"], &ours);
        started.elapsed()
    });
    times.min().unwrap_or_default()
}

#[test]
fn checking_an_imported_file_takes_time_in_proportion_to_its_size() {
    let (small, large) = (checked_in(200), checked_in(800));
    assert!(large < small * 4 * SLACK, "200 backends took {small:?}, 800 took {large:?}");
}
