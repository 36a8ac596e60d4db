use super::*;
use crate::telemetry::Stages;
use proptest::prelude::*;
use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::mpsc::Receiver;
use std::time::SystemTime;

const PATIENCE: Duration = Duration::from_secs(10);

/// An exchange with something in most fields.
pub(super) fn entry() -> Entry<'static> {
    Entry {
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_042),
        request_id: b"01HF-7",
        trace_id: Some(b"4bf92f3577b34da6a3ce929d0e0e4736"),
        client: ([192, 0, 2, 7], 4711).into(),
        listener: "main",
        route: Some("all"),
        upstream: Some("web"),
        backend: Some("backend-2"),
        method: b"GET",
        host: b"example.org",
        path: b"/a\"b\n",
        version: "HTTP/1.1",
        status: 200,
        reason: Some("connect_refused"),
        attempts: 2,
        tries: [
            Some(LoggedTry {
                backend: "backend-1",
                pick: "balanced",
                outcome: Some("connect_refused"),
                start: Duration::from_micros(20),
                stages: Stages {
                    connect: Some(Duration::from_micros(90)),
                    total: Some(Duration::from_micros(90)),
                    ..Stages::default()
                },
            }),
            Some(LoggedTry {
                backend: "backend-2",
                pick: "balanced",
                outcome: Some("ok"),
                start: Duration::from_micros(110),
                stages: Stages {
                    wait: Some(Duration::from_millis(7)),
                    total: Some(Duration::from_micros(7_200)),
                    ..Stages::default()
                },
            }),
            None,
            None,
        ],
        request_bytes: 80,
        response_bytes: 1234,
        timings: Timings {
            head: Some(Duration::from_micros(12)),
            send: Some(Duration::from_micros(200)),
            wait: Some(Duration::from_millis(7)),
            total: Some(Duration::from_micros(7_345)),
            ..Timings::default()
        },
        answer_started: true,
        added: Duration::from_micros(33),
        user_agent: None,
        load: Some(Load { process: 5, listener: 4, upstream: 3, backend: 2, queue: 1 }),
    }
}

fn line(format: LineFormat, entry: &Entry<'_>) -> String {
    let mut out = Vec::new();
    format.write(entry, &mut Stamp::default(), &mut out);
    String::from_utf8(out).expect("a line is UTF-8")
}

/// A line of JSON as people read it.
fn pretty(line: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
    serde_json::to_string_pretty(&value).expect("JSON can be written")
}

#[test]
fn the_only_try_does_not_repeat_the_times_of_the_exchange() {
    let mut entry = entry();
    (entry.tries[0], entry.tries[1]) = (entry.tries[1], None);
    let line: serde_json::Value = serde_json::from_str(&line(LineFormat::Json, &entry)).expect("JSON");
    let told = serde_json::json!([{ "backend": "backend-2", "pick": "balanced", "outcome": "ok" }]);
    assert_eq!(line["tries"], told);
}

