//! What one check makes of all that a backend may do, against real sockets that follow a script.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::super::HttpCheck;
use super::*;

/// How long a check may take that does not run into its timeout.
const PATIENCE: Duration = Duration::from_secs(10);

fn settings(kind: CheckKind, timeout: Duration) -> CheckSettings {
    CheckSettings { kind, interval: PATIENCE, timeout, jitter: 0.0, proxy_protocol: None }
}

fn http(body: Option<&str>) -> HttpCheck {
    HttpCheck {
        method: "GET".into(),
        path: "/health?deep=1".into(),
        host: None,
        statuses: [200..=299, 304..=304].into(),
        body_contains: body.map(Into::into),
    }
}

/// A backend that reads a head, sends `answer` as often as `times` says, and then closes or stays silent.
struct Script {
    answer: Vec<u8>,
    times: usize,
    closes: bool,
}

impl Script {
    fn answering(answer: impl AsRef<[u8]>) -> Self {
        Self { answer: answer.as_ref().to_vec(), times: 1, closes: true }
    }

    /// Plays to one client; the task returns what the client sent.
    async fn play(self) -> (SocketAddr, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let task = tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.expect("a client");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match client.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            for _ in 0..self.times {
                if client.write_all(&self.answer).await.is_err() {
                    break;
                }
            }
            if !self.closes {
                drop(client.read_to_end(&mut Vec::new()).await);
            }
            String::from_utf8(head).expect("a head is text")
        });
        (address, task)
    }

    async fn checked_for(self, check: HttpCheck, timeout: Duration) -> Outcome {
        let (address, _) = self.play().await;
        check_once(address, &settings(CheckKind::Http(check), timeout)).await
    }

    async fn checked(self) -> Outcome {
        self.checked_for(http(None), PATIENCE).await
    }
}

#[track_caller]
fn assert_outcome(outcome: &Outcome, result: CheckResult, words: &str) {
    assert_eq!((outcome.result, outcome.words.as_str()), (Some(result), words));
}

#[tokio::test]
async fn an_expected_status_passes() {
    for status in ["200 OK", "204 No Content", "299 Odd", "304 Not Modified"] {
        let outcome = Script::answering(format!("HTTP/1.1 {status}\r\n\r\n")).checked().await;
        assert_outcome(&outcome, CheckResult::Pass, &format!("status {}", &status[..3]));
    }
    let old = Script::answering("HTTP/1.0 200 OK\r\n\r\nclosed by its end").checked().await;
    assert_outcome(&old, CheckResult::Pass, "status 200");
    let early = Script::answering("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n").checked().await;
    assert_outcome(&early, CheckResult::Pass, "status 200");
}

#[tokio::test]
async fn another_status_fails_and_says_what_was_expected() {
    for status in [500, 302, 199, 999] {
        let outcome = Script::answering(format!("HTTP/1.1 {status} X\r\n\r\n")).checked().await;
        if status == 199 {
            // Interim: the answer proper never comes.
            assert_eq!(outcome.result, Some(CheckResult::FailProtocol));
        } else {
            let words = format!("status {status}, expected 200-299, 304");
            assert_outcome(&outcome, CheckResult::FailStatus, &words);
        }
    }
}

#[tokio::test]
async fn a_503_that_says_for_how_long_asks_to_drain_unless_it_is_expected() {
    let drains = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n\r\n";
    let outcome = Script::answering(drains).checked().await;
    assert_outcome(&outcome, CheckResult::Drain, "status 503 with Retry-After: it wants to drain");
    let fails = Script::answering("HTTP/1.1 503 Service Unavailable\r\n\r\n").checked().await;
    assert_eq!(fails.result, Some(CheckResult::FailStatus));
    let other = Script::answering("HTTP/1.1 500 Oops\r\nRetry-After: 5\r\n\r\n").checked().await;
    assert_eq!(other.result, Some(CheckResult::FailStatus));
    let expected = HttpCheck { statuses: [200..=599].into(), ..http(None) };
    let outcome = Script::answering(drains).checked_for(expected, PATIENCE).await;
    assert_outcome(&outcome, CheckResult::Pass, "status 503");
}

#[tokio::test]
async fn the_request_is_what_was_configured() {
    let (address, request) = Script::answering("HTTP/1.1 200 OK\r\n\r\n").play().await;
    check_once(address, &settings(CheckKind::Http(http(None)), PATIENCE)).await;
    let request = request.await.expect("the script ends");
    assert!(request.starts_with("GET /health?deep=1 HTTP/1.1\r\n"), "{request}");
    for line in [&*format!("host: {address}"), "user-agent: plimsoll health check", "connection: close"] {
        assert!(request.contains(&format!("{line}\r\n")), "{line} in {request}");
    }

    let (address, request) = Script::answering("HTTP/1.1 200 OK\r\n\r\n").play().await;
    let check = HttpCheck { method: "HEAD".into(), host: Some("example.org".into()), ..http(None) };
    check_once(address, &settings(CheckKind::Http(check), PATIENCE)).await;
    let request = request.await.expect("the script ends");
    assert!(request.starts_with("HEAD ") && request.contains("host: example.org\r\n"), "{request}");
}

