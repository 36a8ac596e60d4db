//! The agent that is shipped, beside a backend that the balancer asks it about.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::setup::Setup;
use crate::harness::{eventually, free_address, pause};

const BACKEND: [&str; 2] = ["upstream=\"app\"", "backend=\"backend-1\""];

/// A balancer that asks the agent of its one backend fifty times a second.
fn balancer(backend: &Backend, agent: SocketAddr) -> Balancer {
    let port = agent.port();
    Setup::over([backend])
        .upstream(&format!("health: {{ tcp: false, agent: {{ port: {port}, interval: 20ms }} }}"))
        .upstream("slow_start: off")
        .start()
}

/// The agent as a process of its own, beside a shell with a script. It is killed with the test, and the script ends when it
/// sees that.
struct Agent {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Agent {
    fn start(options: &[&str], script: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        command.args(["demo-process", "agent", "--listen", "127.0.0.1:0", "--source", "host"]);
        command.args(options).args(["--", "sh", "-c", script]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary was built with the tests");
        let stdout = BufReader::new(child.stdout.take().expect("invariant: it is piped"));
        let mut agent = Self { child, stdout };
        assert!(agent.line().starts_with("listening "));
        agent
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("the agent and its program write text");
        line.trim_end().to_owned()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a child has a pid");
        kill_process(pid, signal).expect("a child can be signalled");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_backend_drains_while_it_ends_and_gets_work_again_once_it_is_back() {
    let (backend, checks) = (Backend::saying("ok"), free_address());
    let script = "trap 'echo asked' TERM; trap 'exit 0' USR1; echo ready
                  while kill -0 $PPID 2> /dev/null; do sleep 0.05; done";
    let options = ["--agent-check", &checks.to_string()];
    let mut first = Agent::start(&options, script);
    assert_eq!(first.line(), "ready");
    let balancer = balancer(&backend, checks);
    let state = |state: &str| {
        let state = format!("state=\"{state}\"");
        let labels = [BACKEND[0], BACKEND[1], &state];
        let metrics = balancer.metrics();
        metrics.sum("plimsoll_backend_transitions_total", &labels)
    };
    first.signal(Signal::TERM);
    assert_eq!(first.line(), "asked");
    eventually("it drains", || state("draining") == 1.0);
    first.signal(Signal::USR1);
    eventually("the agent ends with its program", || first.child.try_wait().is_ok_and(|end| end.is_some()));
    let _second = Agent::start(&options, script);
    eventually("it is up again", || state("up") == 1.0);
    balancer.expect_metric("plimsoll_backend_up", &BACKEND, 1.0);
}

#[test]
fn what_it_pushes_is_shown_by_the_balancer_until_it_ends() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).start();
    let url = format!("http://{}", balancer.admin);
    let mut agent = Agent::start(
        &["--push", &url, "--push-interval", "100ms", "--instance", "backend-1"],
        "while kill -0 $PPID 2> /dev/null; do sleep 0.05; done",
    );
    let labels = ["instance=\"backend-1\"", "job=\"cpu_usage\""];
    eventually("it is shown", || balancer.metrics().has("cpu_usage", &labels));
    for more in ["agent_memory_bytes", "agent_cpu_core_usage", "push_time_seconds"] {
        assert!(balancer.metrics().has(more, &labels), "{more}");
    }
    agent.signal(Signal::TERM);
    eventually("the agent ends with its program", || agent.child.try_wait().is_ok_and(|end| end.is_some()));
    assert!(!balancer.metrics().has("cpu_usage", &labels), "it has deleted what it pushed");
}

/// Runs the agent of a machine of files until the sender is dropped.
fn agent_of(root: &Path) -> (SocketAddr, oneshot::Sender<()>) {
    let (address, stop) = (free_address(), oneshot::channel::<()>());
    let settings = backend_agent::Settings {
        interval: Duration::from_millis(100),
        root: root.to_owned(),
        ..backend_agent::Settings::new(backend_agent::Source::Host)
    };
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a thread can have a runtime").block_on(async {
            let metrics = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
            let checks = TcpListener::bind(address).await.expect("nobody else takes that port");
            let stopped = async { drop(stop.1.await) };
            let agent = backend_agent::serve(settings, metrics, Some(checks), stopped);
            agent.expect("the machine is there").await;
        });
    });
    (address, stop.0)
}

#[test]
fn a_backend_whose_cpu_is_busy_gets_less_until_it_is_calm() {
    let root = tempfile::tempdir().expect("a folder can be made");
    std::fs::create_dir(root.path().join("proc")).expect("a folder can be made");
    let work = |ticks: u64| {
        let line = format!("{ticks} 0 0 0 0 0 0 0 0 0");
        // In one step: the agent must not see half a file.
        let made = std::fs::write(root.path().join("stat"), format!("cpu  {line}\ncpu0 {line}\n"));
        made.and_then(|()| std::fs::rename(root.path().join("stat"), root.path().join("proc/stat")))
            .expect("a file can be made");
    };
    work(0);
    let (checks, _running) = agent_of(root.path());
    let backend = Backend::saying("ok");
    let balancer = balancer(&backend, checks);
    let mut ticks = 0;
    eventually("it gets a fifth of its weight", || {
        // More ticks than there can be: fully busy, however seldom this is run.
        ticks += 1_000_000;
        work(ticks);
        pause(Duration::from_millis(20));
        balancer.metrics().sum("plimsoll_backend_effective_weight", &BACKEND) == 0.2
    });
    balancer.expect_metric("plimsoll_backend_effective_weight", &BACKEND, 1.0);
}
