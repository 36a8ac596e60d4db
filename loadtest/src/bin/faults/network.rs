//! Lays out hosts that are their own machines to the network: a balancer, three backends and the switch between them.
//!
//! Every host is a network namespace without a name. The kernel removes such a namespace, and the links into it, when
//! its last process has ended; each is held by a process that ends with this program, however that ends. So nothing is
//! left behind, and nothing can collide with another run.

use anyhow::Context;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How many backends there are.
pub(crate) const BACKENDS: usize = 3;

/// The port that every backend listens on.
const PORT: u16 = 8080;

/// What hosts are made with.
const PROGRAMS: [&str; 4] = ["ip", "iptables", "unshare", "nsenter"];

/// One host: its processes see its interfaces and nobody else's.
pub(crate) struct Host {
    /// It waits for the end of its input, which comes when this program drops it or ends.
    holder: Child,
    pid: u32,
}

/// The hosts, linked by a switch.
pub(crate) struct Network {
    pub(crate) balancer: Host,
    pub(crate) backends: Vec<Host>,
    switch: Host,
}

/// The address of backend `index`, from 0.
pub(crate) fn backend_address(index: usize) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 77, 0, 11 + index as u8), PORT))
}

/// Checks that hosts can be made here.
pub(crate) fn check_means() -> anyhow::Result<()> {
    anyhow::ensure!(rustix::process::geteuid().is_root(), "network namespaces need root; run this as root");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &&str| std::env::split_paths(&path).any(|folder| folder.join(program).exists());
    let missing: Vec<&str> = PROGRAMS.into_iter().filter(|program| !is_there(program)).collect();
    anyhow::ensure!(
        missing.is_empty(),
        "not on the PATH: {}; install iproute2, iptables and util-linux",
        missing.join(", ")
    );
    Ok(())
}

impl Network {
    /// Makes the hosts and plugs them into the switch.
    pub(crate) async fn new() -> anyhow::Result<Network> {
        let switch = Host::new().await?;
        switch.run("ip", "link add switch type bridge").await?;
        switch.run("ip", "link set switch up").await?;
        let balancer = Host::new().await?;
        plug(&switch, "balancer", &balancer, Ipv4Addr::new(10, 77, 0, 1)).await?;
        let mut backends = Vec::new();
        for index in 0..BACKENDS {
            let host = Host::new().await?;
            let SocketAddr::V4(address) = backend_address(index) else { continue };
            plug(&switch, &plug_of(index), &host, *address.ip()).await?;
            backends.push(host);
        }
        Ok(Network { balancer, backends, switch })
    }

    /// Takes the hosts down; returns once they are gone.
    pub(crate) async fn finish(mut self) -> anyhow::Result<()> {
        for host in self.backends.iter_mut().chain([&mut self.balancer, &mut self.switch]) {
            host.holder.kill().await?;
        }
        Ok(())
    }

    /// Pulls backend `index`'s cable out of the switch, or puts it back. The balancer's own link stays up.
    pub(crate) async fn set_link(&self, index: usize, up: bool) -> anyhow::Result<()> {
        let state = if up { "up" } else { "down" };
        self.switch.run("ip", &format!("link set {} {state}", plug_of(index))).await
    }

    /// Has backend `index` drop every packet, both ways, or lets them pass again.
    pub(crate) async fn set_drop(&self, index: usize, drop: bool) -> anyhow::Result<()> {
        let change = if drop { "-I" } else { "-D" };
        for chain in ["INPUT -i", "OUTPUT -o"] {
            self.backends[index].run("iptables", &format!("-w {change} {chain} eth0 -j DROP")).await?;
        }
        Ok(())
    }
}

fn plug_of(index: usize) -> String {
    format!("backend-{}", index + 1)
}

async fn plug(switch: &Host, name: &str, host: &Host, address: Ipv4Addr) -> anyhow::Result<()> {
    let pid = host.pid;
    switch.run("ip", &format!("link add {name} type veth peer name eth0 netns {pid}")).await?;
    switch.run("ip", &format!("link set {name} master switch up")).await?;
    host.run("ip", &format!("address add {address}/24 dev eth0")).await?;
    host.run("ip", "link set eth0 up").await?;
    host.run("ip", "link set lo up").await
}

impl Host {
    async fn new() -> anyhow::Result<Host> {
        let mut command = Command::new("unshare");
        command.args(["--net", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().context("cannot start unshare; it is part of util-linux")?;
        let pid = holder.id().context("a network namespace has ended already")?;
        let (mut input, output) = (holder.stdin.take(), holder.stdout.as_mut());
        let (Some(sender), Some(receiver)) = (input.as_mut(), output) else { anyhow::bail!("no pipes") };
        // It echoes once it is in its namespace.
        sender.write_all(b".").await?;
        let echo = timeout(Duration::from_secs(5), receiver.read_u8()).await?;
        echo.context("no network namespace could be made; this needs root")?;
        holder.stdin = input;
        Ok(Host { holder, pid })
    }

    /// Moves the calling thread, and with it what it starts and connects from now on, to this host.
    pub(crate) fn enter(&self) -> anyhow::Result<()> {
        let namespace = File::open(self.path())?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .context("cannot enter a network namespace")
    }

    /// What goes before a program on a command line so that it runs on this host.
    pub(crate) fn prefix(&self) -> [String; 3] {
        ["nsenter".to_owned(), format!("--net={}", self.path()), "--".to_owned()]
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.pid)
    }

    async fn run(&self, program: &str, args: &str) -> anyhow::Result<()> {
        let [enter, args_of_enter @ ..] = self.prefix();
        let mut command = Command::new(enter);
        command.args(args_of_enter).arg(program).args(args.split(' ')).stdin(Stdio::null());
        let output = command.output().await.with_context(|| format!("cannot start {program}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "`{program} {args}` failed: {}", said.trim());
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.holder.start_kill(); // it ends with its input as well
    }
}
