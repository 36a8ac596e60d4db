//! A failed attempt is tried elsewhere where that is safe, and the client does not notice.

use crate::harness::backend::Backend;
use crate::harness::setup::Setup;

#[test]
fn a_backend_that_refuses_is_tried_elsewhere() {
    let well = Backend::saying("well");
    let balancer = Setup::at([Backend::nobody(), well.address]).start();
    for method in ["GET", "POST"] {
        for _ in 0..4 {
            let request =
                format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            assert_eq!(balancer.ask(request).text(), "well", "a refused connection has had no effect");
        }
    }
    let metrics = balancer.metrics();
    let failed = ["backend=\"backend-1\"", "reason=\"connect\""];
    let retries = metrics.sum("plimsoll_retries_total", &failed);
    assert!(retries >= 1.0, "a retry is charged to the backend that failed");
    let rescues = metrics.sum("plimsoll_rescues_total", &["backend=\"backend-2\""]);
    assert!((rescues - retries).abs() < 0.5, "and credited to the one that answered");
    balancer.expect_metric("plimsoll_requests_total", &["backend=\"backend-2\"", "code=\"200\""], 8.0);
    assert!(metrics.sum("plimsoll_requests_total", &["code=\"502\""]) < 0.5);
}

#[test]
fn nobody_anywhere_is_an_error_that_names_itself() {
    let balancer = Setup::at([Backend::nobody(), Backend::nobody()]).start();
    let answer = balancer.get("/");
    assert_eq!(answer.status(), 502, "{}", answer.text());
    balancer.expect_metric("plimsoll_requests_total", &[], 1.0);
    for backend in ["backend=\"backend-1\"", "backend=\"backend-2\""] {
        let labels = [backend, "outcome=\"connect_refused\""];
        let attempts = balancer.metrics().sum("plimsoll_attempts_total", &labels);
        assert!(attempts >= 1.0, "{backend} was tried");
    }
}

#[test]
fn a_kept_connection_that_the_backend_closed_is_replaced_in_silence() {
    // Answers once per connection and closes without saying so beforehand.
    let backend = Backend::once("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    for _ in 0..10 {
        let put = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
        assert_eq!(client.exchange(put).text(), "ok");
    }
    assert!(balancer.metrics().sum("plimsoll_retries_total", &[]) < 0.5, "which is no retry");
}

/// A backend that reads a request and breaks the connection.
fn breaking() -> Backend {
    Backend::scripted(|mut wire, memory| {
        if let Some(request) = wire.request() {
            memory.note(request);
            wire.reset();
        }
    })
}

