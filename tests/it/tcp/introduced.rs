//! The PROXY protocol: who the client is, heard from a proxy in front and told to backends.

use super::{over, witness};
use crate::harness::backend::Backend;
use crate::harness::eventually;
use crate::harness::setup::Setup;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2 from 192.0.2.7:4711 to 198.51.100.1:443, with a field that nobody knows.
fn v2() -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 0x01, 0xbb];
    [SIGNATURE, &[0x21, 0x11, 0, 16], &addresses, &[0xe0, 0, 1, b'?']].concat()
}

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n";

#[test]
fn backends_are_told_who_the_client_is() {
    let backend = witness();
    for (version, prefix) in [("v1", b"PROXY TCP4 127.0.0.1 127.0.0.1 ".as_slice()), ("v2", SIGNATURE)] {
        let balancer = over([&backend]).upstream(&format!("proxy_protocol: {version}")).start();
        let mut client = balancer.connect();
        client.send("payload");
        client.finish();
        let seen = client.read_to_end();
        assert!(seen.starts_with(prefix), "{:?}", String::from_utf8_lossy(&seen));
        assert!(seen.ends_with(b"payload"));
        if version == "v1" {
            let text = String::from_utf8_lossy(&seen);
            let port = format!(" {}\r\npayload", balancer.address.port());
            assert!(text.ends_with(&port), "{text}");
        } else {
            assert_eq!(&seen[12..16], [0x21, 0x11, 0, 12]);
            assert_eq!(seen.len(), 16 + 12 + "payload".len());
        }
    }
}

#[test]
fn whom_a_proxy_in_front_names_is_passed_on() {
    let backend = witness();
    for header in [V1.to_vec(), v2()] {
        let balancer =
            over([&backend]).listener("proxy_protocol: accept").upstream("proxy_protocol: v1").start();
        let mut client = balancer.connect();
        // In parts, as a network may cut it.
        let (one, two) = header.split_at(9);
        client.send(one);
        crate::harness::pause(std::time::Duration::from_millis(20));
        client.send(two);
        client.send("payload");
        client.finish();
        assert_eq!(client.read_to_end(), [V1, b"payload"].concat());
    }
}

#[test]
fn a_proxy_that_speaks_for_itself_is_the_client() {
    let backend = witness();
    let balancer = over([&backend]).listener("proxy_protocol: accept").start();
    for header in [b"PROXY UNKNOWN whatever\r\n".to_vec(), [SIGNATURE, &[0x20, 0, 0, 0]].concat()] {
        let mut client = balancer.connect();
        client.send([&header[..], b"payload"].concat());
        client.finish();
        assert_eq!(client.read_to_end(), b"payload", "the header itself goes no further");
    }
}

#[test]
fn without_a_valid_header_nothing_goes_further() {
    let backend = witness();
    let balancer =
        over([&backend]).listener("proxy_protocol: accept").listener("timeouts: {head: 500ms}").start();
    let garbage: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 04711 443\r\n",
        b"PROXY TCP4 ::1 198.51.100.1 4711 443\r\n",
        b"PROXY UDP4 192.0.2.7 198.51.100.1 4711 443\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x0c",
        &[b'P'; 200],
    ];
    for header in garbage {
        let mut client = balancer.connect();
        client.send(header);
        client.expect_end();
    }
    let refused = |reason: &str, count| {
        let reason = format!("reason=\"{reason}\"");
        balancer.expect_metric("plimsoll_requests_refused_total", &[&reason], count);
    };
    refused("bad_proxy_header", garbage.len() as f64);
    // A drip wins no time.
    let mut slow = balancer.connect();
    let mut sent = V1.iter();
    eventually("the connection is closed", || {
        let taken = sent.next().is_none_or(|byte| slow.try_send([*byte]));
        crate::harness::pause(std::time::Duration::from_millis(50));
        !taken
            || balancer.metrics().sum("plimsoll_requests_refused_total", &["reason=\"head_timeout\""]) == 1.0
    });
    refused("head_timeout", 1.0);
    let mut early = balancer.connect();
    early.send(&V1[..20]);
    early.finish();
    early.expect_end();
    refused("incomplete", 1.0);
    assert_eq!(backend.connections(), 0);
}

