//! Agent checks, asked by the real HAProxy.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use backend_agent::{Settings, Source, serve};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::process::{Child, Command};

use crate::gateway::{ACCEPTED, Gateway, nobody};
use crate::running::{PATIENCE, Running};

/// Where Debian puts it, which is not on everybody's PATH.
const PLACES: [&str; 2] = ["haproxy", "/usr/sbin/haproxy"];

/// HAProxy before one server whose agent it asks ten times a second.
struct Haproxy {
    _child: Child,
    folder: tempfile::TempDir,
}

impl Haproxy {
    async fn start(server: SocketAddr, agent: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("admin");
        let file = folder.path().join("haproxy.cfg");
        let text = format!(
            "global\n  stats socket {} level admin\n\
             defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n\
             backend app\n  server backend-1 {server} weight 100 check inter 100ms fall 1 rise 1 \
             agent-check agent-addr {} agent-port {} agent-inter 100ms agent-send \"how are you\\n\"\n",
            socket.display(),
            agent.ip(),
            agent.port()
        );
        std::fs::write(&file, text).unwrap();
        let started = PLACES.into_iter().find_map(|program| {
            let mut command = Command::new(program);
            command.arg("-db").arg("-f").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
            command.kill_on_drop(true).spawn().ok()
        });
        let child = started.expect("haproxy is installed (Debian's package of that name); ./check does it");
        Self { _child: child, folder }
    }

    /// Asks its stats socket; nothing while it does not listen yet.
    async fn ask(&self, command: &str) -> String {
        let mut answer = String::new();
        if let Ok(mut stream) = UnixStream::connect(self.folder.path().join("admin")).await {
            stream.write_all(format!("{command}\n").as_bytes()).await.unwrap();
            stream.read_to_string(&mut answer).await.unwrap();
        }
        answer
    }

    /// Returns the state and the weight of the server and for how many seconds it has been so, such as `UP 85 3`.
    async fn server(&self) -> String {
        let stats = self.ask("show stat").await;
        let mut lines =
            stats.lines().map(|line| line.trim_start_matches("# ").split(',').collect::<Vec<_>>());
        let Some(headings) = lines.next() else { return String::new() };
        let column = |name| headings.iter().position(|heading| *heading == name).unwrap();
        let server = lines.find(|line| line.get(1) == Some(&"backend-1"));
        server.map_or(String::new(), |server| {
            format!("{} {} {}", server[column("status")], server[column("weight")], server[column("lastchg")])
        })
    }

    /// Waits until the server is as wanted.
    async fn until(&self, wanted: impl Fn(&str) -> bool) {
        let seen = async {
            while !wanted(&self.server().await) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, seen).await;
        assert!(waited.is_ok(), "it stays as it is: {}", self.ask("show stat").await);
    }
}

/// Asks an agent as plimsoll and HAProxy do.
async fn line(agent: SocketAddr) -> String {
    let mut line = String::new();
    TcpStream::connect(agent).await.unwrap().read_to_string(&mut line).await.unwrap();
    line
}

/// Waits until an agent says what is wanted.
async fn until_said(agent: SocketAddr, wanted: impl Fn(&str) -> bool) {
    let said = async {
        while !wanted(&line(agent).await) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, said).await.expect("it says so in the end");
}

/// The agent of a machine of files, in this process; returns where it answers agent checks.
async fn agent_of(root: &Path) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let checks = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = checks.local_addr().unwrap();
    let settings = Settings {
        interval: Duration::from_millis(100),
        root: root.to_owned(),
        ..Settings::new(Source::Host)
    };
    tokio::spawn(serve(settings, listener, Some(checks), std::future::pending()).unwrap());
    address
}

