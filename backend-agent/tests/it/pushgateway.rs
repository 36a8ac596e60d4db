//! Pushes to the real Pushgateway, as Debian packages it.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::{Child, Command};

use crate::gateway::nobody;
use crate::running::{PATIENCE, Running};
use crate::{exchange, until, value};

const PROGRAM: &str = "prometheus-pushgateway";

/// Starts a Pushgateway on a free port. It is killed when the child is dropped.
async fn pushgateway() -> (Child, SocketAddr) {
    let address = nobody();
    let child = Command::new(PROGRAM)
        .arg(format!("--web.listen-address={address}"))
        // Debian's default is a file that other runs would find again.
        .arg("--persistence.file=")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("prometheus-pushgateway is installed (Debian's package of that name); ./check does it");
    let up = async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, up).await.expect("the Pushgateway listens");
    (child, address)
}

async fn pushing(gateway: SocketAddr, job: &str, instance: &str) -> Running {
    let url = format!("http://{gateway}");
    let names = ["--push-job", job, "--instance", instance];
    Running::start(&[&["--source", "host", "--push", &url, "--push-interval", "100ms"], &names[..]].concat())
        .await
}

fn usage(job: &str, instance: &str) -> String {
    format!("cpu_usage{{instance=\"{instance}\",job=\"{job}\"}}")
}

#[tokio::test]
async fn the_gateway_shows_what_was_pushed_until_sigterm_deletes_it() {
    let (_child, gateway) = pushgateway().await;
    let mut agent = pushing(gateway, "cpu_usage", "backend-1").await;
    until(gateway, &usage("cpu_usage", "backend-1"), |percent| percent.is_some()).await;
    let age = "push_time_seconds{instance=\"backend-1\",job=\"cpu_usage\"}";
    assert!(value(gateway, age).await > Some(1.7e9));

    // The script that the agent takes the place of, for another backend: no type, and the same name.
    let script = "POST /metrics/job/cpu_usage/instance/backend-2 HTTP/1.1\r\nhost: x\r\ncontent-length: 12\r\n\
                  connection: close\r\n\r\ncpu_usage 7\n";
    let answer = exchange(gateway, script).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let before = value(gateway, age).await;
    until(gateway, age, |pushed| pushed > before).await;
    assert_eq!(agent.said("push failed"), 0, "{}", agent.log());

    agent.signal(Signal::TERM);
    assert!(agent.ended().await.success());
    assert_eq!(value(gateway, &usage("cpu_usage", "backend-1")).await, None, "{}", agent.log());
    assert_eq!(value(gateway, &usage("cpu_usage", "backend-2")).await, Some(7.0), "others' groups stay");
}

#[tokio::test]
async fn every_name_of_a_job_and_an_instance_arrives_as_it_is() {
    let (_child, gateway) = pushgateway().await;
    for (job, instance) in [("a/b", "10.0.0.1:8000"), ("50 %", "über/.."), ("..", "a?b#c&d=e;f"), ("/", ".")]
    {
        let mut agent = pushing(gateway, job, instance).await;
        until(gateway, &usage(job, instance), |percent| percent.is_some()).await;
        agent.signal(Signal::TERM);
        assert!(agent.ended().await.success());
        assert_eq!(value(gateway, &usage(job, instance)).await, None, "{}", agent.log());
    }
}

#[tokio::test]
async fn a_conflict_of_types_is_told_in_the_words_of_the_gateway() {
    let (_child, gateway) = pushgateway().await;
    let body = "# TYPE agent_cpu_capacity_cores counter\nagent_cpu_capacity_cores 1\n";
    let conflict = format!(
        "PUT /metrics/job/other HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(gateway, &conflict).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let agent = pushing(gateway, "cpu_usage", "backend-1").await;
    agent.until_said("400 Bad Request: pushed metrics are invalid or inconsistent").await;
    agent.until_said("agent_cpu_capacity_cores").await;
}
