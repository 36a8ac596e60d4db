//! The command line: what each command says, on which stream, and how it exits.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Output};

use crate::harness::backend::Backend;
use crate::harness::setup::Setup;

/// Runs the binary with `arguments` and a file that holds `yaml`, named by `{file}`.
fn plimsoll(arguments: &[&str], yaml: &str) -> Output {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a temporary file can be made");
    file.write_all(yaml.as_bytes()).expect("the temporary file can be written");
    let path = file.path().to_str().expect("the temporary directory has a name in UTF-8");
    Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(arguments.iter().map(|argument| argument.replace("{file}", path)))
        .env_remove("PLIMSOLL_LOG")
        .output()
        .expect("the binary was built with the tests")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_valid_file_is_said_to_be_valid() {
    let yaml = Setup::at([Backend::nobody()]).yaml();
    let output = plimsoll(&["check", "-c", "{file}"], &yaml);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("ok"), "{}", text(&output.stdout));
}

#[test]
fn every_problem_of_a_file_is_told_at_once_with_its_place_and_a_hint() {
    let yaml = "listeners:\n  web:\n    adress: 127.0.0.1:80\nupstreams:\n  app:\n    backends: []\n    balance: fastest\n";
    let output = plimsoll(&["check", "-c", "{file}"], yaml);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    for part in [":3:5: error", "did you mean `address`", ":6:15: error", ":7:14: error"] {
        assert!(said.contains(part), "{part} in:\n{said}");
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let output = plimsoll(&["check", "-c", "/nowhere/plimsoll.yaml"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("/nowhere/plimsoll.yaml"), "{}", text(&output.stderr));
}

#[test]
fn run_refuses_the_file_that_check_refuses() {
    let output = plimsoll(&["run", "-c", "{file}"], "listeners: {}\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(": error: "), "{}", text(&output.stderr));
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = taken.local_addr().expect("a bound socket has an address").to_string();
    let setup = Setup::at([Backend::nobody()]);
    let traffic = setup.yaml().replacen("127.0.0.1:0", &address, 1);
    let admin = setup.top(&format!("admin: {{ address: \"{address}\" }}")).yaml();
    for yaml in [traffic, admin] {
        let output = plimsoll(&["run", "-c", "{file}"], &yaml);
        assert_eq!(output.status.code(), Some(1), "{yaml}");
        let said = text(&output.stderr);
        assert!(said.contains(&address) && said.contains("in use"), "{said}");
    }
}

#[test]
fn the_way_of_a_request_is_explained() {
    let yaml = Setup::at([Backend::nobody()])
        .top("routes:\n  - { name: images, match: { path: { suffix: .png } }, respond: { status: 404 } }\n  - { name: rest, upstream: app }")
        .yaml();
    let output = plimsoll(&["check", "-c", "{file}", "--explain", "GET http://example.org/a.jpg"], &yaml);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("images") && said.contains("rest"), "{said}");
    let output = plimsoll(&["check", "-c", "{file}", "--explain", "nonsense"], &yaml);
    assert_eq!(output.status.code(), Some(2), "a question that is none is a mistake of usage");
}

#[test]
fn the_reference_configuration_is_valid() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/plimsoll.yaml");
    let output = plimsoll(&["check", "-c", path], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn help_shows_an_example_of_each_command() {
    for command in ["run", "check"] {
        let output = plimsoll(&[command, "--help"], "");
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains(&format!("plimsoll {command} ")), "{}", text(&output.stdout));
    }
}