#[test]
fn a_line_tells_the_whole_exchange() {
    insta::assert_snapshot!(pretty(&line(LineFormat::Json, &entry())), @r#"
    {
      "time": "2023-11-14T22:13:20.042Z",
      "request_id": "01HF-7",
      "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
      "client": "192.0.2.7:4711",
      "listener": "main",
      "route": "all",
      "upstream": "web",
      "backend": "backend-2",
      "method": "GET",
      "host": "example.org",
      "path": "/a\"b\n",
      "version": "HTTP/1.1",
      "status": 200,
      "reason": "connect_refused",
      "attempts": 2,
      "tries": [
        {
          "backend": "backend-1",
          "pick": "balanced",
          "outcome": "connect_refused",
          "start_ms": 0.02,
          "connect_ms": 0.09,
          "send_ms": null,
          "wait_ms": null,
          "relay_ms": null,
          "total_ms": 0.09
        },
        {
          "backend": "backend-2",
          "pick": "balanced",
          "outcome": "ok",
          "start_ms": 0.11,
          "connect_ms": null,
          "send_ms": null,
          "wait_ms": 7.0,
          "relay_ms": null,
          "total_ms": 7.2
        }
      ],
      "request_bytes": 80,
      "response_bytes": 1234,
      "timings_ms": {
        "head": 0.012,
        "route": null,
        "admission": null,
        "balance": null,
        "connect": null,
        "send": 0.2,
        "wait": 7.0,
        "relay": null,
        "total": 7.345
      },
      "added_ms": 0.033,
      "user_agent": null
    }
    "#);
}

#[test]
fn as_pairs_it_leaves_out_what_is_absent() {
    insta::assert_snapshot!(line(LineFormat::Logfmt, &entry()), @r#"time=2023-11-14T22:13:20.042Z request_id=01HF-7 trace_id=4bf92f3577b34da6a3ce929d0e0e4736 client=192.0.2.7:4711 listener=main route=all upstream=web backend=backend-2 method=GET host=example.org path="/a\"b\n" version=HTTP/1.1 status=200 reason=connect_refused attempts=2 tries=backend-1:balanced:connect_refused:0.090,backend-2:balanced:ok:7.200 request_bytes=80 response_bytes=1234 head_ms=0.012 send_ms=0.200 wait_ms=7.000 total_ms=7.345 added_ms=0.033"#);
    let nothing = Entry { method: b"", host: b"", path: b"", version: "", ..entry() };
    assert!(line(LineFormat::Logfmt, &nothing).contains(r#" method="" host="" path="" version="" "#));
}

#[test]
fn as_httplog_it_looks_as_in_haproxy() {
    let shown = |entry: &Entry<'_>| line(LineFormat::Httplog, entry);
    insta::assert_snapshot!(shown(&Entry { reason: None, ..entry() }), @r#"192.0.2.7:4711 [14/Nov/2023:22:13:20.042] main web/backend-2 0/0/0/7/7 200 1234 - - ---- 5/4/3/2/+1 0/1 {01HF-7|4bf92f3577b34da6a3ce929d0e0e4736} "GET /a#22b#0A HTTP/1.1""#);
    let unread = Entry {
        client: ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 4711).into(),
        route: None,
        upstream: None,
        backend: None,
        method: b"",
        status: 400,
        reason: Some("bad_request_line"),
        attempts: 0,
        tries: [None; 4],
        request_id: b"",
        trace_id: None,
        timings: Timings { total: Some(Duration::from_secs(2)), ..Timings::default() },
        answer_started: false,
        load: None,
        ..entry()
    };
    insta::assert_snapshot!(shown(&unread), @r#"2001:db8::1:4711 [14/Nov/2023:22:13:20.042] main main/<NOSRV> -1/-1/-1/-1/2000 400 1234 - - PR-- 0/0/0/0/0 0/0 {|} "<BADREQ>""#);
}

/// What a logfmt reader reads.
fn pairs(line: &str) -> Vec<(String, String)> {
    let mut rest = line.strip_suffix('\n').expect("a line ends");
    let mut pairs = Vec::new();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').expect("each pair has a value");
        let (value, after) = if after.starts_with('"') {
            let mut strings = serde_json::Deserializer::from_str(after).into_iter::<String>();
            let value = strings.next().expect("a value").expect("a quoted value is a JSON string");
            (value, &after[strings.byte_offset()..])
        } else {
            let end = after.find(' ').unwrap_or(after.len());
            (after[..end].to_owned(), &after[end..])
        };
        pairs.push((key.to_owned(), value));
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    pairs
}

/// The fields of a line of httplog, by its blanks; then what the braces hold, the method and the path.
fn httplog_fields(line: &str) -> (Vec<&str>, [Vec<u8>; 4]) {
    let fields: Vec<&str> = line.strip_suffix('\n').expect("a line ends").split(' ').collect();
    let unhash = |text: &str| {
        let mut parts = text.split('#');
        let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
        for part in parts {
            bytes.push(u8::from_str_radix(&part[..2], 16).expect("two digits follow"));
            bytes.extend_from_slice(&part.as_bytes()[2..]);
        }
        bytes
    };
    let braces = fields[12].strip_prefix('{').and_then(|text| text.strip_suffix('}')).expect("braces");
    let (id, trace) = braces.split_once('|').expect("two values");
    assert!(
        fields[15].ends_with('"') && !fields[13..].concat()[1..].trim_end_matches('"').contains('"'),
        "{line}"
    );
    let method = fields[13].strip_prefix('"').expect("a quote");
    let texts = [id, trace, method, fields[14]].map(unhash);
    (fields, texts)
}

/// Bytes as somebody would choose them who wants to forge a line, and any others.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..12),
        "[ -~]{0,12}".prop_map(String::into_bytes),
        prop::sample::select(vec![
            "\n",
            "\r\n",
            "\"",
            "\\",
            "#",
            "|",
            "}",
            "{",
            " ",
            "=",
            " status=200",
            "\",\"status\":200,\"x\":\"",
            "\u{2028}",
            "\u{85}",
            "\u{9b}31m",
            "\x1b[2J",
            "#0A",
            "\\n",
            " HTTP/1.1\"",
            "null",
            "-",
            "<BADREQ>",
            "} \"GET / HTTP/1.1\"\n",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

proptest! {
    #[test]
    fn no_bytes_of_the_network_can_forge_a_line(
        (id, trace, method) in (hostile(), prop::option::of(hostile()), prop::collection::vec(any::<u8>(), 1..20)),
        (host, path, agent) in (hostile(), hostile(), prop::option::of(hostile())),
    ) {
        let entry = Entry {
            request_id: &id,
            trace_id: trace.as_deref(),
            method: &method,
            host: &host,
            path: &path,
            user_agent: agent.as_deref(),
            ..entry()
        };
        // Short enough that nothing is cut but the trace id, perhaps.
        let trace = trace.as_deref().filter(|trace| trace.len() <= 64);
        let usual = self::entry();

        let json = line(LineFormat::Json, &entry);
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&json).expect("an object");
        let keys: Vec<_> = serde_json::from_str::<serde_json::Map<_, _>>(&line(LineFormat::Json, &usual))
            .expect("an object").into_iter().map(|(key, _)| key).collect();
        prop_assert_eq!(object.keys().cloned().collect::<Vec<_>>(), keys);
        for (key, value) in [("request_id", &id), ("method", &method), ("host", &host), ("path", &path)] {
            prop_assert_eq!(object[key].as_str(), Some(&*lossy(value)), "{}", key);
        }
        prop_assert_eq!(object["user_agent"].as_str().map(str::to_owned), agent.as_deref().map(lossy));

        let logfmt = line(LineFormat::Logfmt, &entry);
        let read = pairs(&logfmt);
        let mut keys: Vec<_> = pairs(&line(LineFormat::Logfmt, &usual)).into_iter().map(|(key, _)| key).collect();
        if entry.trace_id.is_none() {
            keys.retain(|key| key != "trace_id");
        }
        keys.extend(agent.as_ref().map(|_| "user_agent".to_owned()));
        prop_assert_eq!(read.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(), keys);
        for (key, value) in [("request_id", &id), ("method", &method), ("host", &host), ("path", &path)] {
            let read = read.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone());
            prop_assert_eq!(read, Some(lossy(value)), "{}", key);
        }

        let httplog = line(LineFormat::Httplog, &entry);
        let usual = line(LineFormat::Httplog, &usual);
        let (fields, [id_read, trace_read, method_read, path_read]) = httplog_fields(&httplog);
        let (usual_fields, _) = httplog_fields(&usual);
        prop_assert_eq!(&fields[..12], &usual_fields[..12]);
        prop_assert_eq!(&fields[15..], &usual_fields[15..]);
        prop_assert_eq!((id_read, method_read, path_read), (id, method, path));
        if let Some(trace) = trace {
            prop_assert_eq!(trace_read, trace);
        }
        for line in [json, logfmt, httplog] {
            let (last, before) = line.as_bytes().split_last().expect("a line is not empty");
            prop_assert_eq!(*last, b'\n');
            prop_assert!(!lossy(before).contains(|c: char| c.is_control() || c == '\u{2028}'), "{}", line);
        }
    }
}

/// A target that hands over what it is given; says that a write has begun, and waits for it to be allowed.
struct Gate {
    begun: mpsc::Sender<()>,
    allowed: Receiver<io::Result<()>>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.begun.send(());
        self.allowed.recv().unwrap_or(Ok(()))?;
        self.written.lock().expect("no test panics with the lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Gated {
    log: Arc<AccessLog>,
    telemetry: Arc<Telemetry>,
    has_begun: Receiver<()>,
    allow: mpsc::Sender<io::Result<()>>,
    written: Arc<Mutex<Vec<u8>>>,
}

fn gated(capacity: usize) -> Gated {
    let telemetry = Telemetry::new(1);
    let (begun, has_begun) = mpsc::channel();
    let (allow, allowed) = mpsc::channel();
    let written = Arc::new(Mutex::new(Vec::new()));
    let out = Opened::stream(Gate { begun, allowed, written: Arc::clone(&written) }, None);
    let log =
        AccessLog::begin(out, (1.0, LineFormat::Json, false), capacity, &telemetry).expect("a thread starts");
    Gated { log: Arc::new(log), telemetry, has_begun, allow, written }
}

/// Writes lines as a worker does that hands over after each so many.
fn write(log: &Arc<AccessLog>, batches: usize, lines: usize) {
    let mut batch = LogBatch::default();
    for _ in 0..batches {
        (0..lines).for_each(|_| batch.write(log, &entry()));
        batch.hand_over();
    }
}

fn settings(target: LogTarget, share: f64) -> AccessLogSettings {
    AccessLogSettings { target, format: LineFormat::Json, share, nulls: false }
}

#[test]
fn a_target_that_stands_still_costs_lines_but_never_blocks() {
    let Gated { log, telemetry, has_begun, allow, written } = gated(8);
    write(&log, 1, 1);
    has_begun.recv_timeout(PATIENCE).expect("the writer takes the first line");
    write(&log, 100, 3);
    assert_eq!(telemetry.process().access_log_dropped.get(), 276, "eight batches fit into the queue");
    assert!(!log.flush(Duration::ZERO), "nothing can have been written");
    drop(allow);
    assert!(log.flush(PATIENCE));
    assert_eq!(telemetry.process().access_log_lines.get(), 25, "every line is written or counted");
    let written = written.lock().expect("no test panics with the lock").clone();
    assert_eq!(written.iter().filter(|byte| **byte == b'\n').count(), 25);
}

#[test]
fn lines_that_a_full_disk_refuses_are_counted_and_the_next_ones_written() {
    let Gated { log, telemetry, allow, .. } = gated(8);
    allow.send(Err(io::ErrorKind::StorageFull.into())).expect("the writer runs");
    allow.send(Ok(())).expect("the writer runs");
    for lines in [2, 3] {
        write(&log, 1, lines);
        assert!(log.flush(PATIENCE));
    }
    assert_eq!(telemetry.process().access_log_dropped.get(), 2);
    assert_eq!(telemetry.process().access_log_lines.get(), 3);
}

/// A disk with room for so many bytes, until somebody makes more.
struct Disk {
    room: Arc<Mutex<usize>>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut room = self.room.lock().expect("no test panics with the lock");
        let fits = bytes.len().min(*room);
        *room -= fits;
        self.written.lock().expect("no test panics with the lock").extend_from_slice(&bytes[..fits]);
        if fits == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(fits) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_that_a_full_disk_has_cut_does_not_run_into_the_next() {
    let telemetry = Telemetry::new(1);
    let length = line(LineFormat::Json, &entry()).len();
    let (room, written) = (Arc::new(Mutex::new(length * 5 / 2)), Arc::<Mutex<Vec<u8>>>::default());
    let disk = Disk { room: Arc::clone(&room), written: Arc::clone(&written) };
    let out = Opened::stream(disk, None);
    let log = AccessLog::begin(out, (1.0, LineFormat::Json, false), 8, &telemetry).expect("a thread starts");
    let log = Arc::new(log);
    write(&log, 1, 4);
    assert!(log.flush(PATIENCE));
    *room.lock().expect("no test panics with the lock") = usize::MAX;
    write(&log, 1, 2);
    assert!(log.flush(PATIENCE));
    let counts = telemetry.process();
    assert_eq!((counts.access_log_lines.get(), counts.access_log_dropped.get()), (4, 2));
    let text = String::from_utf8_lossy(&written.lock().expect("no test panics with the lock")).into_owned();
    let whole: Vec<bool> =
        text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).collect();
    assert_eq!(whole, [true, true, false, true, true]);
}

#[test]
fn a_full_batch_is_handed_over_at_once_and_the_rest_when_it_is_dropped() {
    let Gated { log, telemetry, has_begun, allow, .. } = gated(8);
    drop(allow);
    let mut batch = LogBatch::default();
    let lines = 2 * batch::FULL / line(LineFormat::Json, &entry()).len();
    (0..lines).for_each(|_| batch.write(&log, &entry()));
    has_begun.recv_timeout(PATIENCE).expect("a full batch is written without being asked for");
    drop(batch);
    assert!(log.flush(PATIENCE));
    assert_eq!(telemetry.process().access_log_lines.get(), lines as u64);
}

#[test]
fn lines_go_to_the_log_that_was_in_force_when_they_were_written() {
    let (old, new) = (gated(8), gated(8));
    drop((old.allow, new.allow));
    let mut batch = LogBatch::default();
    batch.write(&old.log, &entry());
    batch.write(&new.log, &entry());
    batch.write(&new.log, &entry());
    batch.hand_over();
    for (log, telemetry, lines) in [(&old.log, &old.telemetry, 1), (&new.log, &new.telemetry, 2)] {
        assert!(log.flush(PATIENCE));
        assert_eq!(telemetry.process().access_log_lines.get(), lines);
    }
    assert_eq!([&old.log, &new.log].map(Arc::strong_count), [1, 1], "what was handed over holds no log");
}

#[test]
fn a_rotated_file_is_left_for_a_new_one_after_reopen() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let (path, moved) = (directory.path().join("access.log"), directory.path().join("access.log.1"));
    let settings = settings(LogTarget::File(path.clone()), 1.0);
    let log = Arc::new(AccessLog::start(settings, &Telemetry::new(1)).expect("the file can be made"));
    write(&log, 1, 1);
    assert!(log.flush(PATIENCE));
    std::fs::rename(&path, &moved).expect("the file is there");
    write(&log, 1, 1);
    assert!(log.flush(PATIENCE));
    log.reopen();
    write(&log, 1, 1);
    assert!(log.flush(PATIENCE));
    let lines = |path| std::fs::read_to_string(path).expect("the file is there").lines().count();
    assert_eq!((lines(moved), lines(path)), (2, 1));
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let settings = settings(LogTarget::File("/nonexistent/access.log".into()), 1.0);
    let error = AccessLog::start(settings, &Telemetry::new(1)).expect_err("the directory does not exist");
    assert!(error.to_string().contains("/nonexistent/access.log"), "{error}");
}

#[test]
fn a_sample_takes_its_part_of_the_good_and_every_failed_exchange() {
    let telemetry = Telemetry::new(1);
    let start = |share| {
        AccessLog::start(settings(LogTarget::Stderr, share), &telemetry).expect("standard error is open")
    };
    let log = start(0.1);
    let taken = (0..100_000).filter(|_| log.wants(false)).count();
    assert!((9_000..=11_000).contains(&taken), "{taken} of 100000");
    assert!((0..100).all(|_| log.wants(true)));
    let all = start(1.0);
    assert!((0..100).all(|_| all.wants(false)));
    let failed_only = start(0.0);
    assert!((0..100).all(|_| !failed_only.wants(false) && failed_only.wants(true)));
    assert!(AccessLog::off().flush(Duration::ZERO));
}

#[test]
fn a_pipe_that_nobody_reads_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let pipe = folder.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
        .expect("a pipe");
    let settings = AccessLogSettings {
        target: LogTarget::File(pipe),
        format: LineFormat::Json,
        share: 1.0,
        nulls: false,
    };
    let refused = AccessLog::start(settings, &Telemetry::new(1));
    assert!(matches!(refused, Err(AccessLogError::Open { .. })), "{refused:?}");
}
