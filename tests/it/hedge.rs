//! A request that may be repeated does not wait for a backend that is far slower than usual.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::harness::backend::Backend;
use crate::harness::setup::Setup;
use crate::harness::{eventually, pause};

/// A backend that takes its time once it is told to.
fn sometimes_slow() -> (Backend, Arc<AtomicBool>) {
    let slow = Arc::new(AtomicBool::new(false));
    let is_slow = Arc::clone(&slow);
    let backend = Backend::answering(move |_| {
        if is_slow.load(Ordering::Acquire) {
            pause(Duration::from_millis(700));
        }
        b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow".to_vec()
    });
    (backend, slow)
}

const OVERDUE: [&str; 2] = ["backend=\"backend-1\"", "reason=\"overdue\""];

#[test]
fn an_attempt_slower_than_the_configured_quantile_gets_a_rival() {
    let (backend, slow) = sometimes_slow();
    let well = Backend::saying("well");
    let setup = Setup::over([&backend, &well]).upstream("retries: { hedge: p90 }");
    let balancer = setup.upstream("outliers: off").start();
    (0..100).for_each(|_| assert_eq!(balancer.get("/").status(), 200));
    slow.store(true, Ordering::Release);
    // What is usual is known after a second.
    eventually("a request is hedged", || {
        assert_eq!(balancer.get("/").status(), 200);
        balancer.metrics().sum("plimsoll_retries_total", &OVERDUE) >= 1.0
    });
    let rescues = balancer.metrics().sum("plimsoll_rescues_total", &["backend=\"backend-2\""]);
    assert!(rescues >= 1.0, "the faster one answered");
    let overtaken = ["backend=\"backend-1\"", "outcome=\"overtaken\""];
    eventually("the slower attempt is counted as overtaken", || {
        balancer.metrics().sum("plimsoll_attempts_total", &overtaken) >= 1.0
    });
}

#[test]
fn a_request_with_effects_is_never_hedged() {
    let (backend, slow) = sometimes_slow();
    let other = Backend::saying("well");
    let setup = Setup::over([&backend, &other]).upstream("retries: { hedge: p50 }");
    let balancer = setup.upstream("outliers: off").start();
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let mut sent = 0;
    (0..100).for_each(|_| drop(balancer.get("/")));
    slow.store(true, Ordering::Release);
    // Long enough for a hedge to be possible, as reads show.
    eventually("a read is hedged", || {
        assert_eq!(balancer.ask(post).status(), 200);
        sent += 1;
        // Two, so that the turns of the slow one fall to reads as well.
        (0..2).for_each(|_| drop(balancer.get("/")));
        balancer.metrics().sum("plimsoll_retries_total", &OVERDUE) >= 1.0
    });
    for _ in 0..2 {
        assert_eq!(balancer.ask(post).status(), 200);
        sent += 1;
    }
    let posts = |backend: &Backend| {
        backend.requests().iter().filter(|request| request.head.method() == "POST").count()
    };
    assert_eq!(posts(&backend) + posts(&other), sent, "each was sent once");
}

#[test]
fn the_slower_one_may_still_be_the_first_to_answer() {
    let (backend, slow) = sometimes_slow();
    // Much slower still, once it matters.
    let slower = Arc::clone(&slow);
    let other = Backend::answering(move |_| {
        if slower.load(Ordering::Acquire) {
            pause(Duration::from_secs(3));
        }
        b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate".to_vec()
    });
    let setup = Setup::over([&backend, &other]).upstream("retries: { hedge: p90 }");
    let balancer = setup.upstream("outliers: off").start();
    (0..100).for_each(|_| assert_eq!(balancer.get("/").status(), 200));
    slow.store(true, Ordering::Release);
    eventually("the rival of a hedged request answers first", || {
        assert_eq!(balancer.get("/").status(), 200);
        let overtaken = ["backend=\"backend-2\"", "outcome=\"overtaken\""];
        balancer.metrics().sum("plimsoll_attempts_total", &overtaken) >= 1.0
    });
    let answers = ["backend=\"backend-1\"", "outcome=\"ok\""];
    assert!(
        balancer.metrics().sum("plimsoll_attempts_total", &answers) >= 51.0,
        "the first attempt was answered"
    );
}
