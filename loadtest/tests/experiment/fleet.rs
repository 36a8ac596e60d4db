//! Real programs: three backends under their agents, the balancer, and Debian's Prometheus that scrapes them.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// Everything that runs; killed when dropped.
pub(crate) struct Fleet {
    pub(crate) backends: Vec<Child>,
    /// What each backend was started by.
    pub(crate) commands: Vec<Vec<String>>,
    addresses: Vec<SocketAddr>,
    web: SocketAddr,
    admin: SocketAddr,
    prometheus: SocketAddr,
    _balancer: Child,
    _prometheus: Child,
    _folder: TempDir,
}

impl Fleet {
    /// Starts everything; the experiment itself waits until it is ready.
    pub(crate) async fn start() -> Fleet {
        let folder = tempfile::tempdir().unwrap();
        let addresses: Vec<SocketAddr> = (0..3).map(|_| free_address()).collect();
        let agents: Vec<SocketAddr> = (0..3).map(|_| free_address()).collect();
        let commands: Vec<Vec<String>> =
            (0..3).map(|at| backend(at + 1, addresses[at], agents[at])).collect();
        let backends: Vec<Child> = commands.iter().map(|command| start(command)).collect();
        for address in &addresses {
            wait_for(*address).await;
        }
        let (web, admin, prometheus) = (free_address(), free_address(), free_address());
        let configuration = write(&folder, "plimsoll.yaml", &balancer(web, admin, &addresses));
        let scrapes = write(&folder, "prometheus.yml", &scrapes(admin, &agents));
        let balancer = start(&[program("plimsoll"), "run".into(), "-c".into(), configuration]);
        let data = folder.path().join("data");
        let prometheus_program = start(&[
            "prometheus".to_owned(),
            format!("--config.file={scrapes}"),
            format!("--storage.tsdb.path={}", data.display()),
            format!("--web.listen-address={prometheus}"),
        ]);
        Fleet {
            backends,
            commands,
            addresses,
            web,
            admin,
            prometheus,
            _balancer: balancer,
            _prometheus: prometheus_program,
            _folder: folder,
        }
    }

    /// Where the load goes, the balancer's admin interface, and Prometheus.
    pub(crate) fn urls(&self) -> (String, String, String) {
        let [web, admin, prometheus] = [self.web, self.admin, self.prometheus];
        (format!("http://{web}/work/1"), format!("http://{admin}"), format!("http://{prometheus}"))
    }

    /// Waits until nobody listens where the backend at this position did.
    pub(crate) async fn expect_nobody_at(&self, backend: usize) {
        let deadline = Instant::now() + super::LONG;
        while TcpStream::connect(self.addresses[backend]).is_ok() {
            assert!(Instant::now() < deadline, "the backend that the experiment started still runs");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

fn backend(number: usize, address: SocketAddr, agent: SocketAddr) -> Vec<String> {
    let name = format!("backend-{number}");
    let agent = [program("backend-agent"), format!("--listen={agent}"), "--".into()];
    let backend = [program("demo-backend"), format!("--listen={address}"), format!("--name={name}")];
    // In a container the kernel sees to it that nothing outlives the first process.
    agent.into_iter().chain(backend).chain(["--exit-with-parent".to_owned()]).collect()
}

/// Checks alone take a backend out: on a machine that is busy with other tests, one may well be slower than its
/// peers.
fn balancer(web: SocketAddr, admin: SocketAddr, backends: &[SocketAddr]) -> String {
    let backends: String = backends.iter().map(|address| format!("      - {address}\n")).collect();
    format!(
        "admin:\n  address: {admin}\nlisteners:\n  web:\n    address: {web}\nupstreams:\n  app:\n    outliers: off\n    \
         health: {{http: /api/status, timeout: 900ms}}\n    backends:\n{backends}"
    )
}

fn scrapes(admin: SocketAddr, agents: &[SocketAddr]) -> String {
    let agents: String = (agents.iter().zip(1..))
        .map(|(agent, n)| format!("      - {{targets: ['{agent}'], labels: {{instance: backend-{n}}}}}\n"))
        .collect();
    format!(
        "global: {{scrape_interval: 500ms}}\nscrape_configs:\n  - job_name: plimsoll\n    honor_labels: true\n    \
         static_configs: [{{targets: ['{admin}']}}]\n  - job_name: backend-agent\n    static_configs:\n{agents}"
    )
}

fn write(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A program of this workspace, which was built into the same folder as the experiment.
fn program(name: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_BIN_EXE_experiment")).with_file_name(name);
    assert!(path.exists(), "{} is missing; run cargo test --workspace, or cargo build first", path.display());
    path.to_str().unwrap().to_owned()
}

fn start(command: &[String]) -> Child {
    let mut start = Command::new(&command[0]);
    start.args(&command[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = start.kill_on_drop(true).spawn();
    assert!(started.is_ok(), "{} cannot be started; ./check installs what the tests need", command[0]);
    started.unwrap()
}

async fn wait_for(address: SocketAddr) {
    let deadline = Instant::now() + super::LONG;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "nobody listens at {address}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// An address that was free a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    loadtest::program::free_address().expect("a port is free")
}
