//! What hosts push of their CPU by a line of shell, and what happens to requests while one of three backends restarts.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::commands::{CHECKS, Site, bash, curl, demo_backend, folder, write};
use crate::harness::program::Program;
use crate::harness::prometheus::Pushgateway;
use crate::harness::{eventually, free_address, within};

/// Three backends with the defaults, on one listener.
fn config(listen: SocketAddr, backends: &[SocketAddr]) -> String {
    let backends: String = backends.iter().map(|backend| format!("      - {backend}\n")).collect();
    format!(
        "listeners:\n  web:\n    address: {listen}\nupstreams:\n  app:\n    backends:\n{backends}\
         admin:\n  address: 127.0.0.1:9900\n"
    )
}

/// The line that a host runs again and again.
fn push(gateway: SocketAddr, backend: &str, usage: u32) {
    bash(&format!(
        "echo \"cpu_usage {usage}\" | \
         curl -fsS --data-binary @- http://{gateway}/metrics/job/cpu_usage/instance/{backend}"
    ));
}

#[test]
fn one_line_of_shell_pushes_cpu_usage_as_to_a_pushgateway() {
    let (folder, listen) = (folder(), free_address());
    let yaml = write(folder.path(), "plimsoll.yaml", &config(listen, &[free_address()]));
    let site = Site::run(&yaml, listen);
    let gateway = Pushgateway::start(&folder);
    for address in [site.admin, gateway.address] {
        for (backend, usage) in [("backend-1", 7), ("backend-2", 80), ("backend-1", 9)] {
            push(address, backend, usage);
        }
        let page = curl(&format!("http://{address}/metrics"));
        let pushed: Vec<&str> = page.lines().filter(|line| line.starts_with("cpu_usage{")).collect();
        assert_eq!(
            pushed,
            [
                "cpu_usage{instance=\"backend-1\",job=\"cpu_usage\"} 9",
                "cpu_usage{instance=\"backend-2\",job=\"cpu_usage\"} 80"
            ],
            "{address}"
        );
    }
}

#[test]
fn the_agent_pushes_in_place_of_that_line() {
    let (folder, listen) = (folder(), free_address());
    let yaml = write(folder.path(), "plimsoll.yaml", &config(listen, &[free_address()]));
    let site = Site::run(&yaml, listen);
    let words = ["demo-process", "agent", "--source=host", "--instance=backend-1", "--push-interval=500ms"];
    let words = words.map(str::to_owned).into_iter().chain([
        "--interval=200ms".to_owned(),
        format!("--listen={}", free_address()),
        format!("--push=http://{}", site.admin),
    ]);
    let _agent = Program::own(folder.path(), words);
    let labels = ["job=\"cpu_usage\"", "instance=\"backend-1\""];
    eventually("the agent pushes", || site.metrics().has("cpu_usage", &labels));
    let usage = site.metrics().sum("cpu_usage", &labels);
    assert!((0.0..=100.0).contains(&usage), "{usage}");
}

#[test]
fn while_a_backend_restarts_the_others_answer_and_no_request_fails() {
    let (folder, listen) = (folder(), free_address());
    let backends: [SocketAddr; 3] = std::array::from_fn(|_| free_address());
    let start = |nth: usize| demo_backend(folder.path(), &format!("backend-{}", nth + 1), backends[nth], &[]);
    let mut programs: [Option<Program>; 3] = std::array::from_fn(|nth| Some(start(nth)));
    let yaml = write(folder.path(), "plimsoll.yaml", &config(listen, &backends));
    let site = Site::run(&yaml, listen);
    for backend in backends {
        site.expect_check(&["up", &backend.to_string()]);
    }
    let requests = |backend: usize, code: &str| {
        let backend = format!("backend=\"backend-{backend}\"");
        site.metrics().sum("plimsoll_requests_total", &[&backend, code])
    };
    // Waits until these backends have answered ten more each.
    let expect_growth = |who: &[usize]| {
        let before: Vec<f64> = who.iter().map(|nth| requests(*nth, "code=\"2")).collect();
        within(CHECKS, || {
            let grown =
                who.iter().zip(&before).all(|(nth, before)| requests(*nth, "code=\"2") >= before + 10.0);
            grown.then_some(()).ok_or_else(|| format!("{who:?} do not answer: {before:?}"))
        });
    };
    let done = AtomicBool::new(false);
    let asked = thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut statuses = Vec::new();
            while !done.load(Ordering::Acquire) {
                statuses.push(site.get("/").status());
            }
            statuses
        });
        expect_growth(&[1, 2, 3]);
        programs[0] = None;
        site.expect_check(&["DOWN", &backends[0].to_string()]);
        let stopped = requests(1, "code=\"2");
        expect_growth(&[2, 3]);
        assert!((requests(1, "code=\"2") - stopped).abs() < 0.5, "who is down gets nothing");
        programs[0] = Some(start(0));
        expect_growth(&[1, 2, 3]);
        done.store(true, Ordering::Release);
        client.join().expect("the client reads every answer")
    });
    assert!(asked.iter().all(|status| *status == 200), "{} requests, not all well", asked.len());
}
