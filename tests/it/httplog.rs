//! The format `httplog`, held against HAProxy: the same requests through both, and both logs read by one parser.
//!
//! What may differ is what the format's documentation says.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;

use regex::Regex;

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::program::Program;
use crate::harness::wire::Wire;
use crate::harness::{PATIENCE, eventually, eventually_ok, free_address};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A line of `option httplog`, as whoever reads HAProxy's logs reads it.
#[derive(Debug)]
struct Line {
    listener: String,
    upstream: String,
    backend: String,
    /// TR, Tw, Tc, Tr, Ta.
    timers: Vec<i64>,
    status: i64,
    bytes: u64,
    state: String,
    /// Of the upstream, of the backend, retries, of the queue of the backend, of the upstream's.
    counts: Vec<u64>,
    captured: Vec<String>,
    request: String,
}

impl Line {
    #[track_caller]
    fn parse(text: &str) -> Self {
        let pattern = concat!(
            r"^127\.0\.0\.1:\d+ \[\d\d/[A-Z][a-z]{2}/20\d\d:\d\d:\d\d:\d\d\.\d{3}\] (\S+) (\S+)/(\S+) ",
            r"(-?\d+)/(-?\d+)/(-?\d+)/(-?\d+)/(\d+) (-?\d+) (\d+) - - ([-A-Za-z]{4}) ",
            r#"\d+/\d+/(\d+)/(\d+)/\+?(\d+) (\d+)/(\d+)(?: \{([^{} ]*)\})? "([^"]*)"$"#,
        );
        let line = Regex::new(pattern).expect("invariant: a constant pattern");
        let found = line.captures(text).ok_or(text).expect("a line has the form of httplog");
        let get = |nth: usize| found.get(nth).map_or("", |part| part.as_str());
        let number = |nth: usize| get(nth).parse::<i64>().expect("digits are a number");
        let count = |nth: usize| get(nth).parse::<u64>().expect("digits are a number");
        Self {
            listener: get(1).to_owned(),
            upstream: get(2).to_owned(),
            backend: get(3).to_owned(),
            timers: (4..=8).map(number).collect(),
            status: number(9),
            bytes: count(10),
            state: get(11).to_owned(),
            counts: (12..=16).map(count).collect(),
            captured: get(17).split('|').map(str::to_owned).collect(),
            request: get(18).to_owned(),
        }
    }

    /// Which stages were reached.
    fn reached(&self) -> Vec<bool> {
        self.timers.iter().map(|timer| *timer >= 0).collect()
    }
}

/// Backends that answer, refuse, or say nothing.
struct Backends {
    well: Backend,
    refuses: SocketAddr,
    silent: Backend,
}

impl Backends {
    fn start() -> Self {
        let silent = Backend::scripted(|mut wire, memory| {
            while let Some(request) = wire.request() {
                memory.note(request);
            }
        });
        Self { well: Backend::saying("hello"), refuses: Backend::nobody(), silent }
    }

    fn haproxy(&self, listen: SocketAddr, log: SocketAddr) -> String {
        let Self { well, refuses, silent } = self;
        format!(
            "global\n  log {log} len 4096 format raw local0\n\
             defaults\n  mode http\n  log global\n  option httplog\n  option abortonclose\n  retries 0\n  \
             timeout client 20s\n  timeout server 20s\n  timeout connect 2s\n  timeout queue 300ms\n  \
             timeout http-request 500ms\n\
             frontend web\n  bind {listen}\n  monitor-uri /monitor\n  \
             capture request header x-request-id len 128\n  capture request header traceparent len 64\n  \
             http-request redirect location /elsewhere if {{ path /moved }}\n  \
             http-request deny deny_status 404 if {{ path /nowhere }}\n  \
             use_backend refuses if {{ path /refuses }}\n  use_backend slow if {{ path /slow }}\n  \
             use_backend patient if {{ path /patient }}\n  use_backend one if {{ path /one }}\n  \
             default_backend well\n\
             backend well\n  server backend-1 {}\nbackend refuses\n  server backend-1 {refuses}\n\
             backend slow\n  timeout server 400ms\n  server backend-1 {silent}\n\
             backend patient\n  server backend-1 {silent}\n\
             backend one\n  server backend-1 {silent} maxconn 1\n",
            well.address,
            silent = silent.address
        )
    }

