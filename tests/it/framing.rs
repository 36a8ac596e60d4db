//! What two parsers could read in two ways is refused with the right status, counted, and never forwarded (RFC 9112).

use crate::harness::backend::Backend;
use crate::harness::setup::Setup;

/// A malformed request: what is wrong with it, its bytes, the status, and the reason that is counted.
type Row = (&'static str, &'static str, u16, &'static str);

const LENGTHS: &[Row] = &[
    (
        "length and coding",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "conflicting_length",
    ),
    (
        "coding and length",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        400,
        "conflicting_length",
    ),
    (
        "two lengths",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\naaaaa",
        400,
        "conflicting_length",
    ),
    (
        "a list of lengths",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4, 4\r\n\r\naaaa",
        400,
        "bad_length",
    ),
    (
        "a length with a sign",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\naaaa",
        400,
        "bad_length",
    ),
    ("a negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -4\r\n\r\naaaa", 400, "bad_length"),
    (
        "a hexadecimal length",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x4\r\n\r\naaaa",
        400,
        "bad_length",
    ),
    ("an empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\naaaa", 400, "bad_length"),
    (
        "a length beyond 64 bits",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\naaaa",
        400,
        "bad_length",
    ),
    (
        "chunked twice",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        501,
        "bad_transfer_coding",
    ),
    (
        "chunked not alone",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
        "bad_transfer_coding",
    ),
    (
        "chunked not last",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        501,
        "bad_transfer_coding",
    ),
    (
        "another coding",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        501,
        "bad_transfer_coding",
    ),
    (
        "a vertical tab in the coding",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        400,
        "bad_header",
    ),
];

const LINES: &[Row] = &[
    ("a bare LF", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400, "bad_header"),
    ("bare LF throughout", "GET / HTTP/1.1\nHost: a\n\n", 400, "bad_header"),
    ("a bare CR", "GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n", 400, "bad_header"),
    ("a folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", 400, "bad_header"),
    ("a folded first line", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "bad_header"),
    ("a space before the colon", "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", 400, "bad_header"),
    (
        "a tab before the colon",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length\t: 4\r\n\r\naaaa",
        400,
        "bad_header",
    ),
    ("no colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400, "bad_header"),
    ("no name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400, "bad_header"),
    ("a NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n", 400, "bad_header"),
    ("a control character in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: b\x01c\r\n\r\n", 400, "bad_header"),
    ("a control character in a name", "GET / HTTP/1.1\r\nHost: a\r\nX\x01: b\r\n\r\n", 400, "bad_header"),
    ("a name that is no token", "GET / HTTP/1.1\r\nHost: a\r\nX(y): b\r\n\r\n", 400, "bad_header"),
];

const HEADS: &[Row] = &[
    ("no host", "GET / HTTP/1.1\r\nX: a\r\n\r\n", 400, "bad_host"),
    ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "bad_host"),
    ("a host with user information", "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", 400, "bad_host"),
    ("a host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "bad_host"),
    ("a list of hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, "bad_host"),
    ("a port that is no number", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400, "bad_host"),
    ("no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request_line"),
    ("a relative target", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request_line"),
    ("a target with a fragment", "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request_line"),
    ("a control character in the target", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request_line"),
    ("a target beyond ASCII", "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request_line"),
    ("a method that is no token", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request_line"),
    ("a TLS greeting", "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03\r\n\r\n", 400, "bad_request_line"),
    ("HTTP/2 in clear text", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "bad_version"),
    ("a version of the future", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, "bad_version"),
    ("a proxy's method", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501, "bad_method"),
    (
        "a coding in HTTP/1.0",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "bad_transfer_coding",
    ),
    (
        "an unknown expectation",
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\na",
        417,
        "bad_expectation",
    ),
];

const CHUNKS: &[Row] = &[
    ("a size that is no number", "x\r\na\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("no size", "\r\na\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("a size with a sign", "+1\r\na\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("a negative size", "-1\r\na\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("a size with a prefix", "0x1\r\na\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("a size after a space", " 1\r\na\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("a size before a space", "1 \r\na\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("a size beyond 64 bits", "10000000000000001\r\na\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("a size ended by a bare LF", "1\na\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("an extension ended by a bare LF", "1;a\na\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("a control character in an extension", "1;a\x01\r\na\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("data longer than its size", "1\r\naa\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("data ended by a bare LF", "1\r\na\n0\r\n\r\n", 400, "bad_chunk"),
    ("a trailer with a space before the colon", "1\r\na\r\n0\r\nX : b\r\n\r\n", 400, "bad_chunk"),
    ("a trailer ended by a bare LF", "1\r\na\r\n0\r\nX: b\n\r\n\r\n", 400, "bad_chunk"),
];

#[test]
fn ambiguous_lengths_are_refused() {
    refused(LENGTHS, "");
}

#[test]
fn malformed_lines_are_refused() {
    refused(LINES, "");
}

#[test]
fn malformed_heads_are_refused() {
    refused(HEADS, "");
}

#[test]
fn malformed_chunks_are_refused() {
    refused(CHUNKS, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
}

/// Sends each row after `before`, with a second request behind it that must not be taken for one.
#[track_caller]
fn refused(rows: &[Row], before: &str) {
    let backend = Backend::saying("reached");
    let balancer = Setup::over([&backend]).start();
    let mut wrong = Vec::new();
    for (name, bytes, status, reason) in rows {
        let count = |reason: &str| {
            balancer.metrics().sum("plimsoll_requests_refused_total", &[&format!("reason=\"{reason}\"")])
        };
        let counted = count(reason);
        let mut client = balancer.connect();
        client.send(format!("{before}{bytes}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"));
        let answer = client.answer(false);
        let closed = answer.head.field("connection") == Some("close") && client.read_to_end().is_empty();
        if answer.status() != *status || !closed {
            wrong.push(format!(
                "{name}: {} (closed: {closed}) {:?}, not {status}",
                answer.status(),
                answer.text()
            ));
        }
        if count(reason) <= counted {
            wrong.push(format!("{name}: not counted as {reason}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    let reached = backend.requests();
    assert!(reached.is_empty(), "nothing whole reaches the backend: {reached:?}");
}

#[test]
fn what_is_over_a_limit_is_refused_with_its_own_status() {
    let backend = Backend::saying("reached");
    let balancer = Setup::over([&backend])
        .listener("limits: { head: 2KiB, headers: 10, target: 1KiB, body: 1KiB }")
        .start();
    let long = |count: usize| "a".repeat(count);
    let many: String = (0..10).map(|index| format!("x-{index}: a\r\n")).collect();
    let rows = [
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", long(1100)), 414, "target_too_long"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", long(2048)), 431, "head_too_large"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431, "head_too_large"),
        (
            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n{}", long(1025)),
            413,
            "body_too_large",
        ),
        (
            format!(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n401\r\n{}\r\n0\r\n\r\n",
                long(1025)
            ),
            413,
            "body_too_large",
        ),
    ];
    for (request, status, reason) in rows {
        let answer = balancer.ask(&request);
        assert_eq!(answer.status(), status, "{reason}: {}", answer.text());
        assert!(
            balancer.metrics().sum("plimsoll_requests_refused_total", &[&format!("reason=\"{reason}\"")])
                >= 1.0
        );
    }
    assert!(backend.requests().is_empty(), "nothing whole reaches the backend");
    assert_eq!(balancer.get("/").text(), "reached", "the next client is served");
}

#[test]
fn what_is_exactly_at_a_limit_is_served() {
    let backend = Backend::saying("reached");
    let balancer = Setup::over([&backend]).listener("limits: { headers: 3, target: 64B, body: 8B }").start();
    let target = format!("/{}", "a".repeat(63));
    let request = format!(
        "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\nConnection: close\r\n\r\n12345678"
    );
    assert_eq!(balancer.ask(request).text(), "reached");
}

#[test]
fn a_refusal_says_why() {
    let backend = Backend::saying("reached");
    let balancer = Setup::over([&backend]).start();
    let answer = balancer.ask("GET / HTTP/1.1\r\n\r\n");
    assert!(answer.text().contains("host"), "{:?}", answer.text());
    assert_eq!(answer.head.field("content-type"), Some("text/plain; charset=utf-8"));
}

#[test]
fn empty_lines_before_a_request_are_skipped() {
    let backend = Backend::saying("reached");
    let balancer = Setup::over([&backend]).start();
    assert_eq!(
        balancer.ask("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").text(),
        "reached"
    );
}

#[test]
fn endless_chunk_extensions_are_refused() {
    let backend = Backend::saying("reached");
    let balancer = Setup::over([&backend]).start();
    let mut client = balancer.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("1;{}\r\na\r\n", "x".repeat(1000));
    for _ in 0..100 {
        if !client.try_send(&chunk) {
            break;
        }
    }
    assert_eq!(client.answer(false).status(), 400);
    assert!(backend.requests().is_empty(), "nothing whole reaches the backend");
}

#[test]
fn no_sample_of_the_fuzz_target_disturbs_the_next_client() {
    let backend = Backend::saying("reached");
    let balancer =
        Setup::over([&backend]).listener("timeouts: { head: 200ms, body: 200ms, idle: 200ms }").start();
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/http1");
    let samples: Vec<_> = std::fs::read_dir(samples).expect("the samples are there").flatten().collect();
    assert!(samples.len() > 10, "there are samples");
    std::thread::scope(|scope| {
        for sample in &samples {
            scope.spawn(|| {
                let bytes = std::fs::read(sample.path()).expect("a sample can be read");
                for end in [bytes.len(), bytes.len() / 2, bytes.len().saturating_sub(1)] {
                    let mut client = balancer.connect();
                    client.send(&bytes[..end]);
                    let _ = client.read_to_end();
                }
            });
        }
    });
    assert_eq!(balancer.get("/").text(), "reached");
    balancer.expect_metric("plimsoll_listener_active_connections", &[], 0.0);
    balancer.expect_metric("plimsoll_backend_inflight_requests", &[], 0.0);
}

#[test]
fn an_empty_line_behind_a_body_is_no_request() {
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
    for sent_apart in [false, true] {
        let backend = Backend::saying("reached");
        let balancer = Setup::over([&backend]).start();
        let mut client = balancer.connect();
        for _ in 0..2 {
            if sent_apart {
                assert_eq!(client.exchange(post).text(), "reached");
                client.send("\r\n");
            } else {
                assert_eq!(client.exchange(format!("{post}\r\n")).text(), "reached");
            }
        }
        client.finish();
        client.expect_end();
        balancer.expect_metric("plimsoll_listener_active_connections", &[], 0.0);
        assert!(balancer.metrics().sum("plimsoll_requests_refused_total", &[]) < 0.5);
        assert!(balancer.metrics().sum("plimsoll_client_aborts_total", &[]) < 0.5);
        balancer.expect_metric("plimsoll_requests_total", &[], 2.0);
    }
}
