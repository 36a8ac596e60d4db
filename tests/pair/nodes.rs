//! The pair: two balancers with keepalived beside each, two web servers, and a host for clients, configured by nothing but
//! the files of `deploy/keepalived/`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::clients::ADDRESS;
use crate::hosts::Host;
use crate::{eventually, say};

/// The balancers' names, by which keepalived's one file tells them apart, and their addresses.
const NODES: [(&str, &str); 2] = [("lb-1", "172.30.77.21"), ("lb-2", "172.30.77.22")];
const SERVERS: [(&str, &str); 2] = [("web-1", "172.30.77.11"), ("web-2", "172.30.77.12")];
const CLIENT: (&str, &str) = ("client", "172.30.77.2");

/// How keepalived learns how the balancer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// By a file that is kept up to date ten times a second.
    Fast,
    /// By scripts that it runs once a second.
    WholeSeconds,
}

/// All hosts, and what runs on them.
pub(crate) struct Pair {
    pub(crate) variant: Variant,
    nodes: Vec<Node>,
    _servers: Vec<Running>,
    // Last, since a host without processes is gone.
    hosts: Vec<Host>,
    switch: Host,
    folder: TempDir,
}

/// A balancer: a program and whoever watches it. They come and go; keepalived stays.
pub(crate) struct Node {
    name: &'static str,
    program: PathBuf,
    folder: PathBuf,
    variant: Variant,
    namespace: Host,
    plimsoll: Option<Running>,
    watcher: Option<Running>,
    _keepalived: Option<Running>,
}

/// A process. It is killed when it is dropped.
struct Running(Child);

impl Variant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::WholeSeconds => "whole seconds",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Fast => "keepalived-fast.conf",
            Self::WholeSeconds => "keepalived.conf",
        }
    }

    /// For how long a balancer that ends still answers: longer than it takes to move the address, even here.
    fn drain_delay(self) -> &'static str {
        match self {
            Self::Fast => "3s",
            Self::WholeSeconds => "6s",
        }
    }
}

/// The folder of the files that are tested.
fn deployed(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/keepalived").join(file)
}

impl Pair {
    /// Starts everything.
    #[track_caller]
    pub(crate) fn start(variant: Variant) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        // Scripts are run by somebody who can read neither a private folder nor that of a build.
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), all).expect("its mode can be changed");
        let program = folder.path().join("plimsoll");
        std::fs::copy(env!("CARGO_BIN_EXE_plimsoll"), &program).expect("there is room for a copy");

        let switch = Host::switch();
        let mut hosts = vec![Host::at(&switch, CLIENT.0, CLIENT.1)];
        let mut servers = Vec::new();
        for (name, address) in SERVERS {
            let host = Host::at(&switch, name, address);
            let mut command = host.command(path(&program));
            command.args(["run", "-c", path(&deployed("web.yaml"))]).env("SERVER", &name[4..]);
            servers.push(Running::start(command, folder.path(), name));
            hosts.push(host);
        }
        let nodes = NODES.map(|(name, address)| {
            let mut node = Node {
                name,
                program: program.clone(),
                folder: folder.path().join(name),
                variant,
                namespace: Host::at(&switch, name, address),
                plimsoll: None,
                watcher: None,
                _keepalived: None,
            };
            std::fs::create_dir(&node.folder).expect("a folder can be made");
            node.start();
            node._keepalived = Some(node.start_keepalived());
            node
        });
        Self { variant, nodes: nodes.into(), _servers: servers, hosts, switch, folder }
    }

    pub(crate) fn node(&mut self, index: usize) -> &mut Node {
        &mut self.nodes[index]
    }

    pub(crate) fn client(&self) -> &Host {
        &self.hosts[0]
    }

    /// Switches the port of a balancer `up` or `down`.
    #[track_caller]
    pub(crate) fn link(&self, index: usize, state: &str) {
        self.switch.run(&format!("ip link set {} {state}", NODES[index].0));
    }

    /// Waits until this balancer has the address, and the other one has not.
    #[track_caller]
    pub(crate) fn expect_holder(&self, index: usize) {
        let has = |node: &Node| {
            let addresses = node.namespace.run("ip -4 -o address show dev eth0");
            addresses.contains(&format!(" {}/", ADDRESS.ip()))
        };
        eventually(&format!("{} alone has the address", NODES[index].0), || {
            self.nodes.iter().enumerate().all(|(nth, node)| has(node) == (nth == index))
        });
    }
}