#[test]
fn a_header_counts_only_from_sources_that_are_trusted() {
    let backend = witness();
    for (trust, expected) in [("127.0.0.0/8", &b"payload"[..]), ("192.0.2.0/24", b"")] {
        let balancer = over([&backend])
            .listener("proxy_protocol: accept")
            .listener(&format!("forwarded: {{trust: [{trust}]}}"))
            .start();
        let mut client = balancer.connect();
        client.send([V1, b"payload"].concat());
        client.finish();
        assert_eq!(client.read_to_end(), expected, "{trust}");
    }
}

#[test]
fn requests_come_from_whom_the_header_names() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).listener("proxy_protocol: accept").start();
    let mut client = balancer.connect();
    let get = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    assert_eq!(client.exchange([V1, get].concat()).status(), 200);
    assert_eq!(client.exchange(get).status(), 200, "one header for a connection");
    for request in backend.requests() {
        assert_eq!(request.head.field("x-forwarded-for"), Some("192.0.2.7"));
    }
    let mut bare = balancer.connect();
    bare.send(get);
    bare.expect_end();
    balancer.expect_metric("plimsoll_requests_refused_total", &["reason=\"bad_proxy_header\""], 1.0);
}

#[test]
fn whom_a_proxy_does_not_name_is_not_believed_about_others() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend])
        .listener("proxy_protocol: accept")
        .listener("forwarded: {trust: [127.0.0.1]}")
        .top("routes: [{name: inside, match: {source: 10.0.0.0/8}, respond: 403}, {name: rest, upstream: app}]")
        .start();
    let get = b"GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 10.0.0.1\r\n\r\n";
    let unix = [SIGNATURE, &[0x21, 0x31, 0, 216], &[0; 216]].concat();
    let local = [SIGNATURE, &[0x20, 0, 0, 0]].concat();
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), local, unix] {
        let mut client = balancer.connect();
        assert_eq!(client.exchange([&header[..], get].concat()).status(), 200, "{header:?}");
        assert_eq!(client.exchange(get).status(), 200, "nor later on the connection");
    }
    for request in backend.requests() {
        assert_eq!(request.head.field("x-forwarded-for"), Some("127.0.0.1"));
    }
    let trusted = b"PROXY TCP4 127.0.0.1 198.51.100.1 4711 443\r\n".as_slice();
    assert_eq!(balancer.connect().exchange([trusted, get].concat()).status(), 403, "whom it names is");
}

#[test]
fn each_request_to_a_backend_that_is_told_has_a_connection_of_its_own() {
    let backend = Backend::scripted(|mut wire, memory| {
        let line = wire.exactly(6);
        assert_eq!(line, b"PROXY ");
        if let Some(request) = wire.request() {
            memory.note(request);
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
        drop(wire.read_to_end());
    });
    let balancer = Setup::over([&backend]).upstream("proxy_protocol: v1").start();
    let mut client = balancer.connect();
    for _ in 0..3 {
        assert_eq!(client.exchange("GET / HTTP/1.1\r\nhost: a\r\n\r\n").text(), "ok");
    }
    assert_eq!(backend.connections(), 3);
    for request in backend.requests() {
        assert!(request.head.start.starts_with("TCP4 127.0.0.1 127.0.0.1 "), "{}", request.head.start);
    }
}

#[test]
fn checks_say_that_they_come_from_the_balancer_itself() {
    let backend = Backend::scripted(|mut wire, memory| {
        if let Some(request) = wire.request() {
            memory.note(request);
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    let _balancer = over([&backend]).upstream("proxy_protocol: v1").upstream("health: {http: /ping}").start();
    eventually("a check comes", || !backend.requests().is_empty());
    assert_eq!(backend.requests()[0].head.start, "PROXY UNKNOWN");
}
