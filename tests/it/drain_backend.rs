//! A backend that drains gets nothing new and finishes what it has, whoever says so: an operator, its agent, its check.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::setup::Setup;
use crate::harness::wire::{Message, Wire};
use crate::harness::{eventually, pause};

/// A backend that answers `/slow` when it is told to, and everything else at once.
fn slow() -> (Backend, mpsc::Sender<()>) {
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let backend = Backend::answering(move |request| {
        if request.head.target() == "/slow" {
            let _ = gone.lock().unwrap_or_else(PoisonError::into_inner).recv();
        }
        b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow".to_vec()
    });
    (backend, go)
}

/// Posts to the admin server.
fn post(balancer: &Balancer, path: &str) -> Message {
    let request =
        format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    Wire::connect(balancer.admin).exchange(request)
}

fn json(answer: &Message) -> serde_json::Value {
    serde_json::from_slice(&answer.body).expect("the admin server's API speaks JSON")
}

/// Waits until this backend is in this state.
#[track_caller]
fn expect_state(balancer: &Balancer, backend: usize, state: &str) {
    eventually(&format!("backend-{} is {state}", backend + 1), || {
        let upstream = json(&balancer.ask_admin("/api/v1/upstreams/app"));
        upstream["backends"][backend]["state"] == state
    });
}

/// The bodies of so many answers.
fn answers(balancer: &Balancer, count: usize) -> Vec<String> {
    (0..count).map(|_| balancer.get("/").text().to_owned()).collect()
}

/// Sends a slow request to the first of two backends.
fn slow_request(balancer: &Balancer, first: &Backend) -> Wire {
    drain(balancer, "backend-2");
    let mut running = balancer.connect();
    running.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request reaches the first backend", || first.connections() == 1);
    post(balancer, "/api/v1/upstreams/app/backends/backend-2/ready");
    running
}

/// Drains a backend as an operator does.
fn drain(balancer: &Balancer, backend: &str) -> Message {
    post(balancer, &format!("/api/v1/upstreams/app/backends/{backend}/drain"))
}

#[test]
fn an_operator_takes_a_backend_out_and_what_it_has_is_finished() {
    let ((first, go), second) = (slow(), Backend::saying("other"));
    let setup =
        Setup::over([&first, &second]).upstream("slow_start: off").upstream("retries: { hedge: off }");
    let balancer = setup.start();
    let mut running = slow_request(&balancer, &first);
    let told = drain(&balancer, "backend-1");
    assert_eq!(told.status(), 200, "{}", told.text());
    assert_eq!((&json(&told)["state"], &json(&told)["in_flight"]), (&"draining".into(), &1.into()));
    assert_eq!(answers(&balancer, 10), ["other"; 10], "nothing new");
    go.send(()).expect("the backend waits");
    let answer = running.answer(false);
    assert_eq!((answer.status(), answer.text()), (200, "slow"), "what it has is finished");
    assert_eq!(answers(&balancer, 4), ["other"; 4]);
    let ready = post(&balancer, "/api/v1/upstreams/app/backends/backend-1/ready");
    assert_eq!(json(&ready)["state"], "up");
    let after = answers(&balancer, 10);
    assert!(after.contains(&"slow".to_owned()) && after.contains(&"other".to_owned()), "{after:?}");
    let labels = ["backend=\"backend-1\"", "cause=\"operator\""];
    balancer.expect_metric("plimsoll_backend_transitions_total", &labels, 2.0);
}

#[test]
fn a_reload_does_not_bring_a_drained_backend_back() {
    let backends = [Backend::saying("1"), Backend::saying("2")];
    let setup = Setup::over(&backends);
    let balancer = setup.start();
    drain(&balancer, "backend-1");
    balancer.reload(&setup.upstream("response_header: true").yaml());
    eventually("the reload is in force", || balancer.get("/").head.field("x-plimsoll-backend").is_some());
    assert_eq!(answers(&balancer, 10), ["2"; 10]);
}

#[test]
fn ctl_drains_and_waits_until_nothing_is_in_flight() {
    let (first, go) = slow();
    let balancer = Setup::over([&first]).start();
    let mut running = balancer.connect();
    running.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request reaches the backend", || first.connections() == 1);
    let said = balancer.ctl(&["drain", "app/backend-1"]);
    assert_eq!(String::from_utf8_lossy(&said.stdout), "app/backend-1 is draining, 1 in flight\n");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let said = balancer.ctl(&["drain", "app/backend-1", "--wait"]);
            assert!(is_over.load(Ordering::SeqCst), "it waits for what is in flight");
            assert_eq!(String::from_utf8_lossy(&said.stdout), "app/backend-1 is draining, 0 in flight\n");
        });
        pause(crate::harness::SHORT);
        is_over.store(true, Ordering::SeqCst);
        go.send(()).expect("the backend waits");
        assert_eq!(running.answer(false).text(), "slow");
    });
    let said = balancer.ctl(&["ready", "app/backend-1"]);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

#[test]
fn ctl_says_what_to_do_when_it_cannot() {
    let balancer = Setup::over([&Backend::saying("ok")]).start();
    for (backend, said) in [("ap/backend-1", "there is app"), ("app/backend-2", "there is backend-1")] {
        let output = balancer.ctl(&["drain", backend]);
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(said), "{said} in {error}");
    }
    let nobody = Backend::nobody().to_string();
    let command = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(["ctl", "ready", "app/backend-1", "--admin", &nobody])
        .output();
    let output = command.expect("the binary was built with the tests");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("--admin") && error.contains(&nobody), "{error}");
}

/// An agent that says what it is told to.
struct Agent {
    address: SocketAddr,
    line: Arc<Mutex<&'static str>>,
}

