//! What the commands call, run for real: shells, curl, Python's web server, plimsoll, and files that are run as they are.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::metrics::Metrics;
use crate::harness::program::Program;
use crate::harness::wire::{Message, Wire};
use crate::harness::{free_address, within};

/// How long programs with times of their own may take to notice something: HAProxy's checks come every two seconds.
pub(crate) const CHECKS: Duration = Duration::from_secs(60);

/// A folder for one test.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

/// Writes a file and returns where it is.
pub(crate) fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder can be made");
    std::fs::write(&path, text).expect("a file can be written");
    path
}

/// What a script for bash says on standard output. It must end well.
#[track_caller]
pub(crate) fn bash(script: &str) -> String {
    let output = Command::new("bash").args(["-euo", "pipefail", "-c", script]).stdin(Stdio::null()).output();
    let output = output.expect("bash is installed; `./check test` installs what is missing");
    let said = text(&output.stdout);
    assert!(output.status.success(), "{script}\n{said}{}", text(&output.stderr));
    said
}

/// Runs plimsoll with these words.
#[track_caller]
pub(crate) fn plimsoll<A: AsRef<std::ffi::OsStr>>(words: impl IntoIterator<Item = A>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.args(words).env_remove("PLIMSOLL_LOG").stdin(Stdio::null());
    command.output().expect("the binary was built with the tests")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Imports a file, and returns the configuration and what was said of each directive.
#[track_caller]
pub(crate) fn import(program: &str, file: &Path) -> (PathBuf, String) {
    let yaml = file.with_extension("yaml");
    let words =
        ["import".as_ref(), program.as_ref(), file.as_os_str(), "--output".as_ref(), yaml.as_os_str()];
    let output = plimsoll(words);
    let notes = text(&output.stderr);
    assert!(output.status.success(), "{notes}");
    (yaml, notes)
}

/// The configuration check.
#[track_caller]
pub(crate) fn check(yaml: &Path) {
    let output = plimsoll(["check".as_ref(), "-c".as_ref(), yaml.as_os_str()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// `python3 -m http.server PORT --directory …`, on loopback.
#[track_caller]
pub(crate) fn python_server(address: SocketAddr, pages: &Path) -> Program {
    let (port, host) = (address.port().to_string(), address.ip().to_string());
    let pages = pages.to_str().expect("the temporary folder has a name in UTF-8");
    let words = ["-m", "http.server", &port, "--bind", &host, "--directory", pages];
    let mut server = Program::start(Path::new(pages).parent().expect("it is in one"), "python3", words);
    server.expect_ready(address, "/");
    server
}

/// A demo backend of this name.
#[track_caller]
pub(crate) fn demo_backend(folder: &Path, name: &str, address: SocketAddr, options: &[&str]) -> Program {
    let words = ["demo-process", "backend", "--name", name, "--listen"].map(str::to_owned).into_iter();
    let words = words.chain([address.to_string()]).chain(options.iter().map(|word| (*word).to_owned()));
    let mut backend = Program::own(folder, words);
    backend.expect_ready(address, "/metrics");
    backend
}

/// A balancer that runs a file as it is, but for the ports of this test.
pub(crate) struct Site {
    /// Where it accepts traffic.
    pub(crate) address: SocketAddr,
    /// Where it answers its operator.
    pub(crate) admin: SocketAddr,
    _program: Program,
}

impl Site {
    /// Runs a file that listens on `address`, after it has passed the check. Its admin address is the default, which
    /// makes room for one of this test.
    #[track_caller]
    pub(crate) fn run(yaml: &Path, address: SocketAddr) -> Self {
        let admin = free_address();
        let config = std::fs::read_to_string(yaml).expect("the configuration can be read");
        std::fs::write(yaml, moved(&config, &[("127.0.0.1:9900", admin)])).expect("it can be written");
        check(yaml);
        let yaml = yaml.to_str().expect("the temporary folder has a name in UTF-8");
        let mut program = Program::own(Path::new(yaml).parent().expect("it is in one"), ["run", "-c", yaml]);
        program.expect_ready(admin, "/ready");
        Self { address, admin, _program: program }
    }

    /// Gets `path` on a connection of its own.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Message {
        get(self.address, path)
    }

    /// What the admin server says at `path`, as curl shows it.
    #[track_caller]
    pub(crate) fn admin(&self, path: &str) -> String {
        curl(&format!("http://{}{path}", self.admin))
    }

    /// The metrics as they are now.
    #[track_caller]
    pub(crate) fn metrics(&self) -> Metrics {
        Metrics { text: self.admin("/metrics") }
    }

    /// Waits until `/check` has a line with all of `words`.
    #[track_caller]
    pub(crate) fn expect_check(&self, words: &[&str]) {
        within(CHECKS, || {
            let report = self.admin("/check");
            let found = report.lines().any(|line| words.iter().all(|word| line.contains(word)));
            found.then_some(()).ok_or_else(|| format!("no line with {words:?} in\n{report}"))
        });
    }
}

/// Gets `path` on a connection of its own.
#[track_caller]
pub(crate) fn get(address: SocketAddr, path: &str) -> Message {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    Wire::connect(address).exchange(request)
}

/// What `curl -s` shows.
#[track_caller]
pub(crate) fn curl(url: &str) -> String {
    bash(&format!("curl -sS --max-time 20 '{url}'"))
}

/// A text in which each of these addresses is replaced by another.
#[track_caller]
pub(crate) fn moved(text: &str, places: &[(&str, SocketAddr)]) -> String {
    places.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from} stands in\n{text}");
        text.replace(from, &to.to_string())
    })
}
