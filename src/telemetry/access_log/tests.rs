use super::*;
use crate::telemetry::Stages;
use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::mpsc::Receiver;
use std::time::SystemTime;

const PATIENCE: Duration = Duration::from_secs(10);

fn entry() -> Entry<'static> {
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
            wait: Some(Duration::from_millis(7)),
            total: Some(Duration::from_micros(7_345)),
            ..Timings::default()
        },
        added: Duration::from_micros(33),
        user_agent: None,
    }
}

/// A line of JSON as people read it.
fn pretty(line: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(line).expect("a line is JSON");
    serde_json::to_string_pretty(&value).expect("JSON can be written")
}

#[test]
fn a_line_tells_the_whole_exchange() {
    let line = entry().to_line();
    assert_eq!(memchr::memchr(b'\n', &line), Some(line.len() - 1));
    insta::assert_snapshot!(pretty(&line), @r#"
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
        "send": null,
        "wait": 7.0,
        "relay": null,
        "total": 7.345
      },
      "added_ms": 0.033,
      "user_agent": null
    }
    "#);
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
    log: AccessLog,
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
    let out = Box::new(Gate { begun, allowed, written: Arc::clone(&written) });
    let log =
        AccessLog::start(Opened { out, path: None }, 1.0, capacity, &telemetry).expect("a thread starts");
    Gated { log, telemetry, has_begun, allow, written }
}

#[test]
fn a_target_that_stands_still_costs_lines_but_never_blocks() {
    let Gated { log, telemetry, has_begun, allow, written } = gated(8);
    log.write(&entry());
    has_begun.recv_timeout(PATIENCE).expect("the writer takes the first line");
    (0..100).for_each(|_| log.write(&entry()));
    assert_eq!(telemetry.process().access_log_dropped.get(), 92, "eight fit into the queue");
    assert!(!log.flush(Duration::ZERO), "nothing can have been written");
    drop(allow);
    assert!(log.flush(PATIENCE));
    assert_eq!(telemetry.process().access_log_lines.get(), 9, "every line is written or counted");
    let written = written.lock().expect("no test panics with the lock").clone();
    assert_eq!(written.iter().filter(|byte| **byte == b'\n').count(), 9);
}

#[test]
fn lines_that_a_full_disk_refuses_are_counted_and_the_next_ones_written() {
    let Gated { log, telemetry, allow, .. } = gated(8);
    allow.send(Err(io::ErrorKind::StorageFull.into())).expect("the writer runs");
    allow.send(Ok(())).expect("the writer runs");
    for _ in 0..2 {
        log.write(&entry());
        assert!(log.flush(PATIENCE));
    }
    assert_eq!(telemetry.process().access_log_dropped.get(), 1);
    assert_eq!(telemetry.process().access_log_lines.get(), 1);
}

#[test]
fn a_rotated_file_is_left_for_a_new_one_after_reopen() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let (path, moved) = (directory.path().join("access.log"), directory.path().join("access.log.1"));
    let log =
        AccessLog::to(LogTarget::File(path.clone()), 1.0, &Telemetry::new(1)).expect("the file can be made");
    log.write(&entry());
    assert!(log.flush(PATIENCE));
    std::fs::rename(&path, &moved).expect("the file is there");
    log.write(&entry());
    assert!(log.flush(PATIENCE));
    log.reopen();
    log.write(&entry());
    assert!(log.flush(PATIENCE));
    let lines = |path| std::fs::read_to_string(path).expect("the file is there").lines().count();
    assert_eq!((lines(moved), lines(path)), (2, 1));
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let target = LogTarget::File("/nonexistent/access.log".into());
    let error = AccessLog::to(target, 1.0, &Telemetry::new(1)).expect_err("the directory does not exist");
    assert!(error.to_string().contains("/nonexistent/access.log"), "{error}");
}

#[test]
fn a_sample_takes_its_part_of_the_good_and_every_failed_exchange() {
    let telemetry = Telemetry::new(1);
    let log = AccessLog::to(LogTarget::Stderr, 0.1, &telemetry).expect("standard error is open");
    let taken = (0..100_000).filter(|_| log.wants(false)).count();
    assert!((9_000..=11_000).contains(&taken), "{taken} of 100000");
    assert!((0..100).all(|_| log.wants(true)));
    let all = AccessLog::to(LogTarget::Stderr, 1.0, &telemetry).expect("standard error is open");
    assert!((0..100).all(|_| all.wants(false)));
    let failed_only = AccessLog::to(LogTarget::Stderr, 0.0, &telemetry).expect("standard error is open");
    assert!((0..100).all(|_| !failed_only.wants(false) && failed_only.wants(true)));
    assert!(AccessLog::off().flush(Duration::ZERO));
}
