//! What is played before the dashboards are asked: three backends with agents, traffic, an outage, a reload.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use crate::harness::balancer::Balancer;
use crate::harness::program::Program;
use crate::harness::prometheus::{Prometheus, Pushgateway};
use crate::harness::setup::Setup;
use crate::harness::wire::Wire;
use crate::harness::{free_address, pause};

const NAMES: [&str; 3] = ["backend-1", "backend-2", "backend-3"];

/// How long Prometheus may take to see what happened, on a machine that is busy with other tests.
const LONG: Duration = Duration::from_secs(60);

/// Everything that runs, and what Prometheus saw of it.
pub(super) struct Scene {
    pub(super) prometheus: Prometheus,
    since: Instant,
    _traffic: Traffic,
    _balancer: Balancer,
    _places: Vec<Place>,
    _folder: TempDir,
}

impl Scene {
    /// Plays it; returns when Prometheus has seen the end.
    #[track_caller]
    pub(super) fn play() -> Self {
        let folder = TempDir::new().expect("a folder can be made");
        let since = Instant::now();
        let pushgateway = Pushgateway::start(&folder);
        let mut places: Vec<_> =
            NAMES.iter().map(|name| Place::fill(name, &folder, pushgateway.address)).collect();
        let setup = Setup::at(places.iter().map(|place| place.backend))
            .upstream("health: { http: /api/status }")
            .upstream("limits: { in_flight: 100 }");
        let balancer = setup.start();
        let mut targets = vec![("plimsoll", balancer.admin)];
        targets.extend(places.iter().map(|place| (place.name, place.agent)));
        let prometheus = Prometheus::start(&folder, pushgateway, &targets);
        let traffic = Traffic::start(balancer.address);

        // From here on a counter that has not moved yet is seen to move.
        expect(&prometheus, "up == 1", 7);
        expect(&prometheus, "rate(plimsoll_attempts_total{outcome=\"ok\"}[8s]) > 0", 3);
        expect(&prometheus, "instance:cpu_usage:fresh", 3);
        places[0].processes = None;
        expect(&prometheus, "plimsoll_backend_state == 0", 1);
        places[0].start(&folder);
        expect(&prometheus, "plimsoll_backend_state == 1", 3);
        balancer.reload(&setup.yaml());
        expect(&prometheus, "plimsoll_config_generation > 1", 1);
        expect(&prometheus, "upstream:plimsoll_error_budget:remaining_ratio", 1);
        Self { prometheus, since, _traffic: traffic, _balancer: balancer, _places: places, _folder: folder }
    }

    /// How long ago it began.
    pub(super) fn seconds(&self) -> u64 {
        self.since.elapsed().as_secs() + 1
    }
}

/// Waits until an expression has so many series.
#[track_caller]
fn expect(prometheus: &Prometheus, expr: &str, series: usize) {
    let deadline = Instant::now() + LONG;
    loop {
        let found = prometheus.query(expr).expect("the expression is right");
        if found.len() >= series {
            return;
        }
        assert!(Instant::now() < deadline, "not {series} series of {expr} within {LONG:?}: {found:?}");
        pause(Duration::from_millis(100));
    }
}

/// A place for a backend: its addresses, and while it is there its process and the agent beside it.
struct Place {
    name: &'static str,
    backend: SocketAddr,
    agent: SocketAddr,
    gateway: SocketAddr,
    processes: Option<[Program; 2]>,
}

impl Place {
    #[track_caller]
    fn fill(name: &'static str, folder: &TempDir, gateway: SocketAddr) -> Self {
        let mut place =
            Self { name, backend: free_address(), agent: free_address(), gateway, processes: None };
        place.start(folder);
        place
    }

    #[track_caller]
    fn start(&mut self, folder: &TempDir) {
        let [listen, agent_listen] = [self.backend, self.agent].map(|address| format!("--listen={address}"));
        let name = format!("--name={}", self.name);
        let mut backend = Program::own(folder.path(), ["demo-process", "backend", &name, &listen]);
        backend.expect_ready(self.backend, "/");
        let [process, push, instance] = [
            format!("--process={}", backend.pid()),
            format!("--push=http://{}", self.gateway),
            format!("--instance={}", self.name),
        ];
        let beside = ["--interval=200ms", "--push-interval=500ms", &agent_listen, &process, &push, &instance];
        let mut agent = Program::own(folder.path(), ["demo-process", "agent"].iter().chain(&beside));
        agent.expect_ready(self.agent, "/metrics");
        self.processes = Some([backend, agent]);
    }
}

/// A client that asks as fast as it is answered, until it is dropped.
struct Traffic {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Traffic {
    fn start(address: SocketAddr) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                let mut wire = Wire::connect(address);
                for _ in 0..100 {
                    let answer = wire.exchange("GET /work/1 HTTP/1.1\r\nhost: example.org\r\n\r\n");
                    assert_eq!(answer.status(), 200, "clients notice nothing");
                    pause(Duration::from_millis(2));
                }
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(
            thread::panicking() || matches!(ended, Some(Ok(()))),
            "the traffic went on until it was told to end"
        );
    }
}
