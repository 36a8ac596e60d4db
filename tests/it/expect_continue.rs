//! `Expect: 100-continue`: the client sends its body when somebody wants it (RFC 9110 §10.1.1).

use std::time::Duration;

use crate::harness::backend::Backend;
use crate::harness::setup::Setup;

const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";

#[test]
fn a_client_that_waits_is_told_to_go_on() {
    let backend = Backend::scripted(|mut wire, memory| {
        while let Some(head) = wire.head() {
            if head.field("expect").is_some() {
                wire.send("HTTP/1.1 100 Continue\r\n\r\n");
            }
            let body = wire.exactly(4);
            memory.note(crate::harness::wire::Message { head, body, ..Default::default() });
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send(HEAD);
    assert_eq!(client.head().map(|head| head.status()), Some(100));
    client.send("body");
    assert_eq!(client.answer(false).text(), "ok");
    assert_eq!(backend.only_request().text(), "body");
    // The connection goes on.
    client.send(HEAD);
    assert_eq!(client.head().map(|head| head.status()), Some(100));
    client.send("body");
    assert_eq!(client.answer(false).status(), 200);
}

#[test]
fn a_client_that_does_not_wait_is_served_as_well() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send(format!("{HEAD}body"));
    assert_eq!(client.answer(false).text(), "ok");
    assert_eq!(backend.only_request().text(), "body");
}

#[test]
fn a_final_answer_instead_spares_the_body() {
    let backend = Backend::scripted(|mut wire, _| {
        let Some(_) = wire.head() else { return };
        wire.send("HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno");
        let _ = wire.read_to_end();
    });
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send(HEAD);
    let answer = client.answer(false);
    assert_eq!((answer.status(), answer.text()), (401, "no"));
    assert_eq!(
        answer.head.field("connection"),
        Some("close"),
        "what follows could be the body or another request"
    );
}

#[test]
fn a_backend_that_ignores_the_expectation_does_not_leave_the_client_waiting() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send(HEAD);
    // A client waits for a second or so, then sends the body anyhow.
    crate::harness::pause(Duration::from_millis(100));
    client.send("body");
    assert_eq!(client.answer(false).text(), "ok");
}
