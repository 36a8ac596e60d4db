//! A backend may answer before it has read the whole request; the client gets that answer.

use crate::harness::backend::Backend;
use crate::harness::setup::Setup;

#[test]
fn an_answer_before_the_end_of_the_body_reaches_the_client() {
    let backend = Backend::scripted(|mut wire, _| {
        let Some(_) = wire.head() else { return };
        wire.send("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig");
        wire.finish();
        let _ = wire.read_to_end();
    });
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    let answer = client.answer(false);
    assert_eq!((answer.status(), answer.text()), (413, "big"));
    assert_eq!(answer.head.field("connection"), Some("close"), "the rest of the body is not wanted");
}

#[test]
fn an_answer_reaches_a_client_that_keeps_sending() {
    let backend = Backend::scripted(|mut wire, _| {
        let Some(_) = wire.head() else { return };
        wire.send("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno");
        wire.finish();
        let _ = wire.read_to_end();
    });
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..10 {
        if !client.try_send(format!("3e8\r\n{}\r\n", "a".repeat(1000))) {
            break;
        }
    }
    assert_eq!(client.answer(false).text(), "no");
}

#[test]
fn an_answer_while_the_body_still_flows_does_not_cut_the_body() {
    // A backend that answers at once and reads on is a full-duplex stream, which must not be cut short.
    let backend = Backend::scripted(|mut wire, memory| {
        let Some(head) = wire.head() else { return };
        wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        let body = wire.exactly(6);
        memory.note(crate::harness::wire::Message { head, body, ..Default::default() });
        wire.send("2\r\nok\r\n0\r\n\r\n");
    });
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\none");
    assert_eq!(client.head().map(|head| head.status()), Some(200));
    client.send("two");
    assert_eq!(client.exactly(12), b"2\r\nok\r\n0\r\n\r\n");
    assert_eq!(backend.only_request().text(), "onetwo");
}

#[test]
fn an_answer_of_a_backend_that_closes_on_the_rest_of_the_body_is_not_lost() {
    // It answers, and closes with unread bytes: its kernel resets the connection right behind the answer.
    let backend = Backend::scripted(|mut wire, _| {
        let Some(_) = wire.head() else { return };
        wire.send("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig");
    });
    let balancer = Setup::over([&backend]).start();
    for _ in 0..5 {
        let mut client = balancer.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n");
        for _ in 0..200 {
            if !client.try_send([b'a'; 10_000]) {
                break;
            }
        }
        assert_eq!(client.answer(false).status(), 413);
    }
}
