//! SIGTERM and SIGINT end the process in order: what was accepted is answered, nothing new is, and there is a deadline.

use rustix::process::Signal;

use crate::harness::backend::Backend;
use crate::harness::eventually;
use crate::harness::setup::Setup;

/// A backend that answers when it is told to.
fn waiting() -> (Backend, std::sync::mpsc::Sender<()>) {
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let backend = Backend::scripted(move |mut wire, memory| {
        let Some(request) = wire.request() else { return };
        memory.note(request);
        let _ = gone.lock().map(|gone| gone.recv());
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone");
    });
    (backend, go)
}

#[test]
fn what_is_in_flight_is_finished_and_nothing_new_is_accepted() {
    for signal in [Signal::TERM, Signal::INT] {
        let (backend, go) = waiting();
        let mut balancer = Setup::over([&backend]).start();
        let mut busy = balancer.connect();
        busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        eventually("the request reaches the backend", || backend.requests().len() == 1);
        let mut idle = balancer.connect();
        balancer.signal(signal);
        let address = balancer.address;
        eventually("new connections are refused", || std::net::TcpStream::connect(address).is_err());
        idle.expect_end();
        go.send(()).expect("the backend waits");
        let answer = busy.answer(false);
        assert_eq!(answer.text(), "done", "an accepted request is answered");
        busy.expect_end();
        assert!(balancer.wait().success(), "the process ends in order");
    }
}

#[test]
fn while_draining_it_is_alive_but_not_ready() {
    let (backend, go) = waiting();
    let mut balancer = Setup::over([&backend]).start();
    let mut busy = balancer.connect();
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request reaches the backend", || backend.requests().len() == 1);
    assert!(balancer.ctl(&["ping", "--ready"]).status.success(), "it takes traffic");
    balancer.signal(Signal::TERM);
    eventually("it is no longer ready", || balancer.ask_admin("/ready").status() == 503);
    assert_eq!(balancer.ask_admin("/live").status(), 200);
    assert!(balancer.ctl(&["ping"]).status.success(), "it lives");
    let said = balancer.ctl(&["ping", "--ready"]);
    assert_eq!(said.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&said.stderr).contains("not ready"), "{said:?}");
    go.send(()).expect("the backend waits");
    assert_eq!(busy.answer(false).text(), "done");
    assert!(balancer.wait().success());
}

#[test]
fn a_log_that_is_rotated_during_the_drain_is_opened_anew_and_nothing_is_reloaded() {
    let folder = tempfile::tempdir().expect("a directory can be made");
    let (file, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let (backend, go) = waiting();
    let keys = format!(
        "telemetry: {{log: {{format: json}}, access_log: {{mode: on, path: \"{}\"}}}}",
        file.display()
    );
    let mut balancer = Setup::over([&backend]).top(&keys).start();
    let mut busy = balancer.connect();
    busy.send("GET /last HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request reaches the backend", || backend.requests().len() == 1);
    balancer.signal(Signal::TERM);
    eventually("it drains", || balancer.ask_admin("/ready").status() == 503);
    std::fs::rename(&file, &moved).expect("the file is there");
    balancer.signal(Signal::HUP);
    balancer.signal(Signal::USR1);
    eventually("there is a new file", || file.exists());
    go.send(()).expect("the backend waits");
    assert_eq!(busy.answer(false).text(), "done");
    assert!(balancer.wait().success());
    let written = std::fs::read_to_string(&file).expect("the file is there");
    assert!(written.contains("\"/last\""), "{written}");
    assert!(balancer.log().iter().any(|line| line.contains("not reloading")));
}

#[test]
fn draining_has_a_deadline() {
    let (backend, _go) = waiting();
    let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    let log = format!(
        "telemetry: {{ log: {{ format: json }}, access_log: {{ mode: on, path: \"{}\" }} }}",
        file.path().display()
    );
    let mut balancer = Setup::over([&backend]).top("drain: { timeout: 300ms }").top(&log).start();
    let mut busy = balancer.connect();
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request reaches the backend", || backend.requests().len() == 1);
    balancer.signal(Signal::TERM);
    balancer.wait();
    busy.read_to_end();
    let line = std::fs::read_to_string(file.path()).expect("the log is written");
    let told: serde_json::Value = serde_json::from_str(&line).expect("one line of JSON");
    assert!(line.contains("shutting_down") && told["status"] == 503, "the failure is ours: {line}");
}

#[test]
fn an_idle_process_ends_at_once() {
    let backend = Backend::saying("ok");
    let mut balancer = Setup::over([&backend]).start();
    let mut kept = balancer.connect();
    assert_eq!(kept.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text(), "ok");
    balancer.signal(Signal::TERM);
    assert!(balancer.wait().success());
    kept.expect_end();
}

#[test]
fn what_waits_to_be_accepted_when_the_signal_comes_is_answered() {
    let backend = Backend::saying("ok");
    let setup = Setup::over([&backend]).top("workers: 2");
    // More than once, because the signal and the connections reach the process by different ways.
    for _ in 0..4 {
        let mut balancer = setup.start();
        balancer.freeze();
        let mut clients: Vec<_> = (0..30).map(|_| balancer.connect()).collect();
        for client in &mut clients {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        balancer.signal(Signal::TERM);
        balancer.signal(Signal::CONT);
        for client in &mut clients {
            assert_eq!(client.answer(false).text(), "ok");
            client.expect_end();
        }
        assert!(balancer.wait().success(), "the process ends in order");
    }
}

#[test]
fn who_sends_clients_here_has_time_to_learn_of_the_end() {
    let backend = Backend::saying("ok");
    let mut balancer = Setup::over([&backend]).top("drain: { delay: 4s }").start();
    let mut kept = balancer.connect();
    let mut idle = balancer.connect();
    for client in [&mut kept, &mut idle] {
        assert_eq!(client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text(), "ok");
    }
    balancer.signal(Signal::TERM);
    eventually("it is no longer ready", || balancer.ask_admin("/ready").status() == 503);
    eventually("new connections are served, and told to come elsewhere next time", || {
        let answer = balancer.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(answer.text(), "ok");
        answer.head.field("connection") == Some("close")
    });
    let answer = kept.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.text(), "ok", "a connection that was kept has one more exchange");
    assert_eq!(answer.head.field("connection"), Some("close"));
    kept.expect_end();
    let address = balancer.address;
    eventually("new connections are refused", || std::net::TcpStream::connect(address).is_err());
    idle.expect_end();
    assert!(balancer.wait().success(), "the process ends in order");
}

#[test]
fn a_second_signal_ends_the_delay_too() {
    let backend = Backend::saying("ok");
    let mut balancer = Setup::over([&backend]).top("drain: { delay: 1h }").start();
    balancer.signal(Signal::TERM);
    eventually("it is no longer ready", || balancer.ask_admin("/ready").status() == 503);
    balancer.signal(Signal::INT);
    assert!(balancer.wait().success(), "the process ends in order");
}
