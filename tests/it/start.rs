//! The start: either all of the process serves, or it says what is missing and ends.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};

use crate::harness::backend::Backend;
use crate::harness::setup::Setup;
use crate::harness::{eventually, eventually_ok, free_address};

/// Killed with the test, should it serve after all.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_process_whose_workers_cannot_run_does_not_become_ready() {
    // Enough descriptors for the sockets, of which there are two for each worker, but not for the workers' runtimes.
    let yaml = Setup::at([Backend::nobody()]).top("workers: 32").yaml();
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a temporary file can be made");
    std::fs::write(file.path(), yaml).expect("the temporary file can be written");
    let child = Command::new("sh")
        .args(["-c", "ulimit -n 110; exec \"$0\" run -c \"$1\"", env!("CARGO_BIN_EXE_plimsoll")])
        .arg(file.path())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("there is a shell");
    let mut started = Started(child);
    let status = eventually_ok(|| {
        let status = started.0.try_wait().expect("a child can be waited for");
        status.ok_or_else(|| "the process ends".to_owned())
    });
    let mut said = String::new();
    let stderr = started.0.stderr.as_mut().expect("invariant: it is piped");
    stderr.read_to_string(&mut said).expect("the log is text");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("worker ") && said.contains("cannot start"), "{said}");
    assert!(said.contains("open files") && !said.contains("\"serving\""), "{said}");
}

#[test]
fn a_backend_may_be_named_and_what_has_no_address_is_said() {
    let backend = Backend::saying("ok");
    let yaml = Setup::over([&backend]).yaml();
    let by_name = |host: &str| {
        let named = format!("{host}:{}", backend.address.port());
        yaml.replace(&backend.address.to_string(), &named)
    };
    let balancer = crate::harness::balancer::Balancer::start(&by_name("localhost"));
    assert_eq!(balancer.get("/").text(), "ok");
    // Neither is a new socket left behind.
    let free = free_address();
    let second = format!("listeners:\n  other: {{ address: \"{free}\" }}\n");
    balancer.reload(&by_name("nowhere.invalid").replacen("listeners:\n", &second, 1));
    balancer.expect_metric("plimsoll_config_reloads_total", &["result=\"failed\""], 1.0);
    assert_eq!(balancer.get("/").text(), "ok");
    eventually("the log names what was looked up", || {
        let log = balancer.log().join("\n");
        ["cannot resolve", "nowhere.invalid", "upstream app"].iter().all(|part| log.contains(part))
    });
    assert!(std::net::TcpStream::connect(free).is_err(), "nothing listens for a reload that failed");
}