impl Agent {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let line = Arc::new(Mutex::new("up"));
        let said = Arc::clone(&line);
        // Until the process of the tests ends: it costs nothing while nobody asks.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let line = *said.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = writeln!(&stream, "{line}");
            }
        });
        Self { address, line }
    }

    fn says(&self, line: &'static str) {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }
}

#[test]
fn the_word_of_its_agent_takes_a_backend_out_and_brings_it_back() {
    let (backend, agent) = (Backend::saying("ok"), Agent::start());
    let port = agent.address.port();
    let balancer = Setup::over([&backend])
        .upstream(&format!("health: {{ tcp: false, agent: {{ port: {port}, interval: 20ms }} }}"))
        .upstream("slow_start: off")
        .start();
    for (line, state) in [
        ("drain", "draining"),
        ("up 50%", "up"),
        ("maint", "draining"),
        ("DOWN # disk is full", "down"),
        ("up", "up"),
    ] {
        agent.says(line);
        expect_state(&balancer, 0, state);
    }
    let labels = ["backend=\"backend-1\"", "cause=\"agent\""];
    balancer.expect_metric("plimsoll_backend_transitions_total", &labels, 5.0);
}

#[test]
fn a_check_that_is_answered_503_with_retry_after_drains_instead_of_failing() {
    let is_leaving = Arc::new(AtomicBool::new(false));
    let leaving = Arc::clone(&is_leaving);
    let first = Backend::answering(move |request| {
        let check = request.head.target() == "/health" && leaving.load(Ordering::SeqCst);
        if check {
            return b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"
                .to_vec();
        }
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst".to_vec()
    });
    let second = Backend::saying("second");
    let balancer = Setup::over([&first, &second])
        .upstream("health: { http: /health, interval: 20ms }")
        .upstream("slow_start: off")
        .start();
    expect_state(&balancer, 0, "up");
    is_leaving.store(true, Ordering::SeqCst);
    expect_state(&balancer, 0, "draining");
    assert_eq!(answers(&balancer, 10), ["second"; 10]);
    is_leaving.store(false, Ordering::SeqCst);
    expect_state(&balancer, 0, "up");
    let never_down = ["backend=\"backend-1\"", "state=\"down\""];
    assert_eq!(balancer.metrics().sum("plimsoll_backend_transitions_total", &never_down), 0.0);
}

#[test]
fn what_is_left_after_the_drain_deadline_goes_elsewhere_if_it_may() {
    let ((first, _go), second) = (slow(), Backend::saying("other"));
    let setup = Setup::over([&first, &second]).upstream("timeouts: { drain: 300ms }");
    let balancer = setup.start();
    let mut running = slow_request(&balancer, &first);
    drain(&balancer, "backend-1");
    let answer = running.answer(false);
    assert_eq!((answer.status(), answer.text()), (200, "other"));
}

#[test]
fn what_is_not_finished_by_the_deadline_of_the_drain_is_given_up() {
    let ((first, _never), second) = (slow(), Backend::saying("other"));
    let setup = Setup::over([&first, &second]).upstream("timeouts: { drain: 50ms }");
    let balancer = setup.start();
    drain(&balancer, "backend-2");
    let (mut write, mut read) = (balancer.connect(), balancer.connect());
    write.send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    read.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("both reach the first backend", || first.connections() == 2);
    post(&balancer, "/api/v1/upstreams/app/backends/backend-2/ready");
    drain(&balancer, "backend-1");
    let answer = write.answer(false);
    assert_eq!(answer.status(), 502, "{}", answer.text());
    assert!(answer.text().contains("drained"), "{}", answer.text());
    assert_eq!(read.answer(false).text(), "other", "what may be repeated is, elsewhere");
    balancer.expect_metric("plimsoll_attempts_total", &["backend=\"backend-1\"", "outcome=\"drained\""], 2.0);
    balancer.expect_metric("plimsoll_backend_inflight_requests", &["backend=\"backend-1\""], 0.0);
}

#[test]
fn a_weight_is_set_by_ctl_and_lasts_until_the_file_says_another() {
    let backends = [Backend::saying("1"), Backend::saying("2")];
    let setup = Setup::over(&backends);
    let balancer = setup.start();
    let shares = |balancer: &Balancer| {
        let answers: Vec<String> = (0..8).map(|_| balancer.get("/").text().to_owned()).collect();
        answers.iter().filter(|answer| *answer == "1").count()
    };
    assert_eq!(shares(&balancer), 4);
    let told = balancer.ctl(&["weight", "app/backend-1", "3"]);
    let said = String::from_utf8_lossy(&told.stdout).into_owned();
    assert_eq!(said, "app/backend-1 is up, 0 in flight, of weight 3\n", "{told:?}");
    assert_eq!(shares(&balancer), 6);
    let reload = |yaml: &str| {
        let before = balancer.metrics().sum("plimsoll_config_reloads_total", &["result=\"ok\""]);
        balancer.reload(yaml);
        balancer.expect_metric("plimsoll_config_reloads_total", &["result=\"ok\""], before + 1.0);
    };
    reload(&setup.yaml());
    assert_eq!(shares(&balancer), 6, "the file says what it said before");
    let backends =
        backends.each_ref().map(|backend| format!("{{ address: \"{}\", weight: 2 }}", backend.address));
    let yaml = setup.yaml();
    let line = yaml.lines().find(|line| line.trim_start().starts_with("backends:")).expect("backends");
    reload(&yaml.replace(line, &format!("    backends: [{}]", backends.join(", "))));
    assert_eq!(shares(&balancer), 4, "the file speaks again");
}
