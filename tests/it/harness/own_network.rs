//! A network of a test's own, in which this host has an address that is not loopback: what only another host would be
//! is played there, and no packet leaves it.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

/// The address, which is one for documentation (RFC 5737).
const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

/// Set for the test that runs within.
const WITHIN: &str = "PLIMSOLL_TEST_WITHIN_OWN_NETWORK";

/// Becomes the rest of the command line, once there is a network with the address that is its first argument.
const SET_UP: &str = "ip link set lo up && ip address add \"$0/32\" dev lo && exec \"$@\"";

/// The address of this host for the test of this name, which then runs in a network of its own. None in the process
/// that was asked to run it, after the other one has passed; and where no such network can be made, which is said.
///
/// # Panics
///
/// When the test fails there, or no test has this name.
#[track_caller]
pub(crate) fn own_network(test: &str) -> Option<IpAddr> {
    if std::env::var_os(WITHIN).is_some() {
        return Some(ADDRESS.into());
    }
    let address = ADDRESS.to_string();
    let prefix = ["--user", "--map-root-user", "--net", "sh", "-c", SET_UP, &address];
    let tried = Command::new("unshare").args(prefix).arg("true").output();
    if !tried.as_ref().is_ok_and(|output| output.status.success()) {
        let _ = writeln!(std::io::stderr(), "left out, as no network can be made here: {tried:?}");
        return None;
    }
    let program = std::env::current_exe().expect("the test program has a path");
    let output = Command::new("unshare")
        .args(prefix)
        .arg(program)
        .args(["--exact", test, "--nocapture"])
        .env(WITHIN, "yes")
        .output()
        .expect("it was run just now");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("test result: ok. 1 passed"), "{test} in a network of its own:\n{said}");
    None
}
