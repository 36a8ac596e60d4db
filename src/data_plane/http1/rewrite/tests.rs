//! Promises of the rewritten heads: what is copied, what is dropped, what is told about the client and who is believed.

use super::super::head::field_slots;
use super::super::request::Limits;
use super::*;

const LIMITS: Limits = Limits { head: 4096, fields: 64, target: 1024, body: u64::MAX };

fn policy() -> ForwardPolicy {
    let localhost = Network { address: IpAddr::from([127, 0, 0, 0]), prefix: 8 };
    ForwardPolicy { trust: vec![localhost], x_forwarded: true, via: true, ..ForwardPolicy::default() }
}

fn rewritten(input: &str, policy: &ForwardPolicy, client: [u8; 4], id: Option<u64>) -> String {
    let mut slots = field_slots();
    let head =
        RequestHead::parse(input.as_bytes(), &mut slots, &LIMITS).expect("well-formed").expect("complete");
    let client = ClientLines::new(policy, IpAddr::from(client), ([127, 0, 0, 1], 8080).into());
    let mut out = Vec::new();
    let onward = Onward { client: &client, host: None, request_id: id, trace: None, rules: None };
    assert_eq!(request(&head, &onward, &mut out), None);
    String::from_utf8(out).expect("ascii")
}

/// What a backend is told of a trace, of all that a client says of one.
fn told(lines: &str, trace: Option<TraceContext>) -> String {
    let input = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}X: y\r\n\r\n");
    let mut slots = field_slots();
    let head =
        RequestHead::parse(input.as_bytes(), &mut slots, &LIMITS).expect("well-formed").expect("complete");
    let client = ClientLines::new(
        &ForwardPolicy::default(),
        IpAddr::from([10, 0, 0, 1]),
        ([127, 0, 0, 1], 8080).into(),
    );
    let mut out = b"before".to_vec();
    let parent_at = request(
        &head,
        &Onward { client: &client, host: None, request_id: None, trace, rules: None },
        &mut out,
    );
    let parent = parent_at.map(|at| String::from_utf8_lossy(&out[at..at + 16]).into_owned());
    assert_eq!(parent, trace.map(|trace| format!("{:016x}", trace.span_of_try(1))));
    let text = String::from_utf8(out).expect("ascii");
    let rest = text.strip_prefix("beforeGET / HTTP/1.1\r\nHost: a\r\n").expect("the rest stays");
    rest.replace("X: y\r\n", "").strip_suffix("\r\n").expect("the head has an end").to_owned()
}

#[test]
fn what_a_client_says_of_a_trace_goes_on_or_ends_as_the_specification_says() {
    let brought = "Traceparent: 00-x-y-01\r\nTraceState: a=b\r\nTRACEPARENT: z\r\ntracestate: c=d\r\n";
    assert_eq!(told(brought, None), brought, "without traces nothing is touched");
    let begun = TraceContext { trace: 0xab, parent: 0, span: 1, chosen: true };
    let parent = format!("{:016x}", begun.span_of_try(1));
    let line = format!("traceparent: 00-000000000000000000000000000000ab-{parent}-01\r\n");
    assert_eq!(told(brought, Some(begun)), line, "vendors' words on another trace go no further");
    assert_eq!(told("", Some(begun)), line);
    let continued = TraceContext { parent: 9, chosen: false, ..begun };
    let line = line.replace("-01\r", "-00\r");
    assert_eq!(told(brought, Some(continued)), format!("TraceState: a=b\r\ntracestate: c=d\r\n{line}"));
}

proptest::proptest! {
    #[test]
    fn an_id_is_written_as_its_hexadecimal_digits(id: u64) {
        let text = hexadecimal(id);
        proptest::prop_assert_eq!(String::from_utf8_lossy(&text), format!("{id:016x}"));
    }
}

#[test]
fn lines_are_copied_as_they_came_and_the_client_is_named() {
    let out = rewritten(
        "GET /x HTTP/1.1\r\nHOST:  a\r\nConnection: keep-alive\r\nAccept:*/*\r\n\r\n",
        &policy(),
        [10, 0, 0, 1],
        Some(0xab),
    );
    assert_eq!(
        out,
        "GET /x HTTP/1.1\r\nHOST:  a\r\nAccept:*/*\r\nvia: 1.1 plimsoll\r\nx-forwarded-proto: http\r\n\
         x-forwarded-for: 10.0.0.1\r\nx-forwarded-host: a\r\nx-request-id: 00000000000000ab\r\n\r\n"
    );
}

#[test]
fn the_expectation_of_an_old_client_goes_no_further() {
    let out = rewritten("GET / HTTP/1.0\r\nExpect: 1\r\nX: y\r\n\r\n", &policy(), [10, 0, 0, 1], None);
    assert!(!out.contains("Expect") && out.contains("X: y\r\n"), "{out}");
}

