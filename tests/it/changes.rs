//! What operators change at run time: backends that join and go, under load, beside the file, and through a restart.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::metrics::promtool;
use crate::harness::setup::Setup;
use crate::harness::{eventually, eventually_ok};

/// What `plimsoll ctl` says.
#[track_caller]
fn ctl(balancer: &Balancer, line: &str) -> String {
    said(&balancer.ctl(&line.split(' ').collect::<Vec<_>>()))
}

#[track_caller]
fn said(output: &Output) -> String {
    let (out, problems) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{problems}");
    out.trim_end().to_owned()
}

/// Why `plimsoll ctl` fails.
#[track_caller]
fn refusal(balancer: &Balancer, line: &str) -> String {
    let output = balancer.ctl(&line.split(' ').collect::<Vec<_>>());
    assert!(!output.status.success(), "{line} succeeds: {output:?}");
    String::from_utf8_lossy(&output.stderr).trim_end().to_owned()
}

fn upstream(balancer: &Balancer) -> Value {
    let answer = balancer.ask_admin("/api/v1/upstreams/app");
    serde_json::from_slice(&answer.body).expect("the API speaks JSON")
}

/// Name, address, weight and state of each backend.
fn backends(balancer: &Balancer) -> Vec<(String, String, u64, String)> {
    let upstream = upstream(balancer);
    let text = |backend: &Value, key: &str| backend[key].as_str().unwrap_or_default().to_owned();
    let backends = upstream["backends"].as_array().expect("a list").iter();
    backends
        .map(|backend| {
            let weight = backend["weight"].as_u64().expect("a number");
            (text(backend, "name"), text(backend, "address"), weight, text(backend, "state"))
        })
        .collect()
}

fn names(balancer: &Balancer) -> Vec<String> {
    backends(balancer).into_iter().map(|(name, ..)| name).collect()
}

/// Whether any series of this backend is shown.
fn is_shown(balancer: &Balancer, backend: &str) -> bool {
    balancer.ask_admin("/metrics").text().contains(&format!("backend=\"{backend}\""))
}

/// Waits until the program has logged so many lines with these words, and returns them. What it logs is read a little later.
#[track_caller]
fn logged(balancer: &Balancer, words: &str, count: usize) -> Vec<String> {
    eventually_ok(|| {
        let lines: Vec<String> = balancer.log().into_iter().filter(|line| line.contains(words)).collect();
        if lines.len() == count { Ok(lines) } else { Err(format!("{} lines with {words:?}", lines.len())) }
    })
}

#[test]
fn a_backend_joins_and_goes_under_load_and_no_request_fails() {
    let (first, second, third) = (Backend::saying("1"), Backend::saying("2"), Backend::saying("3"));
    let balancer = Setup::over([&first, &second]).upstream("slow_start: off").start();
    let is_over = AtomicBool::new(false);
    let client = || {
        let mut count = 0_u32;
        while !is_over.load(Ordering::SeqCst) {
            assert_eq!(balancer.get("/").status(), 200, "no request fails");
            count += 1;
        }
        count
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..3).map(|_| scope.spawn(client)).collect();
        for round in 0..3 {
            let told = ctl(&balancer, &format!("add app {}", third.address));
            assert_eq!(told, format!("app/backend-3 was added at {}, and is up", third.address));
            let before = third.requests().len();
            eventually("the new one gets work", || third.requests().len() > before);
            let told = ctl(&balancer, "remove app/backend-3");
            assert!(told.starts_with("app/backend-3 was removed, "), "{told}");
            assert_eq!(names(&balancer), ["backend-1", "backend-2"], "round {round}");
        }
        eventually("its series go when it has finished", || !is_shown(&balancer, "backend-3"));
        assert!(is_shown(&balancer, "backend-1") && is_shown(&balancer, "backend-2"));
        let before = third.requests().len();
        let [one, two] = [&first, &second].map(|backend| backend.requests().len());
        eventually("the others get all", || {
            first.requests().len() > one + 5 && second.requests().len() > two + 5
        });
        assert_eq!(third.requests().len(), before, "it gets nothing new");
        is_over.store(true, Ordering::SeqCst);
        let counts: Vec<u32> =
            clients.into_iter().map(|client| client.join().expect("no request fails")).collect();
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    });
    // Each change is one line.
    let added = logged(&balancer, "an operator adds it", 3);
    assert!(added[0].contains("\"by\":\"127.0.0.1\""), "{}", added[0]);
    logged(&balancer, "\"message\":\"an operator removes it\"", 3);
    ctl(&balancer, &format!("add app {}", third.address));
    let page = balancer.ask_admin("/metrics").text().to_owned();
    let of_the_new_one =
        |line: &&str| line.starts_with("plimsoll_attempts_total") && line.contains("backend-3");
    let attempts: Vec<&str> = page.lines().filter(of_the_new_one).collect();
    assert!(!attempts.is_empty(), "it is there from the start");
    assert!(attempts.iter().all(|line| line.ends_with(" 0")), "and begins at 0: {attempts:?}");
}

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