#[tokio::test]
async fn the_weight_of_a_busy_backend_falls_and_comes_back() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("proc")).unwrap();
    let work = |ticks: u64| {
        let line = format!("{ticks} 0 0 0 0 0 0 0 0 0");
        // In one step: the agent must not see half a file.
        std::fs::write(root.path().join("stat"), format!("cpu  {line}\ncpu0 {line}\n")).unwrap();
        std::fs::rename(root.path().join("stat"), root.path().join("proc/stat")).unwrap();
    };
    work(0);
    let agent = agent_of(root.path()).await;
    let server = Gateway::start(ACCEPTED).await;
    let haproxy = Haproxy::start(server.address, agent).await;
    let busy = async {
        // More ticks than there can be: fully busy, however seldom this is run.
        for round in 1.. {
            work(round * 1_000_000);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = busy => {}
        () = haproxy.until(|server| server.starts_with("UP 20 ")) => {}
    }
    haproxy.until(|server| server.starts_with("UP 100 ")).await;
}

#[tokio::test]
async fn a_backend_drains_while_it_ends_and_gets_work_again_once_it_is_back() {
    let server = Gateway::start(ACCEPTED).await;
    let script =
        "trap 'echo asked' TERM; trap 'exit 0' USR1; echo ready; while kill -0 $PPID; do sleep 0.05; done";
    let free = nobody().to_string();
    let options = ["--source", "host", "--agent-check", &free, "--", "sh", "-c", script];
    let agent: SocketAddr = free.parse().unwrap();

    let mut first = Running::start(&options).await;
    assert_eq!(first.line().await, "ready");
    let haproxy = Haproxy::start(server.address, agent).await;
    haproxy.until(|server| server.starts_with("UP ")).await;
    first.signal(Signal::TERM);
    assert_eq!(first.line().await, "asked");
    haproxy.until(|server| server.starts_with("DRAIN")).await;
    assert_eq!(line(agent).await, "drain\n");
    first.signal(Signal::USR1);
    assert!(first.ended().await.success());
    haproxy.until(|server| server.starts_with("DRAIN")).await;

    let _second = Running::start(&options).await;
    haproxy.until(|server| server.starts_with("UP ")).await;
    // An operator's word stands: the agent takes back only what it said itself.
    until_said(agent, |line| line.starts_with("up ") && !line.contains("ready")).await;
    haproxy.ask("set server app/backend-1 state drain").await;
    // Long enough for ten answers of the agent.
    haproxy.until(|server| server.starts_with("DRAIN") && !server.ends_with(" 0")).await;
}

#[tokio::test]
async fn a_process_that_is_gone_is_down_and_says_why() {
    let server = Gateway::start(ACCEPTED).await;
    let mut target = Command::new("sleep").arg("600").kill_on_drop(true).spawn().unwrap();
    let (pid, free) = (target.id().unwrap().to_string(), nobody().to_string());
    let _agent = Running::start(&["--process", &pid, "--agent-check", &free]).await;
    let haproxy = Haproxy::start(server.address, free.parse().unwrap()).await;
    haproxy.until(|server| server.starts_with("UP 100 ")).await;
    target.kill().await.unwrap();
    haproxy.until(|server| server.starts_with("DOWN (agent)")).await;
    let stats = haproxy.ask("show stat").await;
    assert!(stats.contains("the process is gone"), "{stats}");
}

#[tokio::test]
async fn the_program_is_asked_to_end_only_after_it_was_drained() {
    let script = "trap 'echo asked; exit 0' TERM; echo ready; while kill -0 $PPID; do sleep 0.05; done";
    let free = nobody().to_string();
    let drain = ["--source", "host", "--agent-check", &free, "--drain-for"];
    let beside = ["--", "sh", "-c", script];
    let agent: SocketAddr = free.parse().unwrap();

    let mut running = Running::start(&[&drain[..], &["500ms"], &beside].concat()).await;
    assert_eq!(running.line().await, "ready");
    let asked = tokio::time::Instant::now();
    running.signal(Signal::TERM);
    until_said(agent, |line| line == "drain\n").await;
    assert_eq!(running.line().await, "asked");
    assert!(asked.elapsed() >= Duration::from_millis(500));
    assert!(running.ended().await.success());

    let mut hurried = Running::start(&[&drain[..], &["60m"], &beside].concat()).await;
    assert_eq!(hurried.line().await, "ready");
    hurried.signal(Signal::TERM);
    until_said(agent, |line| line == "drain\n").await;
    hurried.signal(Signal::TERM);
    assert_eq!(hurried.line().await, "asked");
    assert!(hurried.ended().await.success());
}