impl Node {
    /// Starts the balancer and whoever watches it, what of them does not run.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        if self.plimsoll.is_none() {
            let mut command = self.namespace.command(path(&self.program));
            command.args(["run", "-c", path(&deployed("plimsoll.yaml"))]);
            command.env("DRAIN_DELAY", self.variant.drain_delay()).env_remove("PLIMSOLL_LOG");
            self.plimsoll = Some(Running::start(command, &self.folder, "plimsoll"));
        }
        if self.watcher.is_none() && self.variant == Variant::Fast {
            let mut command = self.namespace.command(path(&self.program));
            command.args(["ctl", "ping", "--watch", "--track-file", path(&self.folder.join("pair"))]);
            self.watcher = Some(Running::start(command, &self.folder, "watcher"));
        }
    }

    fn start_keepalived(&self) -> Running {
        let text = std::fs::read_to_string(deployed(self.variant.file())).expect("it is there");
        let text = text.replace("/usr/bin/plimsoll", path(&self.program));
        let text = text.replace("/run/plimsoll/", &format!("{}/", path(&self.folder)));
        let file = self.folder.join("keepalived.conf");
        std::fs::write(&file, text).expect("a file can be written");
        let mut command = self.namespace.command("keepalived");
        command.args(["--dont-fork", "--log-console", "--log-detail", "--vrrp", "--config-id", self.name]);
        command.args(["--use-file", path(&file)]);
        command.args([
            "--pid",
            path(&self.folder.join("pid")),
            "--vrrp_pid",
            path(&self.folder.join("vrrp.pid")),
        ]);
        Running::start(command, &self.folder, "keepalived")
    }

    /// Kills the balancer, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.plimsoll = None;
    }

    pub(crate) fn kill_watcher(&mut self) {
        self.watcher = None;
    }

    /// Sends the balancer a signal, and does not wait for what comes of it.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.plimsoll.as_ref().expect("it runs").signal(signal);
    }

    /// Waits until the balancer has ended, in order.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        let status = self.plimsoll.take().expect("it runs").ended();
        assert!(status.success(), "{}: {status}", self.name);
    }

    /// Asks whoever watches the balancer to end, and waits for it.
    #[track_caller]
    pub(crate) fn end_watcher(&mut self) {
        let watcher = self.watcher.take().expect("it runs");
        watcher.signal(Signal::TERM);
        let status = watcher.ended();
        assert!(status.success(), "{}: {status}", self.name);
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        for (node, _) in NODES {
            for program in ["keepalived", "plimsoll", "watcher"] {
                let log = self.folder.path().join(node).join(format!("{program}.log"));
                let text = std::fs::read_to_string(log).unwrap_or_default();
                let lines: Vec<_> = text.lines().collect();
                say(&format!("{node} {program}:\n{}\n", lines[lines.len().saturating_sub(40)..].join("\n")));
            }
        }
    }
}

impl Running {
    #[track_caller]
    fn start(mut command: Command, folder: &Path, name: &str) -> Self {
        let log = File::options().create(true).append(true).open(folder.join(format!("{name}.log")));
        let log = log.expect("a log can be written");
        command.stdout(log.try_clone().expect("a file can be shared")).stderr(log).stdin(Stdio::null());
        Self(command.spawn().expect("nsenter can be started"))
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect("a child can be signalled");
    }

    #[track_caller]
    fn ended(mut self) -> ExitStatus {
        let mut status = None;
        eventually("it ends", || {
            status = self.0.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        status.expect("invariant: it was waited for")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
fn path(path: &Path) -> &str {
    path.to_str().expect("the folder has a name in UTF-8")
}