#[test]
fn a_request_with_effects_is_not_sent_again_on_a_connection_that_the_backend_closed() {
    let backend = Backend::once("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    let mut answered = 0;
    for index in 0..20 {
        let post = format!("POST /{index} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
        let status = client.exchange(post).status();
        // Usually the end of the connection is seen before it is used; where it is not, nobody can tell what was read.
        assert!(matches!(status, 200 | 502), "{status}");
        answered += usize::from(status == 200);
    }
    let mut targets: Vec<String> =
        backend.requests().iter().map(|request| request.head.target().to_owned()).collect();
    assert_eq!(targets.len(), answered, "what is answered was received");
    targets.dedup();
    assert_eq!(targets.len(), answered, "and received once");
}

#[test]
fn an_idempotent_request_on_a_connection_that_breaks_is_tried_elsewhere() {
    let broken = breaking();
    let well = Backend::saying("well");
    let balancer = Setup::over([&broken, &well]).start();
    for _ in 0..6 {
        assert_eq!(balancer.get("/").text(), "well");
    }
    assert!(!broken.requests().is_empty(), "it was tried");
    assert!(balancer.metrics().sum("plimsoll_retries_total", &["reason=\"reset\""]) >= 1.0);
}

#[test]
fn a_request_that_may_have_had_an_effect_is_not_sent_twice() {
    let broken = breaking();
    let well = Backend::saying("well");
    let balancer = Setup::over([&broken, &well]).start();
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody";
    let statuses: Vec<u16> = (0..6).map(|_| balancer.ask(post).status()).collect();
    assert!(statuses.contains(&502), "{statuses:?}");
    assert_eq!(broken.requests().len() + well.requests().len(), 6, "each is sent once");
    let labels = &["reason=\"not_idempotent\""];
    assert!(balancer.metrics().sum("plimsoll_retries_refused_total", labels) >= 1.0);
}

#[test]
fn the_body_of_an_idempotent_request_is_sent_again_whole() {
    let broken = breaking();
    let well = Backend::saying("well");
    let balancer = Setup::over([&broken, &well]).start();
    let put = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody";
    for _ in 0..4 {
        assert_eq!(balancer.ask(put).text(), "well");
    }
    assert!(well.requests().iter().all(|request| request.text() == "body"));
    assert!(!broken.requests().is_empty(), "it was tried");
}

#[test]
fn a_backend_that_hangs_is_given_up_and_another_answers() {
    let hanging = Backend::scripted(|mut wire, _| {
        let _ = wire.read_to_end();
    });
    let well = Backend::saying("well");
    let balancer = Setup::over([&hanging, &well]).upstream("timeouts: { response: 200ms }").start();
    for _ in 0..4 {
        assert_eq!(balancer.get("/").text(), "well");
    }
    assert!(balancer.metrics().sum("plimsoll_retries_total", &["reason=\"timeout\""]) >= 1.0);
}

#[test]
fn a_backend_that_hangs_is_not_asked_again_when_there_is_no_other() {
    let hanging = Backend::scripted(|mut wire, memory| {
        let Some(request) = wire.request() else { return };
        memory.note(request);
        let _ = wire.read_to_end();
    });
    let balancer = Setup::over([&hanging]).upstream("timeouts: { response: 200ms }").start();
    assert_eq!(balancer.get("/").status(), 504);
    assert_eq!(hanging.requests().len(), 1, "asked once");
    balancer.expect_metric("plimsoll_retries_refused_total", &["reason=\"no_backend\""], 1.0);
}

#[test]
fn a_failure_that_the_configuration_does_not_name_is_not_tried_elsewhere() {
    let broken = breaking();
    let well = Backend::saying("well");
    let balancer = Setup::over([&broken, &well]).upstream("retries: { on: [connect] }").start();
    let statuses: Vec<u16> = (0..4).map(|_| balancer.get("/").status()).collect();
    assert!(statuses.contains(&502) && statuses.contains(&200), "{statuses:?}");
}

#[test]
fn a_body_larger_than_the_replay_buffer_is_sent_once() {
    let broken = Backend::scripted(|mut wire, memory| {
        let Some(head) = wire.head() else { return };
        let body = wire.exactly(1000);
        memory.note(crate::harness::wire::Message { head, body, ..Default::default() });
        wire.reset();
    });
    let well = Backend::saying("well");
    let balancer = Setup::over([&broken, &well]).upstream("limits: { replay_buffer: 1KiB }").start();
    let head = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n";
    let put = [head.as_bytes(), &[b'a'; 1_000_000]].concat();
    let statuses: Vec<u16> = (0..4).map(|_| balancer.ask(&put).status()).collect();
    assert!(statuses.contains(&502) && statuses.contains(&200), "{statuses:?}");
    assert!(well.requests().iter().all(|request| request.body.len() == 1_000_000), "never a part of it");
}

/// A backend that answers everything with a 500.
fn failing() -> Backend {
    Backend::answering(|_| b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\noops".to_vec())
}

#[test]
fn an_error_that_another_backend_may_not_have_is_asked_elsewhere() {
    let (bad, well) = (failing(), Backend::saying("well"));
    let balancer = Setup::over([&bad, &well]).start();
    for _ in 0..4 {
        let answer = balancer.get("/");
        assert_eq!((answer.status(), answer.text()), (200, "well"));
    }
    let metrics = balancer.metrics();
    let retries = metrics.sum("plimsoll_retries_total", &["backend=\"backend-1\"", "reason=\"status\""]);
    assert!(retries >= 1.0, "the failing one had its turns");
    balancer.expect_metric("plimsoll_rescues_total", &["backend=\"backend-2\""], retries);
}

#[test]
fn an_error_of_all_backends_is_the_answer() {
    let (one, other) = (failing(), failing());
    let balancer = Setup::over([&one, &other]).start();
    let answer = balancer.get("/");
    assert_eq!((answer.status(), answer.text()), (500, "oops"), "not one of our own");
    assert_eq!((one.requests().len(), other.requests().len()), (1, 1), "each was asked once");
}

#[test]
fn an_error_in_answer_to_a_request_with_effects_is_the_answer() {
    let (bad, well) = (failing(), Backend::saying("well"));
    let balancer = Setup::over([&bad, &well]).start();
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let mut statuses = [balancer.ask(post).status(), balancer.ask(post).status()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 500]);
    assert_eq!(bad.requests().len() + well.requests().len(), 2, "nothing is sent twice");
}

#[test]
fn a_host_that_does_not_answer_connects_costs_its_patience_and_no_more() {
    let well = Backend::saying("well");
    let balancer = Setup::at([Backend::vanished(), well.address]).upstream("health: off").start();
    let mut client = balancer.connect();
    let begun = tokio::time::Instant::now();
    for method in ["POST", "GET", "POST", "GET"] {
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client.exchange(request).text(), "well", "nothing had been sent to the other");
    }
    // Without a second attempt in parallel it would be the connect timeout, a second.
    assert!(begun.elapsed() < std::time::Duration::from_millis(900), "{:?}", begun.elapsed());
    let labels = ["backend=\"backend-1\"", "outcome=\"connect_timeout\""];
    balancer.expect_metric("plimsoll_attempts_total", &labels, 1.0);
    balancer.expect_metric("plimsoll_rescues_total", &["backend=\"backend-2\""], 1.0);
}

#[test]
fn the_timeout_of_a_try_is_over_with_the_head_of_its_answer() {
    let backend = Backend::scripted(|mut wire, _| {
        if wire.request().is_some() {
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n12");
            crate::harness::pause(std::time::Duration::from_millis(900));
            wire.send("34");
        }
    });
    let balancer = Setup::over([&backend]).upstream("retries: { per_try_timeout: 100ms }").start();
    assert_eq!(balancer.get("/").text(), "1234");
}

#[test]
fn a_write_that_is_lost_is_no_stale_connection() {
    let backend = Backend::scripted(|mut wire, memory| {
        while let Some(request) = wire.request() {
            let is_write = request.head.method() == "POST";
            memory.note(request);
            if is_write {
                return;
            }
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    assert_eq!(client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text(), "ok");
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(client.exchange(post).status(), 502);
    balancer.expect_metric("plimsoll_attempts_total", &["outcome=\"reset\""], 1.0);
    balancer.expect_metric("plimsoll_attempts_total", &["outcome=\"stale\""], 0.0);
    assert_eq!(backend.requests().len(), 2, "it is not sent twice");
}
