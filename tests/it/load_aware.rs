//! Load-aware balancing: a backend whose CPU is busy gets less, and gets it back.

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::setup::Setup;
use crate::harness::wire::Wire;
use crate::harness::{eventually_ok, free_address};

fn push_cpu_usage(balancer: &Balancer, backend: &str, percent: u8) {
    let body = format!("cpu_usage {percent}\n");
    let path = format!("/metrics/job/cpu_usage/instance/{backend}");
    let head =
        format!("PUT {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\ncontent-length: {}", body.len());
    let answer = Wire::connect(balancer.admin).exchange(format!("{head}\r\n\r\n{body}"));
    assert_eq!(answer.status(), 200, "{}", answer.text());
}

/// Waits until the load factor of the first backend is within the range.
#[track_caller]
fn wait_for_factor(balancer: &Balancer, range: std::ops::RangeInclusive<f64>) {
    eventually_ok(|| {
        let factor = balancer.metrics().sum("plimsoll_backend_load_factor", &["backend=\"backend-1\""]);
        range
            .contains(&factor)
            .then_some(())
            .ok_or_else(|| format!("the load factor is {factor}, not in {range:?}"))
    });
}

/// How many of so many requests the first backend gets.
fn share(balancer: &Balancer, backends: &[Backend], requests: usize) -> f64 {
    let before = backends[0].requests().len();
    let mut client = balancer.connect();
    for _ in 0..requests {
        assert_eq!(client.exchange("GET / HTTP/1.1\r\nhost: example.org\r\n\r\n").status(), 200);
    }
    (backends[0].requests().len() - before) as f64 / requests as f64
}

#[test]
fn a_backend_with_a_busy_cpu_gets_less_and_gets_it_back() {
    let backends = [Backend::saying("1"), Backend::saying("2")];
    let balancer = Setup::over(&backends)
        .upstream("load_aware: { from: 0%, floor: 20% }")
        .top("admin: { address: \"127.0.0.1:0\", push: { expiry: 10m } }")
        .start();
    assert!((share(&balancer, &backends, 100) - 0.5).abs() < 0.05, "before anybody has told anything");
    push_cpu_usage(&balancer, "backend-1", 100);
    push_cpu_usage(&balancer, "backend-2", 0);
    wait_for_factor(&balancer, 0.2..=0.4);
    // Between 0.2 to 1 and 0.4 to 1, while it goes on falling.
    let busy = share(&balancer, &backends, 300);
    assert!((0.1..0.33).contains(&busy), "a share of {busy} with a busy CPU");
    let told = balancer.ask_admin("/api/v1/upstreams/app");
    let told: serde_json::Value = serde_json::from_slice(&told.body).expect("JSON");
    let first = &told["backends"][0];
    assert_eq!((&first["cpu_percent"], &first["state"]), (&100.0.into(), &"up".into()), "{first}");
    assert!(first["load_factor"].as_f64().is_some_and(|factor| factor <= 0.4), "{first}");
    assert!(first["cpu_age_seconds"].as_f64().is_some_and(|age| (0.0..60.0).contains(&age)), "{first}");
    push_cpu_usage(&balancer, "backend-1", 0);
    wait_for_factor(&balancer, 0.9..=1.0);
    let idle = share(&balancer, &backends, 300);
    assert!(idle > 0.45, "a share of {idle} with an idle CPU");
}

#[test]
fn a_report_that_nobody_renews_counts_no_more() {
    let balancer = Setup::at([free_address(), free_address()])
        .upstream("load_aware: { from: 0%, floor: 50% }")
        .top("admin: { address: \"127.0.0.1:0\", push: { expiry: 3s } }")
        .start();
    push_cpu_usage(&balancer, "backend-1", 100);
    wait_for_factor(&balancer, 0.5..=0.8);
    wait_for_factor(&balancer, 0.95..=1.0);
    assert!(!balancer.metrics().has("cpu_usage", &[]), "it has expired");
}

#[test]
fn without_the_key_no_cpu_counts() {
    let balancer = Setup::at([free_address(), free_address()]).start();
    push_cpu_usage(&balancer, "backend-1", 100);
    let told = balancer.ask_admin("/api/v1/upstreams/app");
    let told: serde_json::Value = serde_json::from_slice(&told.body).expect("JSON");
    let first = &told["backends"][0];
    assert_eq!((&first["cpu_percent"], &first["load_factor"]), (&100.0.into(), &1.0.into()), "{first}");
}
