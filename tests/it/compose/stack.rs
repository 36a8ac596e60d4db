//! The stack of compose.yaml under a project name of its own, and questions to what runs in it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{PATIENCE, pause, within};

/// Names the project, and so says that the test is wanted.
const PROJECT: &str = "COMPOSE_TEST_PROJECT";

/// A running stack. It is taken down, with all that it recorded, when it is dropped.
pub(crate) struct Stack {
    project: String,
    /// Of the services that were asked: to ask Docker takes longer than to ask them.
    addresses: RefCell<HashMap<(String, u16), SocketAddr>>,
}

impl Stack {
    /// Builds the images and starts the stack; returns when every service is healthy. None when nobody asked for it.
    #[track_caller]
    pub(crate) fn up() -> Option<Self> {
        let Some(project) = std::env::var(PROJECT).ok().filter(|project| !project.is_empty()) else {
            say(&format!("left out: it builds images for minutes; `./check compose` sets {PROJECT}"));
            return None;
        };
        let stack = Self { project, addresses: RefCell::default() };
        // It takes minutes, so that what Docker says is shown as it comes.
        let status = stack.command(&["up", "--detach", "--wait", "--quiet-pull"]).status();
        assert!(status.is_ok_and(|status| status.success()), "the stack comes up; what Docker says is above");
        Some(stack)
    }

    /// Runs `docker compose` and returns what it writes.
    #[track_caller]
    pub(crate) fn compose(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.run(arguments);
        let said = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "docker compose {arguments:?}: {status}\n{said}");
        String::from_utf8_lossy(&stdout).trim().to_owned()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("docker can be run")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(["compose", "--project-name", &self.project]).args(arguments);
        command.current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("COMPOSE_PROFILES");
        // Any free port, so that a stack which somebody works with is not in the way.
        for port in ["TRAFFIC", "ADMIN", "PROMETHEUS", "PUSHGATEWAY", "ALERTMANAGER", "JAEGER", "GRAFANA"] {
            command.env(format!("{port}_PORT"), "0");
        }
        command
    }

    /// Where a port of a service is published.
    #[track_caller]
    pub(crate) fn address(&self, service: &str, port: u16) -> SocketAddr {
        *self.addresses.borrow_mut().entry((service.to_owned(), port)).or_insert_with(|| {
            let address = self.compose(&["port", service, &port.to_string()]);
            address.parse().expect("a published port has an address")
        })
    }

    /// What Docker tells of a service's container, in the words of a template.
    #[track_caller]
    pub(crate) fn inspect(&self, service: &str, template: &str) -> String {
        inspect(&self.compose(&["ps", "--all", "--quiet", service]), template)
    }

    /// Gets a path of a service as JSON.
    ///
    /// By HTTP/1.0, whose bodies end with the connection, and with more patience than for the balancer: whoever keeps the
    /// record may be slow.
    pub(crate) fn json(&self, (service, port): (&str, u16), path: &str) -> Result<Value, String> {
        let address = self.address(service, port);
        let ask = || {
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(Duration::from_secs(60)))?;
            write!(stream, "GET {path} HTTP/1.0\r\nhost: {service}\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = ask().map_err(|error: std::io::Error| format!("{service} does not answer: {error}"))?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).map_err(|error| format!("{service} answers {answer:?}: {error}"))
    }

    /// The value of each series that Prometheus finds for `query`.
    pub(crate) fn query(&self, query: &str) -> Result<Vec<f64>, String> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let told = self.json(("prometheus", 9090), &format!("/api/v1/query?query={encoded}"))?;
        let series = told["data"]["result"].as_array().ok_or_else(|| format!("{query}: {told}"))?;
        Ok(series.iter().filter_map(|one| one["value"][1].as_str()?.parse().ok()).collect())
    }

    /// Waits until every series of `query` has the value `expected`, and there is one.
    #[track_caller]
    pub(crate) fn expect(&self, patience: Duration, query: &str, expected: f64) {
        within(patience, || {
            let values = self.query(query)?;
            let all = !values.is_empty() && values.iter().all(|value| (value - expected).abs() < 1e-9);
            if !all {
                pause(Duration::from_millis(100));
            }
            all.then_some(()).ok_or_else(|| format!("{query} is {values:?}, not {expected}"))
        });
    }

    /// Whether the Pushgateway holds what this backend's agent pushed.
    #[track_caller]
    pub(crate) fn is_pushed(&self, backend: &str) -> bool {
        let groups = self.json(("pushgateway", 9091), "/api/v1/metrics").expect("a Pushgateway answers");
        let groups = groups["data"].as_array().expect("a Pushgateway lists its groups");
        groups
            .iter()
            .any(|group| group["labels"]["instance"] == backend && group["labels"]["job"] == "cpu_usage")
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if thread::panicking() {
            for arguments in [["ps", "--all"], ["logs", "--tail=30"]] {
                say(&String::from_utf8_lossy(&self.run(&arguments).stdout));
            }
        }
        // On a machine that is overloaded Docker gives up on a container that ends too slowly.
        for _ in 0..3 {
            let down =
                self.run(&["--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "10"]);
            if down.status.success() {
                return;
            }
            say(&format!("not taken down: {}", String::from_utf8_lossy(&down.stderr)));
        }
    }
}

/// What Docker tells of a container or an image, in the words of a template.
#[track_caller]
pub(crate) fn inspect(what: &str, template: &str) -> String {
    let arguments = ["inspect", "--format", template, what];
    let told = Command::new("docker").args(arguments).output().expect("docker can be run");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    String::from_utf8_lossy(&told.stdout).trim().to_owned()
}

/// Tells whoever runs the tests.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// How long something may take that is scraped every five seconds, after it has happened.
pub(crate) const SCRAPED: Duration = PATIENCE;