const SLOW: &str = "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn what_a_removed_backend_has_is_finished() {
    let ((first, go), second) = (slow(), Backend::saying("other"));
    let setup = Setup::over([&second]).upstream("slow_start: off").upstream("retries: { hedge: off }");
    let balancer = setup.start();
    ctl(&balancer, &format!("add app {} --name slow --weight 1000", first.address));
    let mut running = balancer.connect();
    running.send(SLOW);
    eventually("the request reaches it", || first.connections() == 1);
    assert_eq!(ctl(&balancer, "remove app/slow"), "app/slow was removed, 1 in flight");
    assert!(is_shown(&balancer, "slow"), "it counts until its last exchange has ended");
    go.send(()).expect("the backend waits");
    assert_eq!(running.answer(false).text(), "slow");
    eventually("then its series go", || !is_shown(&balancer, "slow"));
}

/// Has a request wait at the first of two backends, takes that out by `remove`, and expects the request to be given up.
fn is_given_up_in_time(remove: impl Fn(&Balancer, &Setup)) {
    let ((first, _go), second) = (slow(), Backend::saying("other"));
    let settings = |setup: Setup| {
        setup
            .upstream("slow_start: off")
            .upstream("timeouts: { drain: 1s }")
            .upstream("retries: { hedge: off }")
    };
    let balancer = settings(Setup::over([&first, &second])).start();
    ctl(&balancer, "weight app/backend-2 0");
    let mut running = balancer.connect();
    running.send("POST /slow HTTP/1.1\r\nHost: a\r\ncontent-length: 0\r\n\r\n");
    eventually("the request reaches it", || first.connections() == 1);
    remove(&balancer, &settings(Setup::over([&second])));
    assert_eq!(running.answer(false).status(), 502, "its time is over");
    logged(&balancer, "drain deadline passed", 1);
}

#[test]
fn what_a_removed_backend_has_not_finished_in_time_is_given_up() {
    is_given_up_in_time(|balancer, _| drop(ctl(balancer, "remove app/backend-1")));
}

#[test]
fn nor_does_one_that_a_reload_removes_have_more_time() {
    is_given_up_in_time(|balancer, without| {
        balancer.reload(
            &without
                .yaml()
                .replace("backends: [", "backends: [{name: backend-2, address: ")
                .replace("]\n    health", "}]\n    health"),
        );
    });
}

#[test]
fn a_change_that_makes_no_sense_is_refused_and_says_what_to_do() {
    let backends = [Backend::saying("1"), Backend::saying("2")];
    let balancer = Setup::over(&backends).start();
    let first = backends[0].address;
    for (line, said) in [
        (format!("add ap {first}"), "there is no upstream of this name; there is app"),
        (format!("add app {first}"), "has the address"),
        ("add app 127.0.0.1:1 --name backend-1".to_owned(), "remove it first, or choose another name"),
        ("add app nowhere".to_owned(), "has no port"),
        (
            "remove app/backend-3".to_owned(),
            "there is no backend of this name; there is backend-1, backend-2",
        ),
    ] {
        let refused = refusal(&balancer, &line);
        assert!(refused.contains(said), "{said} in {refused}");
    }
    ctl(&balancer, "remove app/backend-1");
    assert!(refusal(&balancer, "remove app/backend-2").contains("is the last backend of `app`"));
    assert_eq!(names(&balancer), ["backend-2"]);
}