#[tokio::test]
async fn the_body_must_contain_the_expected_text() {
    let whole = "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nall is well\n";
    let outcome = Script::answering(whole).checked_for(http(Some("is well")), PATIENCE).await;
    assert_outcome(&outcome, CheckResult::Pass, "status 200, expected text found");
    let outcome = Script::answering(whole).checked_for(http(Some("is lost")), PATIENCE).await;
    assert_outcome(&outcome, CheckResult::FailBody, "status 200, expected text not in 12 bytes");
    let in_parts = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nall is\r\n3\r\n we\r\n2\r\nll\r\n0\r\n\r\n";
    let outcome = Script::answering(in_parts).checked_for(http(Some("is well")), PATIENCE).await;
    assert_eq!(outcome.result, Some(CheckResult::Pass), "{}", outcome.words);
}

#[tokio::test]
async fn an_endless_body_is_searched_in_its_beginning_only() {
    let mut script = Script::answering(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1000)));
    script.times = usize::MAX;
    let outcome = script.checked_for(http(Some("yes")), PATIENCE).await;
    assert_outcome(&outcome, CheckResult::FailBody, "status 200, expected text not in the first 65536 bytes");
}

#[tokio::test]
async fn a_body_that_nobody_asked_for_is_not_waited_for() {
    let mut script = Script::answering("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n");
    script.closes = false;
    assert_eq!(script.checked().await.result, Some(CheckResult::Pass));
}

#[tokio::test]
async fn what_is_no_http_fails_by_protocol() {
    let too_long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(100_000));
    for garbage in
        ["SSH-2.0-OpenSSH_9.7\r\n", "\0\0\0\0", "HTTP/1.1 banana\r\n\r\n", "HTTP/1.1 20", &*too_long, ""]
    {
        let outcome = Script::answering(garbage).checked().await;
        assert_eq!(outcome.result, Some(CheckResult::FailProtocol), "{garbage:.20}: {}", outcome.words);
        assert!(!outcome.words.is_empty());
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_fails_by_protocol() {
    let broken = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nall is";
    let outcome = Script::answering(broken).checked_for(http(Some("is well")), PATIENCE).await;
    assert_eq!(outcome.result, Some(CheckResult::FailProtocol), "{}", outcome.words);
}

#[tokio::test]
async fn an_answer_that_never_comes_or_never_ends_fails_in_time() {
    for silent in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nall is"] {
        let script = Script { closes: false, ..Script::answering(silent) };
        let outcome = script.checked_for(http(Some("is well")), Duration::from_millis(100)).await;
        let words = "connected, but no whole answer within 100ms";
        assert_outcome(&outcome, CheckResult::FailTimeout, words);
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_written_fails_without_a_panic() {
    let check = HttpCheck { path: "/a b\r\nx: y".into(), ..http(None) };
    let outcome = Script::answering("").checked_for(check, PATIENCE).await;
    assert_eq!(outcome.result, Some(CheckResult::FailProtocol));
    assert!(outcome.words.starts_with("request cannot be sent: "), "{}", outcome.words);
}

#[tokio::test]
async fn a_tcp_check_connects_and_closes() {
    let (address, received) = Script::answering("").play().await;
    let outcome = check_once(address, &settings(CheckKind::Tcp, PATIENCE)).await;
    assert_outcome(&outcome, CheckResult::Pass, "connected");
    assert_eq!(received.await.expect("the script ends"), "");
}

#[tokio::test]
async fn a_refused_connection_fails_by_connect_for_both_kinds() {
    for kind in [CheckKind::Tcp, CheckKind::Http(http(None))] {
        // Bound and never listening: nobody else gets the port.
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let address = socket.local_addr().expect("a bound socket has an address");
        let outcome = check_once(address, &settings(kind, PATIENCE)).await;
        assert_outcome(&outcome, CheckResult::FailConnect, "connection refused");
    }
}

#[tokio::test]
async fn a_connect_that_nobody_answers_fails_by_connect_in_time() {
    // With a queue for one connection, and nobody who accepts, the kernel drops further SYNs: a host that is gone.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    socket.listen(0).expect("it listens");
    let address = socket.local_addr().expect("bound").as_socket().expect("IPv4");
    let _fills_the_queue = TcpStream::connect(address).await.expect("the first gets a place");
    let outcome = check_once(address, &settings(CheckKind::Tcp, Duration::from_millis(100))).await;
    assert_outcome(&outcome, CheckResult::FailConnect, "no connection within 100ms");
}

#[test]
fn our_own_shortage_says_nothing_about_a_backend() {
    assert!(is_ours(&Errno::MFILE.into()));
    assert!(!is_ours(&Errno::CONNREFUSED.into()));
    assert!(!is_ours(&Errno::ADDRNOTAVAIL.into()));
    assert!(!is_ours(&io::Error::other("no number")));
}

#[test]
fn errors_become_parts_of_sentences() {
    assert_eq!(in_words(&Errno::HOSTUNREACH.into()), "no route to host");
    assert_eq!(in_words(&io::Error::other("")), "");
}

#[test]
fn a_span_is_shown_in_the_unit_that_fits() {
    let shown = [0, 1, 500, 1000, 1500, 60_000].map(|ms| Span(Duration::from_millis(ms)).to_string());
    assert_eq!(shown, ["0ms", "1ms", "500ms", "1s", "1500ms", "60s"]);
}
