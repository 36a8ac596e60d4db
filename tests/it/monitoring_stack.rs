//! The monitoring stack as it is shipped: Debian's Prometheus, Pushgateway and Alertmanager run the files of `monitoring/`
//! beside a balancer, three backends and their agents, and tell a real outage.

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::free_address;
use crate::harness::place::Place;
use crate::harness::prometheus::{Pace, Prometheus, Pushgateway};
use crate::harness::setup::Setup;

const NAMES: [&str; 3] = ["backend-1", "backend-2", "backend-3"];

/// One run tells it all, because most of its time is that of the alerts themselves.
#[test]
fn an_outage_is_told_explained_and_taken_back() {
    let folder = TempDir::new().expect("a folder can be made");
    let pushgateway = Pushgateway::start(&folder);
    let gateways = [pushgateway.address, free_address()];
    let mut places = NAMES.map(|name| Place::fill(name, &folder, &gateways, Pace::AsWritten));
    let balancer = Setup::at(places.iter().map(|place| place.backend))
        .upstream("health: { http: /api/status }")
        .top(&format!("admin: {{ address: \"{}\" }}", gateways[1]))
        .start();
    let mut targets = vec![("plimsoll", balancer.admin)];
    targets.extend(places.iter().map(|place| (place.name, place.agent)));
    let prometheus = Prometheus::start(&folder, pushgateway, &targets, Pace::AsWritten);

    all_is_well(&prometheus);

    // An agent that is killed cannot take its group back: the gateway shows its last value, the rule does not.
    places[0].kill();
    prometheus.expect_none("instance:cpu_usage:fresh{instance=\"backend-1\"}");
    prometheus.expect("cpu_usage{job=\"cpu_usage\", instance=\"backend-1\"}", 1);
    let down = ["PlimsollBackendDown", "backend-1"];
    prometheus.expect_alerts(|alerts| {
        let alert = told(alerts, down)?;
        let says = |key: &str| alert["annotations"][key].as_str().unwrap_or_default().to_owned();
        assert_eq!(says("summary"), "Backend app/backend-1 is down");
        assert_eq!(says("runbook"), "monitoring/RUNBOOK.md#plimsollbackenddown");
        assert_eq!(alert["labels"]["severity"], "ticket");
        is_in_state(alert, "active")
    });
    prometheus.expect_alerts(|alerts| {
        is_in_state(told(alerts, ["PlimsollAgentPushStale", "backend-1"])?, "suppressed")
    });

    // That nobody is left says it all.
    places[1].kill();
    places[2].kill();
    prometheus
        .expect_alerts(|alerts| is_in_state(told(alerts, ["PlimsollNoBackendAvailable", ""])?, "active"));
    prometheus.expect_alerts(|alerts| is_in_state(told(alerts, down)?, "suppressed"));

    for place in &mut places {
        place.start(&folder);
    }
    prometheus.expect_none("ALERTS{alertstate=\"firing\"}");
    prometheus.expect_alerts(|alerts| match alerts {
        [] => Ok(()),
        some => Err(format!("there are alerts: {some:?}")),
    });
    all_is_well(&prometheus);
}

/// Waits until everything is scraped, every rule has been computed, every agent's push has come, and nothing fires.
#[track_caller]
fn all_is_well(prometheus: &Prometheus) {
    prometheus.expect_page("targets", |targets| {
        let targets = targets["activeTargets"].as_array().ok_or("there are targets")?;
        let ill: Vec<_> = targets.iter().filter(|target| target["health"] != "up").collect();
        if targets.len() == 7 && ill.is_empty() {
            Ok(())
        } else {
            Err(format!("{} targets, {ill:?}", targets.len()))
        }
    });
    prometheus.expect_page("rules", |rules| {
        let groups = rules["groups"].as_array().ok_or("there are groups")?;
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten());
        let ill: Vec<_> = rules.filter(|rule| rule["health"] != "ok").collect();
        if groups.len() > 5 && ill.is_empty() {
            Ok(())
        } else {
            Err(format!("{} groups, {ill:?}", groups.len()))
        }
    });
    prometheus.expect("instance:cpu_usage:fresh", NAMES.len());
    // Agents push to the balancer as well; of what it shows, Prometheus stores no second copy.
    prometheus.expect("scrape_samples_scraped{job=\"plimsoll\"} > scrape_samples_post_metric_relabeling", 1);
    prometheus.expect_none("ALERTS{alertstate=\"firing\"}");
}

/// The alert of this name, about this backend, that Alertmanager has been told of.
fn told<'a>(alerts: &'a [Value], [name, backend]: [&str; 2]) -> Result<&'a Value, String> {
    let is_it = |alert: &&Value| {
        let label = |name: &str| alert["labels"][name].as_str().unwrap_or_default();
        label("alertname") == name && label("backend") == backend
    };
    alerts.iter().find(is_it).ok_or_else(|| format!("no {name} about {backend:?} among {alerts:?}"))
}

fn is_in_state(alert: &Value, state: &str) -> Result<(), String> {
    let is = &alert["status"]["state"];
    if is == state { Ok(()) } else { Err(format!("it is {is}, not {state}: {alert}")) }
}
