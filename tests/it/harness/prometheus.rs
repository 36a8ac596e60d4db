//! Prometheus, Pushgateway and Alertmanager from Debian's packages, with the configuration that is in `monitoring/`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use super::program::Program;
use super::wire::Wire;
use super::{free_address, pause};

/// How long anything may take until Prometheus has seen it and Alertmanager has heard of it: scrapes, rules and alerts have
/// their own times, and the machine is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(180);

/// How often things are scraped, computed and pushed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As the files in `monitoring/` say, which are used as they are but for addresses.
    AsWritten,
    /// Whatever they say, once a second, for what does not depend on times.
    EverySecond,
}

/// A running Prometheus with what belongs to it.
pub(crate) struct Prometheus {
    _program: Program,
    _alertmanager: Program,
    _pushgateway: Program,
    address: SocketAddr,
    alertmanager: SocketAddr,
}

/// Where agents push to, to be known before Prometheus is told where it finds the agents.
pub(crate) struct Pushgateway {
    program: Program,
    pub(crate) address: SocketAddr,
}

impl Pushgateway {
    #[track_caller]
    pub(crate) fn start(folder: &TempDir) -> Self {
        let address = free_address();
        let listen = format!("--web.listen-address={address}");
        // Debian's default is a file that other runs would find again.
        let arguments = [&listen, "--persistence.file="];
        let mut program = Program::start(folder.path(), "prometheus-pushgateway", arguments);
        program.expect_ready(address, "/-/ready");
        Self { program, address }
    }
}

impl Prometheus {
    /// Starts it, and the Alertmanager that it tells. `targets` are the addresses of what `monitoring/prometheus.yml`
    /// knows by a name, by that name.
    #[track_caller]
    pub(crate) fn start(
        folder: &TempDir,
        pushgateway: Pushgateway,
        targets: &[(&str, SocketAddr)],
        pace: Pace,
    ) -> Self {
        let (address, alertmanager_address) = (free_address(), free_address());
        let monitoring = Path::new(env!("CARGO_MANIFEST_DIR")).join("monitoring");
        let own = [
            ("localhost", address),
            ("alertmanager", alertmanager_address),
            ("pushgateway", pushgateway.address),
        ];
        let targets: Vec<_> = own.iter().chain(targets).copied().collect();
        configure(&monitoring, folder.path(), &targets, pace);
        let alertmanager_yml = monitoring.join("alertmanager.yml");
        let arguments = [
            format!("--config.file={}", alertmanager_yml.display()),
            format!("--web.listen-address={alertmanager_address}"),
            "--cluster.listen-address=".to_owned(),
            "--storage.path=alertmanager".to_owned(),
        ];
        let mut alertmanager = Program::start(folder.path(), "prometheus-alertmanager", arguments);
        alertmanager.expect_ready(alertmanager_address, "/-/ready");
        let arguments = [
            "--config.file=prometheus.yml".to_owned(),
            "--storage.tsdb.path=data".to_owned(),
            // As in compose.yaml.
            "--enable-feature=exemplar-storage".to_owned(),
            format!("--web.listen-address={address}"),
        ];
        let mut program = Program::start(folder.path(), "prometheus", arguments);
        program.expect_ready(address, "/-/ready");
        Self {
            _program: program,
            _alertmanager: alertmanager,
            _pushgateway: pushgateway.program,
            address,
            alertmanager: alertmanager_address,
        }
    }

    /// Waits until an expression has so many series, or more.
    #[track_caller]
    pub(crate) fn expect(&self, expr: &str, series: usize) {
        wait_for(|| {
            let found = self.query(expr)?;
            let enough = found.len() >= series;
            enough.then_some(()).ok_or_else(|| format!("not {series} series of {expr}: {found:?}"))
        });
    }

    /// Waits until an expression has no series.
    #[track_caller]
    pub(crate) fn expect_none(&self, expr: &str) {
        wait_for(|| {
            let found = self.query(expr)?;
            found.is_empty().then_some(()).ok_or_else(|| format!("{expr} has series: {found:?}"))
        });
    }

    /// Waits until `is_so` finds in what Prometheus says at `path` of its API what it looks for.
    #[track_caller]
    pub(crate) fn expect_page(&self, path: &str, is_so: impl Fn(&Value) -> Result<(), String>) {
        wait_for(|| is_so(&get(self.address, &format!("/api/v1/{path}"))?["data"]));
    }