#[test]
fn a_reload_keeps_changes_until_the_file_says_something_else() {
    let servers = [Backend::saying("1"), Backend::saying("2"), Backend::saying("3"), Backend::saying("4")];
    let [first, second, third, fourth] = &servers;
    let setup = Setup::over([first, second]);
    let balancer = setup.start();
    ctl(&balancer, &format!("add app {} --name extra --weight 3", third.address));
    ctl(&balancer, "remove app/backend-1");
    ctl(&balancer, "weight app/backend-2 7");
    let expected = |weight, extra: &Backend, of_extra| {
        [("backend-2", second.address, weight), ("extra", extra.address, of_extra)]
            .map(|(name, address, weight)| (name.to_owned(), address.to_string(), weight))
    };
    let present = || {
        let backends = backends(&balancer).into_iter();
        backends.map(|(name, address, weight, _)| (name, address, weight)).collect::<Vec<_>>()
    };
    balancer.rewrite(&setup.clone().upstream("response_header: true").yaml());
    assert_eq!(ctl(&balancer, "reload"), "the configuration is in force, number 2 of this process");
    assert_eq!(present(), expected(7, third, 3), "the file says of them what it said before");
    // The file has taken up what was changed, and puts `extra` elsewhere.
    let taken_up = format!(
        "backends: [{{ name: backend-2, address: '{}', weight: 5 }}, {{ name: extra, address: '{}' }}]",
        second.address, fourth.address
    );
    let before = format!("backends: [{}, {}]", first.address, second.address);
    balancer.rewrite(&setup.yaml().replace(&before, &taken_up));
    let told = ctl(&balancer, "reload");
    assert!(told.contains("app/extra at run time is left out: it is named"), "{told}");
    assert!(told.contains("app/backend-2 at run time is left out: it has another weight, 5"), "{told}");
    assert_eq!(present(), expected(5, fourth, 1), "the file is the truth");
}

/// A directory for what a balancer keeps, and the admin section that names a socket and a file of changes in it.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn changes(&self) -> PathBuf {
        self.0.path().join("changes.json")
    }

    fn socket(&self) -> PathBuf {
        self.0.path().join("admin.sock")
    }

    fn admin(&self) -> String {
        format!(
            "admin: {{ address: '127.0.0.1:0', token: '{TOKEN}', changes: '{}', socket: '{}' }}",
            self.changes().display(),
            self.socket().display()
        )
    }
}

const TOKEN: &str = "correct-horse-battery";

#[test]
fn changes_that_are_kept_hold_again_after_a_restart() {
    let servers = [Backend::saying("1"), Backend::saying("2"), Backend::saying("3"), Backend::saying("4")];
    let home = Home::new();
    let setup = Setup::over(&servers[..3]).upstream("slow_start: off").top(&home.admin());
    let balancer = setup.start();
    assert!(!home.changes().exists(), "nothing was changed yet");
    ctl(&balancer, "maint app/backend-1");
    ctl(&balancer, "weight app/backend-2 5");
    ctl(&balancer, "remove app/backend-3");
    ctl(&balancer, &format!("add app {} --name extra", servers[3].address));
    let before = backends(&balancer);
    let states: Vec<_> = before.iter().map(|(name, _, weight, state)| (&**name, *weight, &**state)).collect();
    assert_eq!(states, [("backend-1", 1, "draining"), ("backend-2", 5, "up"), ("extra", 1, "up")]);
    // Killed, not ended: what was answered is on the disk.
    drop(balancer);
    let balancer = setup.start();
    assert_eq!(backends(&balancer), before);
    let answers: Vec<_> = (0..12).map(|_| balancer.get("/").text().to_owned()).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "2").count(), 10, "by its weight: {answers:?}");
    assert_eq!(answers.iter().filter(|answer| *answer == "4").count(), 2, "{answers:?}");
    ctl(&balancer, "ready app/backend-1");
    drop(balancer);
    let fewer = Setup::over(&servers[..1]).top(&home.admin()).start();
    assert_eq!(names(&fewer), ["backend-1", "extra"]);
    logged(&fewer, "app/backend-2 at run time is left out: it is not named any more", 1);
}

#[test]
fn what_is_no_file_of_changes_prevents_a_start_and_is_left_alone() {
    let home = Home::new();
    let setup = Setup::over([&Backend::saying("1")]).top(&home.admin());
    let text = "{\n  \"version\": 1,\n  \"changes\": [ { \"upstream\": \"app\" } ]\n}";
    std::fs::write(home.changes(), text).expect("it can be written");
    let file = home.0.path().join("plimsoll.yaml");
    std::fs::write(&file, setup.yaml()).expect("it can be written");
    for command in ["run", "check"] {
        let output = plimsoll(&[command, "-c", file.to_str().expect("UTF-8")]);
        let problem = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{problem}");
        assert!(
            problem.contains("changes.json:3:") && problem.contains("missing field `backend`"),
            "{problem}"
        );
    }
    assert_eq!(std::fs::read_to_string(home.changes()).expect("it is there"), text);
    std::fs::remove_file(home.changes()).expect("it is there");
    let balancer = setup.start();
    ctl(&balancer, "drain app/backend-1");
    let check = said(&plimsoll(&["check", "-c", file.to_str().expect("UTF-8")]));
    assert!(check.ends_with("; 1 change at run time"), "{check}");
}

