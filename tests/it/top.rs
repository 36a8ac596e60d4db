//! `plimsoll top` in a real terminal: what somebody sees who watches, what keys do, and how the terminal is left.

use std::process::Command;

use rustix::process::Signal;

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::eventually;
use crate::harness::free_address;
use crate::harness::pty::Pty;
use crate::harness::setup::Setup;

const QUICK: &str = "health: { tcp: true, interval: 50ms, timeout: 500ms, rise: 1, fall: 1 }";

/// What a terminal says of itself.
const TERMINAL: (&str, &str) = ("TERM", "xterm-256color");

/// The usual terminal.
const USUAL: (u16, u16) = (80, 24);

/// Watches a balancer.
fn top(balancer: &Balancer, size: (u16, u16), environment: &[(&str, &str)]) -> Pty {
    Pty::plimsoll(size, &["top", "--admin", &balancer.admin.to_string()], environment)
}

#[test]
fn a_backend_that_dies_is_seen_and_another_is_drained_by_keys() {
    let (first, second) = (Backend::saying("1"), Backend::saying("2"));
    let balancer = Setup::over([&first, &second]).upstream(QUICK).start();
    let mut terminal = top(&balancer, USUAL, &[TERMINAL]);
    terminal.expect_line(&["app", "round_robin", "2 of 2 available"]);
    terminal.expect_line(&["backend-1", "● up"]);
    terminal.expect_line(&["backend-2", "● up"]);
    balancer.get("/");
    drop(first);
    terminal.expect_line(&["backend-1", "✕ down"]);
    terminal.expect_line(&["app/backend-1 up → ✕ down", "check: connection"]);
    terminal.press("\x1b[B");
    terminal.expect_line(&["›backend-2"]);
    terminal.press("d");
    terminal.expect_line(&["drain app/backend-2?", "y yes"]);
    terminal.press("y");
    terminal.expect_line(&["app/backend-2 is draining, 0 in flight"]);
    terminal.expect_line(&["›backend-2", "◐ drain"]);
    let upstream = balancer.ask_admin("/api/v1/upstreams/app");
    let upstream: serde_json::Value = serde_json::from_slice(&upstream.body).expect("JSON");
    assert_eq!(upstream["backends"][1]["drained_by"], serde_json::json!(["operator"]));
    terminal.press("\r");
    terminal.expect_line(&["app/backend-2", "◐ draining for"]);
    terminal.press("q");
    assert_eq!(terminal.wait().code(), Some(0));
    terminal.expect_restored();
}

/// What ends the program.
type End = fn(&mut Pty);

#[test]
fn a_terminal_is_left_as_it_was_however_that_ends() {
    let backend = Backend::saying("1");
    let balancer = Setup::over([&backend]).start();
    let ends: [(&str, End); 4] = [
        ("Ctrl-C", |terminal| terminal.press("\x03")),
        ("SIGTERM", |terminal| terminal.signal(Signal::TERM)),
        ("SIGINT", |terminal| terminal.signal(Signal::INT)),
        ("SIGHUP", |terminal| terminal.signal(Signal::HUP)),
    ];
    for (name, end) in ends {
        let mut terminal = top(&balancer, USUAL, &[TERMINAL]);
        terminal.expect_line(&["backend-1"]);
        end(&mut terminal);
        assert_eq!(terminal.wait().code(), Some(0), "{name}");
        terminal.expect_restored();
    }
}

#[test]
fn a_terminal_of_another_size_is_filled_at_once() {
    let backend = Backend::saying("1");
    let balancer = Setup::over([&backend]).upstream(QUICK).start();
    let mut terminal = top(&balancer, USUAL, &[TERMINAL]);
    terminal.expect_line(&["STATE", "CPU"]);
    terminal.resize(130, 40);
    terminal.expect_line(&["STATE", "CPU", "LAST CHECK"]);
    terminal.resize(50, 12);
    terminal.expect("heads that fit", |screen| {
        screen.lines().any(|line| line.contains("STATE") && !line.contains("CPU"))
    });
    terminal.press("\x0c");
    terminal.expect_line(&["backend-1", "● up"]);
}

#[test]
fn without_colours_none_is_written() {
    let backend = Backend::saying("1");
    let balancer = Setup::over([&backend]).start();
    let colour =
        regex::bytes::Regex::new(r"\x1b\[([0-9;]*;)?(3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]").expect("valid");
    for (environment, coloured) in [(&[TERMINAL][..], true), (&[TERMINAL, ("NO_COLOR", "1")], false)] {
        let mut terminal = top(&balancer, USUAL, environment);
        terminal.expect_line(&["backend-1", "● up"]);
        assert_eq!(colour.is_match(&terminal.bytes()), coloured, "{environment:?}");
    }
}

#[test]
fn a_balancer_that_is_gone_is_lost_and_found_again() {
    let backend = Backend::saying("1");
    let admin = free_address();
    let setup = Setup::over([&backend]).top(&format!("admin: {{ address: \"{admin}\" }}"));
    let balancer = setup.start();
    let mut terminal = top(&balancer, USUAL, &[TERMINAL]);
    terminal.expect_line(&["● ready"]);
    drop(balancer);
    terminal.expect_line(&["✕ lost"]);
    terminal.expect_line(&["not heard for", "since"]);
    terminal.expect_line(&["backend-1"]);
    let _again = setup.start();
    terminal.expect_line(&["● ready"]);
    terminal.press("q");
    terminal.wait();
    terminal.expect_restored();
}

#[test]
fn where_there_is_no_screen_it_is_said_what_to_use_instead() {
    let output = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(["top", "--admin", "127.0.0.1:9"])
        .env("TERM", "xterm")
        .output()
        .expect("the binary was built with the tests");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("plimsoll ctl") && said.contains("/api/v1/upstreams of 127.0.0.1:9"), "{said}");
    assert!(output.stdout.is_empty());
    let mut terminal = Pty::plimsoll(USUAL, &["top"], &[("TERM", "dumb")]);
    assert_eq!(terminal.wait().code(), Some(1));
    terminal.expect_line(&["TERM=\"dumb\""]);
    assert!(!terminal.bytes().contains(&0x1b), "nothing that it would not understand");
}

#[test]
fn a_refusal_is_shown_in_the_balancers_words() {
    let backend = Backend::saying("1");
    let admin = "admin: { address: \"127.0.0.1:0\", token: correct-horse-battery }";
    let balancer = Setup::over([&backend]).top(admin).start();
    let mut terminal = top(&balancer, USUAL, &[TERMINAL, ("PLIMSOLL_TOKEN", "wrong-horse-battery")]);
    terminal.expect_line(&["backend-1", "● up"]);
    terminal.press("dy");
    terminal.expect_line(&["app/backend-1: this change needs the token"]);
    terminal.press("q");
    terminal.wait();
    let mut terminal = top(&balancer, USUAL, &[TERMINAL, ("PLIMSOLL_TOKEN", "correct-horse-battery")]);
    terminal.expect_line(&["backend-1", "● up"]);
    terminal.press("w7\ry");
    terminal.expect_line(&["of weight 7"]);
    eventually("the weight is in force", || {
        let upstream = balancer.ask_admin("/api/v1/upstreams/app");
        upstream.text().contains("\"weight\":7,\"configured_weight\":1")
    });
}
