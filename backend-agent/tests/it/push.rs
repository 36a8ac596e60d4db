//! Pushes, before gateways of every kind: what is sent, what is said when it fails, and the end.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use crate::gateway::{ACCEPTED, Gateway, SILENCE, nobody};
use crate::running::Running;
use crate::{until, value};

/// Starts an agent that pushes ten times a second.
async fn pushing(url: &str) -> Running {
    Running::start(&[
        "--source",
        "host",
        "--push",
        url,
        "--push-interval",
        "100ms",
        "--instance",
        "backend-1",
    ])
    .await
}

/// The counter of the pushes to a gateway with a result.
fn pushes(url: &str, result: &str) -> String {
    format!("agent_pushes_total{{result=\"{result}\",target=\"{url}\"}}")
}

#[tokio::test]
async fn a_push_replaces_the_group_with_what_holds_of_the_target() {
    let gateway = Gateway::start(ACCEPTED).await;
    let agent = pushing(&gateway.url()).await;
    let request = gateway.after(2).await.remove(1);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("PUT /metrics/job/cpu_usage/instance/backend-1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {}", gateway.address)), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(body.lines().any(|line| line.starts_with("cpu_usage ")), "{body}");
    assert!(body.contains("agent_cpu_seconds_total"), "{body}");
    assert!(!body.contains("cpu_usage gauge"), "as the one-line script: without a type\n{body}");
    for own in ["agent_info", "agent_pushes_total", "agent_sample", "agent_target_up"] {
        assert!(!body.contains(own), "{own} is about the agent\n{body}");
    }
    assert!(body.ends_with('\n'), "{body:?}");
    until(agent.address, &pushes(&gateway.url(), "accepted"), |count| count >= Some(2.0)).await;
    let last = format!("agent_last_push_timestamp_seconds{{target=\"{}\"}}", gateway.url());
    assert!(value(agent.address, &last).await > Some(1.7e9));
    assert_eq!(
        value(agent.address, &pushes(&gateway.url(), "refused")).await,
        Some(0.0),
        "there from the start"
    );
    agent.once_said("pushes are accepted").await;
}

#[tokio::test]
async fn sigterm_deletes_the_group() {
    let gateway = Gateway::start(ACCEPTED).await;
    let mut agent = pushing(&gateway.url()).await;
    gateway.after(1).await;
    agent.signal(Signal::TERM);
    assert!(agent.ended().await.success());
    let requests = gateway.requests();
    let last = requests.last().unwrap();
    assert!(last.starts_with("DELETE /metrics/job/cpu_usage/instance/backend-1 HTTP/1.1\r\n"), "{last}");
    assert_eq!(requests.iter().filter(|request| request.starts_with("DELETE")).count(), 1);
}

#[tokio::test]
async fn a_gateway_that_comes_up_later_is_found_and_the_outage_is_told_with_its_length() {
    let address = nobody();
    let url = format!("http://{address}");
    let agent = pushing(&url).await;
    until(agent.address, &pushes(&url, "refused"), |count| count >= Some(3.0)).await;
    let gateway = Gateway::listen(address, ACCEPTED).await;
    gateway.after(1).await;
    agent.until_said("pushes are accepted again").await;
    agent.once_said("push failed").await;
    agent.once_said("nobody listens there: start the gateway").await;
    agent.once_said("lasted=").await;
    gateway.answer("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n");
    agent.until_said("500 Internal Server Error").await;
    gateway.answer(ACCEPTED);
    let accepted = value(agent.address, &pushes(&url, "accepted")).await;
    until(agent.address, &pushes(&url, "accepted"), |count| count > accepted).await;
}