#[test]
fn a_change_that_cannot_be_kept_holds_and_says_so() {
    let home = Home::new();
    let setup = Setup::over([&Backend::saying("1")]);
    let nowhere = home.0.path().join("later/changes.json");
    let balancer =
        setup.top(&format!("admin: {{ address: '127.0.0.1:0', changes: '{}' }}", nowhere.display())).start();
    let told = refusal(&balancer, "drain app/backend-1");
    assert!(
        told.contains("the change holds until the process ends") && told.contains("later/changes.json"),
        "{told}"
    );
    assert_eq!(backends(&balancer)[0].3, "draining");
    std::fs::create_dir(nowhere.parent().expect("it has one")).expect("it can be made");
    ctl(&balancer, "drain app/backend-1");
    assert!(nowhere.exists(), "the next one writes what is missing");
}

fn plimsoll(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.args(arguments).env_remove("PLIMSOLL_LOG").output().expect("the binary was built with the tests")
}

fn ctl_by(socket: &Path, line: &str) -> Output {
    let words = line.split(' ').chain(["--socket", socket.to_str().expect("UTF-8")]);
    plimsoll(&["ctl"].into_iter().chain(words).collect::<Vec<_>>())
}

#[test]
fn who_may_open_the_socket_may_change_what_runs() {
    let home = Home::new();
    let backends = [Backend::saying("1"), Backend::saying("2")];
    let mut balancer = Setup::over(&backends).top(&home.admin()).start();
    let socket = home.socket();
    let mode = std::fs::metadata(&socket).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600, "for the owner alone");
    assert_eq!(said(&ctl_by(&socket, "ping --ready")), "ready");
    assert_eq!(said(&ctl_by(&socket, "drain app/backend-1")), "app/backend-1 is draining, 0 in flight");
    let uid = rustix::process::getuid().as_raw();
    let line = logged(&balancer, "\"message\":\"an operator drains it\"", 1).remove(0);
    assert!(line.contains(&format!("\"by\":\"uid {uid}\"")), "{line}");
    assert_eq!(
        said(&ctl_by(&socket, "weight app/backend-2 4")),
        "app/backend-2 is up, 0 in flight, of weight 4"
    );
    assert!(said(&ctl_by(&socket, "why")).contains("none that is remembered"));
    balancer.signal(Signal::TERM);
    assert!(balancer.wait().success());
    assert!(!socket.exists(), "it goes with the process");
    let nobody = ctl_by(&socket, "ping");
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("is plimsoll running"), "{nobody:?}");
}

#[test]
fn a_socket_that_a_killed_process_left_is_taken_over_and_one_that_is_served_is_not() {
    let home = Home::new();
    let backend = Backend::saying("1");
    let setup = Setup::over([&backend]).top(&home.admin());
    drop(setup.start());
    assert!(home.socket().exists(), "a process that is killed leaves it");
    let balancer = setup.start();
    assert_eq!(said(&ctl_by(&home.socket(), "ping")), "live");
    let file = home.0.path().join("plimsoll.yaml");
    std::fs::write(&file, setup.yaml()).expect("it can be written");
    let output = plimsoll(&["run", "-c", file.to_str().expect("UTF-8")]);
    let problem = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{problem}");
    assert!(problem.contains("a process that lives serves the admin socket"), "{problem}");
    assert_eq!(said(&ctl_by(&home.socket(), "ping")), "live", "the first one is not disturbed");
    balancer.reload(&setup.yaml().replace("admin.sock", "other.sock"));
    // A reload leaves the socket where it is, and says so.
    logged(&balancer, "`admin` changed", 1);
    assert_eq!(said(&ctl_by(&home.socket(), "ping")), "live");
}

#[test]
fn the_status_page_speaks_to_prometheus_as_that_of_lua_resty_upstream_healthcheck() {
    let balancer = Setup::over([&Backend::saying("1"), &Backend::saying("2")]).start();
    ctl(&balancer, "drain app/backend-2");
    let page = balancer.ask_admin("/check?format=prometheus");
    assert_eq!(page.head.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let (is_valid, words) = promtool(&page.body);
    assert!(is_valid, "{words}");
    let [up, down] = ["UP", "DOWN"].map(|status| {
        let second = backends(&balancer)[1].1.clone();
        format!("nginx_upstream_status_info{{name=\"app\",endpoint=\"{second}\",status=\"{status}\",role=\"PRIMARY\"}}")
    });
    assert!(page.text().contains(&format!("{up} 0\n{down} 1\n")), "{}", page.text());
    assert!(balancer.ask_admin("/check").text().starts_with("Upstream app: 1 of 2"), "people get the report");
}
