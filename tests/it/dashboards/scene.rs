//! What is played before the dashboards are asked: three backends with agents, traffic, an outage, a reload.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use crate::harness::balancer::Balancer;
use crate::harness::place::Place;
use crate::harness::prometheus::{Pace, Prometheus, Pushgateway};
use crate::harness::setup::Setup;
use crate::harness::wire::Wire;
use crate::harness::{free_address, pause};

const NAMES: [&str; 3] = ["backend-1", "backend-2", "backend-3"];

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
        // Agents push to both, as in compose; the balancer is there when they have backends to balance over.
        let gateways = [pushgateway.address, free_address()];
        let mut places: Vec<_> =
            NAMES.iter().map(|name| Place::fill(name, &folder, &gateways, Pace::EverySecond)).collect();
        let setup = Setup::at(places.iter().map(|place| place.backend))
            .upstream("health: { http: /api/status }")
            .upstream("limits: { in_flight: 100 }")
            .top(&format!("admin: {{ address: \"{}\" }}", gateways[1]));
        let balancer = setup.start();
        let mut targets = vec![("plimsoll", balancer.admin)];
        targets.extend(places.iter().map(|place| (place.name, place.agent)));
        let prometheus = Prometheus::start(&folder, pushgateway, &targets, Pace::EverySecond);
        let traffic = Traffic::start(balancer.address);

        // From here on a counter that has not moved yet is seen to move.
        prometheus.expect("up == 1", 7);
        prometheus.expect("rate(plimsoll_attempts_total{outcome=\"ok\"}[8s]) > 0", 3);
        prometheus.expect("instance:cpu_usage:fresh", 3);
        prometheus.expect("plimsoll_push_groups == 3", 1);
        places[0].kill();
        prometheus.expect("plimsoll_backend_state == 0", 1);
        places[0].start(&folder);
        prometheus.expect("plimsoll_backend_state == 1", 3);
        balancer.reload(&setup.yaml());
        prometheus.expect("plimsoll_config_generation > 1", 1);
        prometheus.expect("upstream:plimsoll_error_budget:remaining_ratio", 1);
        Self { prometheus, since, _traffic: traffic, _balancer: balancer, _places: places, _folder: folder }
    }

    /// How long ago it began.
    pub(super) fn seconds(&self) -> u64 {
        self.since.elapsed().as_secs() + 1
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