    /// Waits until `is_so` finds in the list of Alertmanager's alerts what it looks for.
    #[track_caller]
    pub(crate) fn expect_alerts(&self, is_so: impl Fn(&[Value]) -> Result<(), String>) {
        wait_for(|| {
            let alerts = get(self.alertmanager, "/api/v2/alerts")?;
            is_so(alerts.as_array().map_or(&[], Vec::as_slice))
        });
    }

    /// The series that an expression has now.
    ///
    /// # Errors
    /// What Prometheus says against the expression.
    #[track_caller]
    pub(crate) fn query(&self, expr: &str) -> Result<Vec<Value>, String> {
        self.ask("query", &[("query", expr)])
    }

    /// The series that an expression has over the last `seconds`, second by second.
    ///
    /// # Errors
    /// What Prometheus says against the expression.
    #[track_caller]
    pub(crate) fn query_range(&self, expr: &str, seconds: u64) -> Result<Vec<Value>, String> {
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is after 1970");
        let (start, end) = ((now.as_secs() - seconds).to_string(), now.as_secs().to_string());
        self.ask("query_range", &[("query", expr), ("start", &start), ("end", &end), ("step", "1")])
    }

    #[track_caller]
    fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Vec<Value>, String> {
        let body: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let body = body.join("&");
        let request = format!(
            "POST /api/v1/{path} HTTP/1.1\r\nhost: prometheus\r\nconnection: close\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = Wire::connect(self.address).exchange(request);
        let answer: Value = serde_json::from_str(answer.text()).map_err(|error| error.to_string())?;
        match answer.pointer("/data/result").and_then(Value::as_array) {
            Some(series) => Ok(series.clone()),
            None => Err(answer["error"].as_str().unwrap_or("no result").to_owned()),
        }
    }
}

/// Waits until `attempt` succeeds; fails the test with what it last said when it does not in time.
#[track_caller]
fn wait_for(mut attempt: impl FnMut() -> Result<(), String>) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(why) = attempt() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {why}");
        pause(Duration::from_millis(200));
    }
}

/// What a server says at a path of its API.
fn get(address: SocketAddr, path: &str) -> Result<Value, String> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let answer = Wire::connect(address).exchange(request);
    serde_json::from_str(answer.text()).map_err(|error| error.to_string())
}

/// Writes the configuration with addresses instead of names. The rules are those of `monitoring/`, or copies that are
/// computed every second.
fn configure(monitoring: &Path, folder: &Path, targets: &[(&str, SocketAddr)], pace: Pace) {
    let read = |path: &Path| std::fs::read_to_string(path).expect("a file of monitoring/ can be read");
    let every_second =
        Regex::new(r"(?m)^(\s*(?:scrape_|evaluation_)?interval): \w+$").expect("invariant: a constant");
    let quick = |text: &str| every_second.replace_all(text, "$1: 1s").into_owned();
    let named = Regex::new(r#""([a-z0-9-]+):\d+""#).expect("invariant: a constant pattern");
    let config = read(&monitoring.join("prometheus.yml"));
    let config = named.replace_all(&config, |found: &regex::Captures<'_>| {
        let target = targets.iter().find(|(name, _)| *name == &found[1]);
        let (_, address) = target.expect("every target has an address");
        format!("\"{address}\"")
    });
    let write = |config: &str| std::fs::write(folder.join("prometheus.yml"), config);
    if pace == Pace::AsWritten {
        write(&config).expect("the configuration can be written");
        std::os::unix::fs::symlink(monitoring.join("rules"), folder.join("rules"))
            .expect("a link can be made");
        return;
    }
    write(&quick(&config)).expect("the configuration can be written");
    std::fs::create_dir(folder.join("rules")).expect("a folder can be made");
    for file in std::fs::read_dir(monitoring.join("rules")).expect("there are rules").flatten() {
        if file.file_type().is_ok_and(|kind| kind.is_file()) {
            let rules = quick(&read(&file.path()));
            std::fs::write(folder.join("rules").join(file.file_name()), rules).expect("rules can be written");
        }
    }
}

/// A value of a form, percent-encoded.
fn encoded(value: &str) -> String {
    value.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() {
            text.push(byte.into());
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}
