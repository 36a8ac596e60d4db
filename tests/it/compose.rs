//! The stack of compose.yaml for real: it comes up, a backend dies in it, clients do not notice and Prometheus does.
//!
//! It needs Docker, and minutes to build the images: `./check compose` runs it, every other run says that it left it out.

mod stack;

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use loadtest::load::{Load, Observer};
use loadtest::plan::Plan;
use loadtest::report::Report;

use self::stack::{SCRAPED, Stack};
use crate::harness::{pause, within};

/// How long a change may take that waits for several scrapes, as a rule over a minute does.
const PATIENT: Duration = Duration::from_secs(90);

/// What Prometheus knows of a backend: 0 is down, 1 is up.
const STATE: &str = "plimsoll_backend_state{upstream=\"app\",backend=\"backend-1\"}";

/// The phase of the load in which backend-1 is known to be down.
const WITHOUT: &str = "without it";

/// Whether a container runs, and where, as a template for `docker inspect`.
const STATUS: &str = "{{.State.Status}}";
const ADDRESS: &str = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";

/// Clients that ask twenty times a second: enough to notice a gap, on a machine where nothing else gets a share either.
struct Clients {
    observer: Observer,
    run: JoinHandle<Report>,
}

impl Clients {
    fn start(address: SocketAddr) -> Self {
        let plan = Plan::new(&format!("http://{address}/"), 20.0, Duration::from_secs(3600));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let load =
            runtime.block_on(Load::new(plan.expect("the plan is valid"))).expect("the target has an address");
        Self { observer: load.observer(), run: thread::spawn(move || runtime.block_on(load.run())) }
    }

    fn stop(self) -> Report {
        self.observer.stop();
        self.run.join().expect("the clients report")
    }
}

/// The most that the balancer's and a backend's image may have, in bytes.
const IMAGE_MAX: u64 = 14_000_000;

#[test]
fn a_backend_that_is_killed_is_seen_and_missed_by_nobody() {
    let Some(stack) = Stack::up() else { return };
    for service in ["plimsoll", "backend-1"] {
        let image = stack.inspect(service, "{{.Image}}");
        let size = stack::inspect(&image, "{{.Size}}").parse::<u64>().expect("an image has a size");
        assert!(size <= IMAGE_MAX, "the image of {service} has {size} bytes");
    }
    everything_is_watched(&stack);
    let clients = Clients::start(stack.address("plimsoll", 8080));
    stack.expect(PATIENT, "count(instance:cpu_usage:fresh)", 3.0);
    stack.expect(PATIENT, "count(backend:plimsoll_traffic_share:ratio_rate1m > 0.25)", 3.0);
    let before = stack.inspect("backend-1", ADDRESS);
    killed(&stack, &clients);
    started(&stack, &clients, &before);
    stopped(&stack);
    let report = clients.stop();
    let failed: Vec<_> =
        report.phases.iter().map(|phase| (&phase.name, phase.failed, phase.longest_gap_ms)).collect();
    assert_eq!(report.failed, 0, "{failed:?} {:?}", report.failures);
    let without = report.phases.iter().find(|phase| phase.name == WITHOUT).expect("the phase was announced");
    assert_eq!(without.share["backend-1"], 0.0, "once it is known to be down, nobody is answered by it");
}

/// Every target is scraped, every rule is read, and Prometheus knows who is to be told of alerts.
fn everything_is_watched(stack: &Stack) {
    stack.expect(PATIENT, "count(up)", 7.0);
    stack.expect(PATIENT, "up", 1.0);
    stack.expect(SCRAPED, "plimsoll_backend_state", 1.0);
    stack.expect(SCRAPED, "prometheus_notifications_alertmanagers_discovered", 1.0);
    stack.expect(SCRAPED, "sum(prometheus_rule_evaluation_failures_total)", 0.0);
}

/// A killed backend is seen within ten seconds, stays dead, and what its agent pushed last is believed no more.
fn killed(stack: &Stack, clients: &Clients) {
    clients.observer.mark("failing");
    stack.compose(&["kill", "backend-1"]);
    stack.expect(Duration::from_secs(10), STATE, 0.0);
    clients.observer.mark(WITHOUT);
    stack.expect(PATIENT, "count(instance:cpu_usage:fresh)", 2.0);
    assert!(stack.is_pushed("backend-1"), "a Pushgateway never forgets");
    stack.expect(PATIENT, "count(ALERTS{alertname=\"PlimsollBackendDown\",alertstate=\"firing\"})", 1.0);
    within(PATIENT, || {
        let alerts = stack.json(("alertmanager", 9093), "/api/v2/alerts")?;
        let told = alerts.as_array().is_some_and(|alerts| {
            alerts.iter().any(|alert| alert["labels"]["alertname"] == "PlimsollBackendDown")
        });
        told.then_some(()).ok_or_else(|| {
            pause(Duration::from_millis(100));
            format!("Alertmanager knows {alerts}")
        })
    });
    assert_eq!(stack.inspect("backend-1", STATUS), "exited", "nobody starts what was killed by hand");
    stack.expect(SCRAPED, STATE, 0.0);
}

/// It comes back under another address, and gets its share.
fn started(stack: &Stack, clients: &Clients, before: &str) {
    // Takes the address that is free, the one that backend-1 had.
    stack.compose(&["run", "--detach", "--no-deps", "pushgateway"]);
    clients.observer.mark("starting");
    stack.compose(&["start", "backend-1"]);
    assert_ne!(stack.inspect("backend-1", ADDRESS), before, "the address was taken meanwhile");
    stack.expect(PATIENT, STATE, 1.0);
    stack.expect(PATIENT, "count(instance:cpu_usage:fresh)", 3.0);
    clients.observer.mark("with it again");
    stack.expect(PATIENT, "count(backend:plimsoll_traffic_share:ratio_rate1m > 0.25)", 3.0);
    stack.expect(PATIENT, "count(ALERTS{alertname=\"PlimsollBackendDown\"}) or vector(0)", 0.0);
}

/// A backend that is stopped in order takes back what its agent pushed.
fn stopped(stack: &Stack) {
    assert!(stack.is_pushed("backend-2"));
    stack.compose(&["stop", "backend-2"]);
    assert!(!stack.is_pushed("backend-2"), "the agent deletes its group");
}
