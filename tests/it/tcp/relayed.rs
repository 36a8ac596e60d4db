//! What goes in at one side comes out at the other, in order and to the end.

use std::thread;

use super::{at, echo, over};
use crate::harness::backend::Backend;

#[test]
fn connections_are_given_out_by_turns() {
    let backends = [echo("one"), echo("two")];
    let balancer = over(&backends).start();
    let greetings: Vec<_> = (0..6)
        .map(|_| {
            let mut client = balancer.connect();
            client.finish();
            String::from_utf8(client.read_to_end()).unwrap_or_default()
        })
        .collect();
    let expected = ["oneend", "twoend"].map(str::to_owned);
    let turns: Vec<_> = expected.iter().cycle().take(6).cloned().collect();
    let swapped: Vec<_> = expected.iter().rev().cycle().take(6).cloned().collect();
    assert!(greetings == turns || greetings == swapped, "{greetings:?}");
    for backend in ["backend=\"backend-1\"", "backend=\"backend-2\""] {
        balancer.expect_metric("plimsoll_tcp_connections_total", &[backend, "outcome=\"ok\""], 3.0);
        balancer.expect_metric("plimsoll_attempts_total", &[backend, "outcome=\"ok\""], 3.0);
        balancer.expect_metric("plimsoll_tcp_connection_duration_seconds_count", &[backend], 3.0);
    }
    assert_eq!(balancer.metrics().sum("plimsoll_requests_total", &[]), 0.0, "nobody asked for anything");
}

#[test]
fn each_side_may_end_its_stream_and_hear_the_other_out() {
    let backends = [echo("hello")];
    let balancer = over(&backends).start();
    let mut client = balancer.connect();
    assert_eq!(client.exactly(5), b"hello", "a server may speak first");
    client.send("GET / HTTP/1.1\r\n\r\n\0\u{1}");
    assert_eq!(client.exactly(20), b"GET / HTTP/1.1\r\n\r\n\0\x01");
    client.finish();
    assert_eq!(client.read_to_end(), b"end");

    let backend = Backend::scripted(|mut wire, _| {
        wire.finish();
        let heard = wire.read_to_end();
        assert_eq!(heard.len(), 300_000);
    });
    let balancer = over([&backend]).start();
    let mut client = balancer.connect();
    client.expect_end();
    client.send(vec![7; 300_000]);
    client.finish();
    balancer.expect_metric("plimsoll_tcp_connections_total", &["outcome=\"ok\""], 1.0);
    balancer.expect_metric("plimsoll_backend_sent_bytes_total", &[], 300_000.0);
}

/// Bytes in which one that is missing, doubled or moved would show.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).flat_map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()).take(len).collect()
}

#[test]
fn much_in_both_directions_at_once_arrives_whole() {
    const LEN: usize = 4 * 1024 * 1024 + 17;
    let backend = Backend::scripted(|wire, _| {
        let mut wire = wire;
        // Back and forth in parts of many sizes, so that little and much follow each other.
        let mut sizes = [1, 700, 64 * 1024, 3, 300 * 1024].into_iter().cycle();
        loop {
            let bytes = wire.some();
            if bytes.is_empty() {
                break;
            }
            for part in bytes.chunks(sizes.next().unwrap_or(1).max(256)) {
                wire.send(part);
            }
        }
    });
    let balancer = over([&backend]).start();
    let sent = pattern(LEN);
    let stream = std::net::TcpStream::connect(balancer.address).expect("it listens");
    let mut reading = crate::harness::wire::Wire::new(stream.try_clone().expect("a socket can be shared"));
    let mut writing = crate::harness::wire::Wire::new(stream);
    let sending = {
        let sent = sent.clone();
        thread::spawn(move || {
            let mut rest = &sent[..];
            for size in [1, 10, 100_000, 5, 1_000_000, 64].into_iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (part, after) = rest.split_at(size.min(rest.len()));
                writing.send(part);
                rest = after;
            }
            writing.finish();
        })
    };
    let got = reading.read_to_end();
    sending.join().expect("it ends");
    assert!(got == sent, "{} of {LEN} bytes come back as they were", got.len());
    balancer.expect_metric("plimsoll_backend_sent_bytes_total", &[], LEN as f64);
    balancer.expect_metric("plimsoll_backend_received_bytes_total", &[], LEN as f64);
    balancer.expect_metric("plimsoll_listener_received_bytes_total", &[], LEN as f64);
    balancer.expect_metric("plimsoll_listener_sent_bytes_total", &[], LEN as f64);
}

#[test]
fn bytes_are_counted_while_the_connection_lasts() {
    let backends = [echo("hello")];
    let balancer = over(&backends).start();
    let mut client = balancer.connect();
    assert_eq!(client.exactly(5), b"hello");
    balancer.expect_metric("plimsoll_backend_received_bytes_total", &[], 5.0);
    balancer.expect_metric("plimsoll_backend_inflight_requests", &[], 1.0);
    assert_eq!(balancer.metrics().sum("plimsoll_tcp_connections_total", &[]), 0.0, "it has not ended");
}

#[test]
fn weights_and_the_source_decide_as_they_do_for_requests() {
    let backends = [echo("a"), echo("b"), echo("c")];
    let balancer =
        over(&backends).upstream("balance: {consistent_hash: {key: source, load_bound: unlimited}}").start();
    let greeting = || {
        let mut client = balancer.connect();
        client.exactly(1)
    };
    let first = greeting();
    assert!((0..5).all(|_| greeting() == first), "one client, one backend");

    let least = over(&backends).upstream("balance: least_requests").start();
    let mut held: Vec<_> = (0..9).map(|_| least.connect()).collect();
    held.iter_mut().for_each(|client| drop(client.exactly(1)));
    for backend in ["backend-1", "backend-2", "backend-3"] {
        let label = format!("backend=\"{backend}\"");
        let busy = least.metrics().sum("plimsoll_backend_inflight_requests", &[&label]);
        assert!((2.0..=4.0).contains(&busy), "{backend} has {busy} of nine connections");
    }
    let nobody = at([Backend::nobody()]).upstream("retries: {on: []}").start();
    nobody.connect().expect_end();
}