    fn plimsoll(&self, log: &Path) -> String {
        let upstream = |name: &str, address: SocketAddr, keys: &str| {
            format!(
                "  {name}: {{ backends: [\"{address}\"], health: off, outliers: off, retries: {{ attempts: 1 }}{keys} }}\n"
            )
        };
        let (silent, path) = (self.silent.address, log.display());
        [
            "listeners: { web: { address: \"127.0.0.1:0\", timeouts: { head: 500ms } } }\nroutes:\n",
            "  - { match: { path: { exact: /moved } }, redirect: { to: /elsewhere } }\n",
            "  - { match: { path: { exact: /refuses } }, upstream: refuses }\n",
            "  - { match: { path: { exact: /slow } }, upstream: slow }\n",
            "  - { match: { path: { exact: /patient } }, upstream: patient }\n",
            "  - { match: { path: { exact: /one } }, upstream: one }\n",
            "  - { match: { path: { exact: [/, /well] } }, upstream: well }\nupstreams:\n",
            &upstream("well", self.well.address, ""),
            &upstream("refuses", self.refuses, ""),
            &upstream("slow", silent, ", timeouts: { connect: 400ms, response: 400ms }"),
            &upstream("patient", silent, ""),
            &upstream("one", silent, ", limits: { in_flight: 1, queue_timeout: 300ms }"),
            "workers: 1\nadmin: { address: \"127.0.0.1:0\" }\n",
            "telemetry: { log: { format: json }, access_log: { mode: on, format: httplog, dontlognull: false, ",
            &format!("path: \"{path}\" }} }}\n"),
        ]
        .concat()
    }
}

/// One of the two, with its log.
struct Contender<'a> {
    address: SocketAddr,
    silent: &'a Backend,
    next_line: Box<dyn FnMut() -> String + 'a>,
}

/// A request; the connection is kept, since HAProxy does not watch a client that wants it closed.
fn request(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: a\r\nx-request-id: 7\r\ntraceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n\r\n"
    )
}

/// The last request of its connection.
fn last_request(path: &str) -> String {
    request(path).replacen("\r\n", "\r\nconnection: close\r\n", 1)
}

impl Contender<'_> {
    #[track_caller]
    fn line(&mut self) -> Line {
        Line::parse(&(self.next_line)())
    }

    /// Sends `bytes` and reads an answer; returns the line, and how many bytes came.
    #[track_caller]
    fn answered(&mut self, bytes: &str) -> (Line, usize) {
        let mut client = Wire::connect(self.address);
        client.send(bytes);
        let length = client.read_to_end().len();
        (self.line(), length)
    }

    /// Sends a request to the silent backend, and returns the connection once the backend has it.
    #[track_caller]
    fn pending(&self, path: &str) -> Wire {
        let before = self.silent.requests().len();
        let mut client = Wire::connect(self.address);
        client.send(request(path));
        eventually("the backend has the request", || self.silent.requests().len() > before);
        client
    }
}

/// What both make of one case.
struct Case {
    state: &'static str,
    status: [i64; 2],
    lines: [Line; 2],
}

impl Case {
    #[track_caller]
    fn agrees(&self, request: &str) {
        let [ours, theirs] = &self.lines;
        assert_eq!([ours.status, theirs.status], self.status, "{ours:?}\n{theirs:?}");
        for line in [ours, theirs] {
            assert_eq!((&*line.state, &*line.request), (self.state, request), "{ours:?}\n{theirs:?}");
        }
        let place = |line: &Line| [&line.listener, &line.upstream, &line.backend].map(String::clone);
        assert_eq!(place(ours), place(theirs), "{ours:?}\n{theirs:?}");
        assert_eq!(ours.reached(), theirs.reached(), "{ours:?}\n{theirs:?}");
        assert_eq!(ours.counts, theirs.counts, "{ours:?}\n{theirs:?}");
    }
}

