//! How long an exchange took is told apart by who took it: the backend that was waited for, or the balancer.

use std::time::Duration;

use crate::harness::backend::Backend;
use crate::harness::setup::Setup;
use crate::harness::{balancer::Balancer, pause};

/// How long the backends of this module let the balancer wait for the final answer.
const WAIT: Duration = Duration::from_millis(300);

/// Checks that the waiting is counted as the backend's and not as the balancer's.
#[track_caller]
fn expect_the_wait_to_be_the_backends(balancer: &Balancer) {
    balancer.expect_metric("plimsoll_response_wait_seconds_count", &["backend=\"backend-1\""], 1.0);
    balancer.expect_metric("plimsoll_added_duration_seconds_count", &["listener=\"web\""], 1.0);
    let metrics = balancer.metrics();
    let waited = metrics.sum("plimsoll_response_wait_seconds_sum", &[]);
    assert!(waited >= 0.25, "waited for the backend: {waited} s");
    let added = metrics.sum("plimsoll_added_duration_seconds_sum", &[]);
    assert!(added < 0.2, "added by the balancer: {added} s");
}

#[test]
fn an_early_hint_does_not_end_the_wait_for_the_answer() {
    let backend = Backend::scripted(|mut wire, _| {
        while wire.request().is_some() {
            wire.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
            pause(WAIT);
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    let balancer = Setup::over([&backend]).start();
    assert_eq!(balancer.get("/").text(), "ok");
    expect_the_wait_to_be_the_backends(&balancer);
}

#[test]
fn the_leave_to_send_the_body_does_not_end_the_wait_for_the_answer() {
    let backend = Backend::scripted(|mut wire, _| {
        while wire.head().is_some() {
            wire.send("HTTP/1.1 100 Continue\r\n\r\n");
            wire.exactly(4);
            pause(WAIT);
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(client.head().map(|head| head.status()), Some(100));
    client.send("body");
    assert_eq!(client.answer(false).text(), "ok");
    expect_the_wait_to_be_the_backends(&balancer);
}
