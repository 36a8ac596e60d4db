//! The balancer as a child process: the real binary, a configuration file, signals, and its two kinds of address.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use super::metrics::Metrics;
use super::wire::{Message, Wire};
use super::{eventually, eventually_ok};

/// A running balancer. It is killed when it is dropped.
pub(crate) struct Balancer {
    child: Child,
    config: tempfile::NamedTempFile,
    log: Arc<Mutex<Vec<String>>>,
    /// Where it accepts traffic.
    pub(crate) address: SocketAddr,
    /// Where it answers its operator.
    pub(crate) admin: SocketAddr,
}

impl Balancer {
    /// Starts the balancer with the configuration `yaml` and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(yaml: &str) -> Self {
        Self::start_by(&[], yaml)
    }

    /// Starts the balancer as an argument of the command `prefix`, which must become it.
    #[track_caller]
    pub(crate) fn start_by(prefix: &[String], yaml: &str) -> Self {
        let config =
            tempfile::Builder::new().suffix(".yaml").tempfile().expect("a temporary file can be made");
        std::fs::write(config.path(), yaml).expect("the temporary file can be written");
        let path = config.path().to_str().expect("the temporary directory has a name in UTF-8");
        let own = [env!("CARGO_BIN_EXE_plimsoll"), "run", "-c", path];
        let words: Vec<&str> = prefix.iter().map(String::as_str).chain(own).collect();
        let mut child = Command::new(words[0])
            .args(&words[1..])
            // Its tests read the log, whatever the developer has set.
            .env_remove("PLIMSOLL_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::inherit())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was built with the tests");
        let log = collect(&mut child);
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut balancer = Self { child, config, log, address: nowhere, admin: nowhere };
        balancer.address = balancer.announced("\"listening\"", yaml);
        balancer.admin = balancer.announced("\"admin listening\"", yaml);
        eventually("the balancer is ready", || balancer.ask_admin("/ready").status() == 200);
        balancer
    }

    /// Waits for the log line `message` and returns the address in it.
    #[track_caller]
    fn announced(&mut self, message: &str, yaml: &str) -> SocketAddr {
        eventually_ok(|| {
            let ended = self.child.try_wait().ok().flatten();
            assert!(
                ended.is_none(),
                "the balancer ended ({ended:?}):\n{}\nwith\n{yaml}",
                self.log().join("\n")
            );
            let log = self.log();
            let line = log.iter().find(|line| line.contains(message));
            line.and_then(|line| address_in(line)).ok_or_else(|| format!("the balancer logs {message:?}"))
        })
    }

    /// Opens a connection as a client.
    #[track_caller]
    pub(crate) fn connect(&self) -> Wire {
        Wire::connect(self.address)
    }

    /// Sends one request on a connection of its own.
    #[track_caller]
    pub(crate) fn ask(&self, request: impl AsRef<[u8]>) -> Message {
        self.connect().exchange(request)
    }

    /// Gets `path` on a connection of its own.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Message {
        self.ask(format!("GET {path} HTTP/1.1\r\nhost: example.org\r\nconnection: close\r\n\r\n"))
    }

    /// Gets `path` from the admin server.
    #[track_caller]
    pub(crate) fn ask_admin(&self, path: &str) -> Message {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        Wire::connect(self.admin).exchange(request)
    }

    /// Asks the admin server by `plimsoll ctl`.
    #[track_caller]
    pub(crate) fn ctl(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        command.arg("ctl").args(arguments).arg("--admin").arg(self.admin.to_string());
        command.output().expect("the binary was built with the tests")
    }

    /// The metrics as they are now.
    #[track_caller]
    pub(crate) fn metrics(&self) -> Metrics {
        Metrics { text: self.ask_admin("/metrics").text().to_owned() }
    }

    /// Waits until the samples of `name` with `labels` add up to `value`: an exchange is recorded when its last byte
    /// has been written, which a client cannot see.
    #[track_caller]
    pub(crate) fn expect_metric(&self, name: &str, labels: &[&str], value: f64) {
        eventually_ok(|| {
            let metrics = self.metrics();
            let sum = metrics.sum(name, labels);
            let reached = (sum - value).abs() < 1e-9;
            reached.then_some(()).ok_or_else(|| {
                let page: String =
                    metrics.text.lines().filter(|line| line.starts_with(name)).collect::<Vec<_>>().join("\n");
                format!("{name}{labels:?} is {sum}, not {value}:\n{page}")
            })
        });
    }

    /// Writes another configuration and tells the balancer to load it.
    pub(crate) fn reload(&self, yaml: &str) {
        self.rewrite(yaml);
        self.signal(Signal::HUP);
    }

    /// Writes another configuration and leaves it at that.
    pub(crate) fn rewrite(&self, yaml: &str) {
        std::fs::write(self.config.path(), yaml).expect("the temporary file can be written");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a child has a pid"), signal).expect("a child can be signalled");
    }

    /// Stops the process where it is, until it gets [`Signal::CONT`]; the kernel goes on accepting for it.
    #[track_caller]
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
        let status = format!("/proc/{}/status", self.child.id());
        eventually("the process is stopped", || {
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            status.lines().any(|line| line.starts_with("State:") && line.contains("(stopped)"))
        });
    }

    /// Waits for the process to end by itself.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually_ok(|| {
            let status = self.child.try_wait().expect("a child can be waited for");
            status.ok_or_else(|| "the balancer ends".to_owned())
        })
    }

    /// How many file descriptors the process has open.
    pub(crate) fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(folder).expect("a child's descriptors can be listed").count()
    }

    /// What the balancer logged so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            // Shown by the test runner below the failure, and by nobody else.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), self.log().join("\n").as_bytes());
        }
    }
}

/// Collects the child's log on a thread, so that its pipe never fills.
fn collect(child: &mut Child) -> Arc<Mutex<Vec<String>>> {
    let stderr = child.stderr.take().expect("invariant: the child's stderr is piped");
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    let shared = Arc::clone(&log);
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            shared.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
    log
}

/// The address in a log line in JSON.
fn address_in(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").unwrap_or(&line);
    fields.get("address")?.as_str()?.parse().ok()
}