#[test]
fn our_lines_say_what_haproxys_say() {
    let folder = tempfile::tempdir().expect("a directory can be made");
    let backends = Backends::start();
    let file = folder.path().join("access.log");
    let balancer = Balancer::start(&backends.plimsoll(&file));
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
    socket.set_read_timeout(Some(PATIENCE)).expect("invariant: not zero");
    let listen = free_address();
    let config = folder.path().join("haproxy.cfg");
    let log = socket.local_addr().expect("it is bound");
    std::fs::write(&config, backends.haproxy(listen, log)).expect("a file can be written");
    let mut haproxy = Program::start(folder.path(), "haproxy", ["-db", "-f", "haproxy.cfg"]);
    haproxy.expect_ready(listen, "/monitor");

    let mut seen = 0;
    let from_file = move || {
        seen += 1;
        eventually_ok(|| {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            text.lines()
                .nth(seen - 1)
                .map(str::to_owned)
                .ok_or_else(|| format!("line {seen} is written: {text}"))
        })
    };
    let from_socket = || {
        let mut message = [0; 4096];
        let length = socket.recv(&mut message).expect("HAProxy logs a line");
        String::from_utf8_lossy(&message[..length]).trim_end().to_owned()
    };
    let ours =
        Contender { address: balancer.address, silent: &backends.silent, next_line: Box::new(from_file) };
    let theirs = Contender { address: listen, silent: &backends.silent, next_line: Box::new(from_socket) };
    let mut both = [ours, theirs];

    answers_agree(&mut both);
    aborts_agree(&mut both);
}

fn answers_agree(both: &mut [Contender<'_>; 2]) {
    for (path, state, status) in [
        ("/well", "----", [200, 200]),
        ("/well?secret=1", "----", [200, 200]),
        ("/moved", "LR--", [302, 302]),
        ("/nowhere", "PR--", [404, 404]),
        // A gateway that cannot reach who is behind it says 502 (RFC 9110 §15.6.3).
        ("/refuses", "SC--", [502, 503]),
        ("/slow", "sH--", [504, 504]),
    ] {
        let [ours, theirs] = both.each_mut().map(|one| one.answered(&last_request(path)));
        let ((mut ours, sent), (mut theirs, _)) = (ours, theirs);
        assert_eq!(ours.bytes, sent as u64, "the bytes are those that the client got: {ours:?}");
        let query = |line: &Line| line.request.contains('?');
        assert_eq!([query(&ours), query(&theirs)], [false, path.contains('?')]);
        theirs.request = theirs.request.replace("?secret=1", "");
        // Of theirs the client's own id and the whole of `traceparent`; of ours the id that the backend got.
        assert_eq!(theirs.captured, ["7".to_owned(), format!("00-{TRACE}-00f067aa0ba902b7-01")]);
        assert_eq!(ours.captured.len(), 2, "{ours:?}");
        assert_eq!(ours.captured[1], TRACE);
        // How many were in flight beside it is a matter of the moment when the line is made.
        if state != "----" {
            ours.counts[..2].copy_from_slice(&theirs.counts[..2]);
        }
        let path = path.split('?').next().unwrap_or_default();
        Case { state, status, lines: [ours, theirs] }.agrees(&format!("GET {path} HTTP/1.1"));
    }
    for (bytes, state, status) in
        [("GET / HTTP/1.1\r\nhost : a\r\n\r\n", "PR--", [400, 400]), ("GET /", "cR--", [408, 408])]
    {
        let lines = both.each_mut().map(|one| one.answered(bytes).0);
        Case { state, status, lines }.agrees("<BADREQ>");
    }
}

fn aborts_agree(both: &mut [Contender<'_>; 2]) {
    // The client leaves: before a byte, in the middle of its head, and while the backend works on its answer.
    for (bytes, state) in [("", "CR--"), ("GET /", "CR--")] {
        let lines = both.each_mut().map(|one| {
            Wire::connect(one.address).send(bytes);
            one.line()
        });
        Case { state, status: [499, 400], lines }.agrees("<BADREQ>");
    }
    let mut lines = both.each_mut().map(|one| {
        drop(one.pending("/patient"));
        one.line()
    });
    let [ours, theirs] = &mut lines;
    ours.counts[..2].copy_from_slice(&theirs.counts[..2]);
    Case { state: "CH--", status: [499, 400], lines }.agrees("GET /patient HTTP/1.1");

    let lines = both.each_mut().map(|one| {
        let _first = one.pending("/one");
        let (line, _) = one.answered(&last_request("/one"));
        assert!(line.timers[1] >= 300, "it waited in the queue: {line:?}");
        line
    });
    Case { state: "sQ--", status: [503, 503], lines }.agrees("GET /one HTTP/1.1");
}
