//! What a backend does to a connection that waits in the pool meets no request: neither its end nor an answer to nobody.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use crate::harness::PATIENCE;
use crate::harness::backend::Backend;
use crate::harness::setup::Setup;
use crate::harness::wire::Wire;

const OWN: &str = "routes:
  - { name: own, match: { path: /own }, respond: { status: 200, body: own } }
  - { name: app, match: { path: / }, upstream: app }";

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A backend that, after each answer, waits to be told, and then does `then` with the idle connection until that
/// returns false. It reports whether a request had come by the time that it was done.
fn told(then: impl Fn(&mut Wire) -> bool + Send + Sync + 'static) -> (Backend, Sender<()>, Receiver<bool>) {
    let (tell, told) = channel::<()>();
    let (did, done) = channel();
    let told = Mutex::new(told);
    let backend = Backend::scripted(move |mut wire, memory| {
        while let Some(request) = wire.request() {
            memory.note(request);
            wire.send(OK);
            if told.lock().unwrap_or_else(PoisonError::into_inner).recv().is_err() {
                return;
            }
            let goes_on = then(&mut wire);
            let _ = did.send(wire.has_input());
            if !goes_on {
                return;
            }
        }
    });
    (backend, tell, done)
}

/// A backend that ends the connection when it is told to.
fn ending() -> (Backend, Sender<()>, Receiver<bool>) {
    told(|wire| {
        wire.finish_heard();
        false
    })
}

#[test]
fn an_answer_to_nobody_never_reaches_the_next_client() {
    let (backend, tell, done) = told(|wire| {
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstray");
        true
    });
    let balancer = Setup::over([&backend]).top(OWN).start();
    assert_eq!(balancer.get("/").text(), "ok");
    // A client that is answered many times in one go spends what its task may do before others have their turn: the
    // runtime then says that nothing has come, whatever has.
    let ahead = [0, 1, 61, 62, 63, 64].into_iter().chain(120..=130);
    for (round, count) in ahead.enumerate() {
        tell.send(()).expect("the backend waits");
        done.recv_timeout(PATIENCE).expect("the backend sends its stray answer");
        let mut client = balancer.connect();
        let own = "GET /own HTTP/1.1\r\nHost: a\r\n\r\n".repeat(count);
        client.send(own + "GET /app HTTP/1.1\r\nHost: a\r\n\r\n");
        for _ in 0..count {
            assert_eq!(client.answer(false).text(), "own");
        }
        assert_eq!(client.answer(false).text(), "ok", "behind {count} answers of our own");
        assert_eq!(
            backend.connections(),
            round + 2,
            "the connection with the stray answer is not used again"
        );
    }
}

#[test]
fn a_request_that_cannot_be_repeated_does_not_meet_a_connection_that_has_ended() {
    let (backend, tell, done) = ending();
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    for round in 0..20 {
        let post = format!("POST /{round} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
        assert_eq!(client.exchange(post).text(), "ok", "in round {round}");
        tell.send(()).expect("the backend waits");
        done.recv_timeout(PATIENCE).expect("the backend closes");
    }
    assert_eq!(backend.requests().len(), 20, "each is received once");
}

#[test]
fn an_end_that_came_while_the_client_was_served_is_seen_as_well() {
    let (backend, tell, done) = ending();
    let balancer = Setup::over([&backend]).top(OWN).start();
    let post = "POST /app HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
    let own = "GET /own HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
    let end = || {
        tell.send(()).expect("the backend waits");
        done.recv_timeout(PATIENCE).expect("the backend closes")
    };
    let mut in_time = 0;
    // On a busy machine the second request is sometimes faster than the end: such a round says nothing.
    for _ in 0..200 {
        let mut client = balancer.connect();
        client.send([post, &own, post].concat());
        assert_eq!(client.answer(false).text(), "ok");
        // The worker is busy with the requests in between: its runtime does not look at the other connection.
        let too_late = end();
        for _ in 0..100 {
            assert_eq!(client.answer(false).text(), "own");
        }
        let status = client.answer(false).status();
        assert!(too_late || status == 200, "the end came before the request, which was answered {status}");
        if status == 200 {
            end();
        }
        in_time += usize::from(!too_late);
        if in_time == 3 {
            return;
        }
    }
    assert!(in_time > 0, "the end never came in time");
}
