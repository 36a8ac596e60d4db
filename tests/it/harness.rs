//! What every promise needs: the balancer as a process, backends that follow a script, and clients that send bytes.
//!
//! Everything blocks and everything has a deadline: a test reads top to bottom like the exchange that it describes, and
//! a promise that is broken fails instead of hanging. Nothing here knows how the balancer works inside.

pub(crate) mod backend;
pub(crate) mod balancer;
pub(crate) mod browser;
pub(crate) mod collector;
pub(crate) mod metrics;
pub(crate) mod own_network;
pub(crate) mod place;
pub(crate) mod program;
pub(crate) mod prometheus;
pub(crate) mod pty;
pub(crate) mod setup;
pub(crate) mod wire;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How long anything that must happen may take, on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long something is waited for that does not happen.
pub(crate) const SHORT: Duration = Duration::from_millis(200);

/// Waits until `condition` holds; fails the test with `what` when it does not in time.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    eventually_ok(|| if condition() { Ok(()) } else { Err(what.to_owned()) });
}

/// Waits until `attempt` succeeds; fails the test with what it last said when it does not in time.
#[track_caller]
pub(crate) fn eventually_ok<T>(attempt: impl FnMut() -> Result<T, String>) -> T {
    within(PATIENCE, attempt)
}

/// As [`eventually_ok`], for what may take another time.
#[track_caller]
pub(crate) fn within<T>(patience: Duration, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(why) => assert!(Instant::now() < deadline, "not within {patience:?}: {why}"),
        }
        pause(Duration::from_millis(5));
    }
}

/// Lets time pass where time is what the promise is about, or between two looks at another process.
#[expect(clippy::disallowed_methods, reason = "the tests' own threads; no worker is blocked")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// An address that is free and stays so until the test listens on it: its port is below those that the kernel gives to
/// sockets that ask for any, and no other test of this process gets it.
pub(crate) fn free_address() -> SocketAddr {
    const FIRST: u16 = 12_000;
    const PORTS: u16 = 16_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes that run at the same time begin in different places.
    let begin = std::process::id().wrapping_mul(97) as u16;
    loop {
        let nth = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        let port = FIRST + nth;
        // On all addresses of the machine, or a listener that wants them all would find it taken.
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        }
    }
}