#[tokio::test]
async fn each_way_to_fail_is_told_once_with_what_to_do_and_counted() {
    let text = "text format parsing error in line 1: unexpected end of input stream";
    let refusal = format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\n\r\n{text}", text.len());
    for (answer, result, told, hint) in [
        (&*refusal, "rejected", text, "another type"),
        ("HTTP/1.1 404 Not Found\r\n\r\n", "rejected", "404 Not Found", "base URL"),
        (
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://b/\r\n\r\n",
            "rejected",
            "to http://b/",
            "redirects",
        ),
        ("HTTP/1.1 401 Unauthorized\r\n\r\n", "rejected", "401", "sends no credentials"),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "failed", "502 Bad Gateway", "log of the gateway"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "no_http", "no HTTP answer", "is this a Pushgateway?"),
        ("HTTP/1.1 2", "no_http", "no HTTP answer", "is this a Pushgateway?"),
    ] {
        let gateway = Gateway::start(answer).await;
        let mut agent = pushing(&gateway.url()).await;
        until(agent.address, &pushes(&gateway.url(), result), |count| count >= Some(3.0)).await;
        agent.once_said("push failed").await;
        let log = agent.log();
        assert!(log.contains(told) && log.contains(hint), "{answer}: {log}");
        assert_eq!(value(agent.address, "agent_target_up").await, Some(1.0), "it goes on measuring");
        agent.signal(Signal::TERM);
        assert!(agent.ended().await.success(), "a group that cannot be deleted is no failure of the agent");
        agent.until_said("group not deleted").await;
    }
}

#[tokio::test]
async fn a_host_that_nobody_knows_is_told_as_that() {
    // Longer than a label may be, so that no resolver has to be asked first.
    let host = "a".repeat(64);
    let url = format!("http://{host}:9091");
    let agent = pushing(&url).await;
    until(agent.address, &pushes(&url, "unknown_host"), |count| count >= Some(1.0)).await;
    agent.once_said(&format!("host name `{host}` cannot be looked up")).await;
}

#[tokio::test]
async fn a_gateway_that_hangs_is_told_and_neither_holds_up_the_others_nor_the_end() {
    let (hanging, well) = (Gateway::start(SILENCE).await, Gateway::start(ACCEPTED).await);
    let options =
        ["--source", "host", "--push-interval", "100ms", "--push", &hanging.url(), "--push", &well.url()];
    let mut agent = Running::start(&options).await;
    well.after(5).await;
    until(agent.address, &pushes(&hanging.url(), "timeout"), |count| count >= Some(1.0)).await;
    agent.once_said("still waiting for the answer").await;
    let asked = Instant::now();
    agent.signal(Signal::TERM);
    assert!(agent.ended().await.success());
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    assert!(well.requests().last().unwrap().starts_with("DELETE"));
}

#[tokio::test]
async fn a_target_that_is_gone_is_gone_from_the_gateway_too() {
    let gateway = Gateway::start(ACCEPTED).await;
    let mut target = tokio::process::Command::new("sleep").arg("600").kill_on_drop(true).spawn().unwrap();
    let pid = target.id().unwrap().to_string();
    let _agent =
        Running::start(&["--process", &pid, "--push", &gateway.url(), "--push-interval", "100ms"]).await;
    let shows_usage = |request: &String| request.lines().any(|line| line.starts_with("cpu_usage "));
    gateway.until_last(shows_usage).await;
    target.kill().await.unwrap();
    gateway.until_last(|request| !shows_usage(request)).await;
}

#[tokio::test]
async fn what_cannot_be_pushed_to_is_refused_at_the_command_line() {
    for (url, hint) in [
        ("https://pushgateway:9091", "use http://"),
        ("pushgateway:9091", "write `http://pushgateway:9091`"),
        ("http://pushgateway:9091/metrics/job/cpu_usage", "leave out what comes from `/metrics` on"),
    ] {
        let refused = tokio::process::Command::new(crate::running::PROGRAM)
            .args(["--push", url])
            .output()
            .await
            .unwrap();
        assert_eq!(refused.status.code(), Some(2));
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.contains(hint), "{said}");
    }
}
