//! Answers that have no body, whatever their fields say: to HEAD, 204, 304, and informational ones.

use crate::harness::backend::Backend;
use crate::harness::setup::Setup;

/// Gives `first`, then 200 with the body `next` on the same connection.
#[track_caller]
fn followed_by_another(request: &str, first: &'static str) -> crate::harness::wire::Message {
    let backend = Backend::answering(move |request| match request.head.target() {
        "/next" => b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnext".to_vec(),
        _ => first.as_bytes().to_vec(),
    });
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    let answer = client.exchange(request);
    assert!(answer.body.is_empty());
    let next = client.exchange("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(next.text(), "next", "no byte of a body is taken for the next answer");
    assert_eq!(backend.connections(), 1, "the backend's connection is in order");
    answer
}

#[test]
fn an_answer_to_head_keeps_its_length_and_has_no_body() {
    let answer = followed_by_another(
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
    );
    assert_eq!(answer.head.field("content-length"), Some("1000"));
}

#[test]
fn an_answer_to_head_may_announce_chunks() {
    let answer = followed_by_another(
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    assert_eq!(answer.head.field("transfer-encoding"), Some("chunked"), "as a GET would have it");
}

#[test]
fn an_answer_that_can_have_no_body_announces_no_chunks() {
    for first in [
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        for method in ["GET", "HEAD"] {
            let answer = followed_by_another(&format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"), first);
            assert_eq!(answer.head.field("transfer-encoding"), None, "{method}: {first:?}");
        }
    }
}

#[test]
fn an_answer_without_content_has_no_body() {
    let answer =
        followed_by_another("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(answer.status(), 204);
}

#[test]
fn an_answer_that_nothing_was_modified_keeps_its_length_and_has_no_body() {
    let answer = followed_by_another(
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: \"a\"\r\n\r\n",
    );
    assert_eq!((answer.status(), answer.head.field("etag")), (304, Some("\"a\"")));
}

#[test]
fn informational_answers_come_before_the_final_one() {
    let backend = Backend::answering(|_| {
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
            .to_vec()
    });
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let early = client.head().expect("an informational answer");
    assert_eq!((early.status(), early.field("link")), (103, Some("</a>")));
    assert_eq!(client.answer(false).text(), "ok");
    balancer.expect_metric("plimsoll_requests_total", &["upstream=\"app\""], 1.0);
}
