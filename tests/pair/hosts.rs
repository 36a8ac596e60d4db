//! Hosts on one switch, each a network namespace without a name: the kernel removes it, and the links into it, when its last
//! process has ended. Every process here ends with the test, however that ends.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// What hosts and their programs are made with.
const PROGRAMS: [&str; 5] = ["ip", "unshare", "nsenter", "setpriv", "keepalived"];

/// One host, or the switch between them.
pub(crate) struct Host {
    holder: Child,
}

/// Says why no hosts can be made here, if so.
pub(crate) fn impossible() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root may make network namespaces".to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_missing =
        |program: &&str| !std::env::split_paths(&path).any(|folder| folder.join(program).exists());
    if let Some(program) = PROGRAMS.into_iter().find(is_missing) {
        return Some(format!("{program} is not on the PATH; `./check test` installs it"));
    }
    let tried = Host::try_new().and_then(|host| host.try_run("ip link add name tried type bridge"));
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(why) => Some(format!("no network namespace can be made: {why}")),
    }
}

impl Host {
    /// Makes a switch.
    #[track_caller]
    pub(crate) fn switch() -> Self {
        let switch = Self::try_new().expect("a network namespace can be made");
        switch.run("ip link add name switch type bridge");
        switch.run("ip link set switch up");
        switch
    }

    /// Makes a host at a port of the switch that has its name; the host's own interface is `eth0`.
    #[track_caller]
    pub(crate) fn at(switch: &Host, name: &str, address: &str) -> Self {
        let host = Self::try_new().expect("a network namespace can be made");
        host.run("ip link set lo up");
        switch.run(&format!("ip link add {name} type veth peer name eth0 netns {}", host.holder.id()));
        switch.run(&format!("ip link set {name} master switch up"));
        host.run(&format!("ip address add {address}/24 dev eth0"));
        host.run("ip link set eth0 up");
        host
    }

    fn try_new() -> std::io::Result<Self> {
        let mut holder = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--net", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (input, output) = (holder.stdin.as_mut(), holder.stdout.as_mut());
        let (input, output) = input.zip(output).expect("invariant: they are piped");
        // It echoes once it is in its namespace.
        let mut echo = [0];
        let echoed = input.write_all(b".").and_then(|()| output.read_exact(&mut echo));
        let host = Self { holder };
        echoed.map(|()| host)
    }

    /// Moves the calling thread here, and with it the threads and connections that it makes from now on.
    pub(crate) fn enter(&self) {
        let namespace = File::open(self.path()).expect("the holder lives");
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("root may enter a namespace");
    }

    /// A program that will run here, and end with the thread that starts it.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        let inside = format!("--net={}", self.path());
        command.args([&inside, "--", "setpriv", "--pdeathsig", "KILL", program]).stdin(Stdio::null());
        command
    }

    /// Runs a short command here and returns what it says.
    #[track_caller]
    pub(crate) fn run(&self, words: &str) -> String {
        let output = self.try_run(words).expect("it can be started");
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn try_run(&self, words: &str) -> std::io::Result<std::process::Output> {
        let mut words = words.split(' ');
        self.command(words.next().unwrap_or_default()).args(words).output()
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