#[test]
fn what_a_stranger_says_about_himself_is_dropped() {
    let out = rewritten(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\n\
         X-Forwarded-Proto: https\r\nX-Request-Id: mine\r\n\r\n",
        &policy(),
        [10, 0, 0, 1],
        Some(1),
    );
    assert!(!out.contains("1.1.1.1") && !out.contains("https") && !out.contains("mine"), "{out}");
}

#[test]
fn what_a_trusted_proxy_says_is_continued() {
    let out = rewritten(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n\
         X-Forwarded-Proto: https\r\nX-Request-Id: theirs\r\n\r\n",
        &policy(),
        [127, 0, 0, 1],
        None,
    );
    assert!(out.contains("x-forwarded-for: 1.1.1.1, 2.2.2.2, 127.0.0.1\r\n"), "{out}");
    assert!(out.contains("X-Forwarded-Proto: https\r\n") && !out.contains("proto: http\r\n"), "{out}");
    assert!(out.contains("X-Request-Id: theirs\r\n"), "{out}");
}

#[test]
fn no_entry_is_added_for_an_excepted_client() {
    let except = Network { address: IpAddr::from([127, 0, 0, 0]), prefix: 8 };
    let policy = ForwardPolicy { except: vec![except], trust: Vec::new(), forwarded: true, ..policy() };
    let out = rewritten(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n",
        &policy,
        [127, 1, 2, 3],
        None,
    );
    assert!(out.contains("X-Forwarded-For: 1.1.1.1\r\n") && !out.contains("127.1.2.3"), "{out}");
}

#[test]
fn the_standard_header_is_written_when_asked_for() {
    let policy = ForwardPolicy { forwarded: true, ..policy() };
    let out = rewritten(
        "GET / HTTP/1.1\r\nHost: a:80\r\nForwarded: for=1.1.1.1\r\n\r\n",
        &policy,
        [127, 0, 0, 1],
        None,
    );
    assert!(out.contains("forwarded: for=1.1.1.1, for=127.0.0.1;proto=http;host=\"a:80\"\r\n"), "{out}");
}

#[test]
fn the_host_of_an_absolute_target_replaces_the_header() {
    let out = rewritten("GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", &policy(), [10, 0, 0, 1], None);
    assert!(out.starts_with("GET /x HTTP/1.1\r\nhost: b\r\n") && !out.contains("Host: a"), "{out}");
}

#[test]
fn a_chunked_body_is_announced_again_and_an_upgrade_too() {
    let out = rewritten(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        &policy(),
        [10, 0, 0, 1],
        None,
    );
    assert!(out.ends_with("transfer-encoding: chunked\r\n\r\n"), "{out}");
    let out = rewritten(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        &policy(),
        [10, 0, 0, 1],
        None,
    );
    assert!(out.ends_with("connection: upgrade\r\nupgrade: websocket\r\n\r\n"), "{out}");
}

#[test]
fn networks_compare_their_leading_bits() {
    let network = |address: [u8; 4], prefix| Network { address: IpAddr::from(address), prefix };
    assert!(network([10, 0, 0, 0], 8).contains(IpAddr::from([10, 255, 0, 1])));
    assert!(!network([10, 0, 0, 0], 8).contains(IpAddr::from([11, 0, 0, 1])));
    assert!(network([0, 0, 0, 0], 0).contains(IpAddr::from([11, 0, 0, 1])));
    assert!(network([127, 0, 0, 1], 32).contains("::ffff:127.0.0.1".parse().expect("an address")));
    assert!(!network([0, 0, 0, 0], 0).contains("::1".parse().expect("an address")));
    assert_eq!(network([10, 0, 0, 0], 8).to_string(), "10.0.0.0/8");
    assert_eq!(network([10, 0, 0, 1], 32).to_string(), "10.0.0.1");
}

#[test]
fn a_response_loses_its_hop_and_gains_what_the_client_must_know() {
    let input = b"HTTP/1.0 404 Nope\r\nServer: x\r\nConnection: close\r\nKeep-Alive: y\r\nDate: z\r\n\r\n";
    let mut slots = field_slots();
    let head = ResponseHead::parse(input, &mut slots, 1024).expect("well-formed").expect("complete");
    let mut out = Vec::new();
    let extra = b"x-plimsoll-backend: backend-1\r\n";
    response(&head, &Back { close: true, chunked: true, extra, ..Back::default() }, &mut out);
    assert_eq!(
        String::from_utf8_lossy(&out),
        "HTTP/1.1 404 Nope\r\nServer: x\r\nDate: z\r\nx-plimsoll-backend: backend-1\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
}
