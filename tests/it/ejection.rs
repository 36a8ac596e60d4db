//! A backend that does badly on live traffic is taken out at once, whatever its port says, and comes back when it does well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::setup::Setup;
use crate::harness::{eventually, pause};

const WELL: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const ERROR: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\noops";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// A switch that a backend obeys.
type Switch = Arc<AtomicBool>;

fn turn(switch: &Switch, on: bool) {
    switch.store(on, Ordering::Release);
}

fn is_on(switch: &Switch) -> bool {
    switch.load(Ordering::Acquire)
}

/// A backend that answers nobody while the switch is on, and takes connections all the time.
fn hanging() -> (Backend, Switch) {
    let switch = Switch::default();
    let hangs = Arc::clone(&switch);
    let backend = Backend::answering(move |_| {
        while is_on(&hangs) {
            pause(Duration::from_millis(5));
        }
        WELL.to_vec()
    });
    (backend, switch)
}

/// Waits until the first backend was ejected for this reason.
#[track_caller]
fn expect_ejection(balancer: &Balancer, reason: &str) {
    let labels = ["backend=\"backend-1\"", &format!("reason=\"{reason}\"")];
    eventually(&format!("backend-1 is ejected for {reason}"), || {
        balancer.metrics().sum("plimsoll_ejections_total", &labels) >= 1.0
    });
}

/// Keeps asking on several connections until `done`; every answer is a 200.
fn ask_until(balancer: &Balancer, done: impl Fn() -> bool + Sync) {
    let finished = Switch::default();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = balancer.connect();
                while !is_on(&finished) {
                    assert_eq!(client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status(), 200);
                    pause(Duration::from_millis(1));
                }
            });
        }
        let waited =
            thread::scope(|inner| inner.spawn(|| eventually("what the clients ask for", &done)).join());
        turn(&finished, true);
        waited.expect("it happens in time");
    });
}

#[test]
fn a_backend_that_hangs_keeps_nobody_waiting_who_can_be_served_elsewhere() {
    let (backend, hangs) = hanging();
    let (second, third) = (Backend::saying("ok"), Backend::saying("ok"));
    let balancer = Setup::over([&backend, &second, &third]).upstream("health: tcp").start();
    let state = |state: f64| {
        let shown = balancer.metrics().sum("plimsoll_backend_state", &["backend=\"backend-1\""]);
        (shown - state).abs() < 0.5
    };
    // Until it is known what is usual.
    let answered = || balancer.metrics().sum("plimsoll_attempts_total", &["outcome=\"ok\""]);
    ask_until(&balancer, || answered() >= 600.0);
    turn(&hangs, true);
    ask_until(&balancer, || state(4.0));
    let retries = balancer.metrics().sum("plimsoll_retries_total", &["reason=\"overdue\""]);
    assert!(retries >= 1.0, "who waited for it was served elsewhere");
    // Its port is open all the time; only a question that it answers brings it back.
    turn(&hangs, false);
    ask_until(&balancer, || state(3.0) || state(1.0));
    balancer.expect_metric("plimsoll_requests_total", &["code=\"502\""], 0.0);
    balancer.expect_metric("plimsoll_requests_total", &["code=\"504\""], 0.0);
}

#[test]
fn errors_in_a_row_take_a_backend_out_until_it_answers_without() {
    let fails = Switch::default();
    let failing = Arc::clone(&fails);
    let backend = Backend::answering(move |_| if is_on(&failing) { ERROR.to_vec() } else { WELL.to_vec() });
    let other = Backend::saying("ok");
    let balancer = Setup::over([&backend, &other]).start();
    turn(&fails, true);
    // What has effects is not sent twice: its errors reach the clients until the fifth.
    let mut errors = 0;
    eventually("no error any more", || {
        errors += u32::from(balancer.ask(POST).status() == 500);
        balancer.metrics().sum("plimsoll_backend_up", &["backend=\"backend-1\""]) < 0.5
    });
    assert_eq!(errors, 5);
    expect_ejection(&balancer, "consecutive_errors");
    (0..20).for_each(|_| assert_eq!(balancer.ask(POST).status(), 200));
    turn(&fails, false);
    balancer.expect_metric("plimsoll_backend_up", &["backend=\"backend-1\""], 1.0);
    assert!(
        backend.requests().iter().any(|request| request.head.method() == "OPTIONS"),
        "it was asked by a probe, and not with a client's request"
    );
}

#[test]
fn the_only_backend_is_never_ejected() {
    let backend = Backend::answering(|_| ERROR.to_vec());
    let balancer = Setup::over([&backend]).start();
    (0..30).for_each(|_| assert_eq!(balancer.ask(POST).status(), 500));
    eventually("ejections are refused", || {
        balancer.metrics().sum("plimsoll_ejections_refused_total", &["upstream=\"app\""]) >= 1.0
    });
    assert_eq!(balancer.ask(POST).status(), 500, "it is asked all the same");
    balancer.expect_metric("plimsoll_backend_up", &["backend=\"backend-1\""], 1.0);
}
