//! Two hosts, each a network namespace without a name: the kernel removes it, and the link into it, when its last process
//! has ended; each is held by a process that ends with this one, however that ends.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// What hosts are made with.
const PROGRAMS: [&str; 4] = ["ip", "iptables", "unshare", "nsenter"];

/// One host.
pub(super) struct Host {
    holder: Child,
}

impl Host {
    /// Says why no hosts can be made here, if so.
    pub(super) fn impossible() -> Option<String> {
        if !rustix::process::geteuid().is_root() {
            return Some("only root may make network namespaces".to_owned());
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let is_missing =
            |program: &&str| !std::env::split_paths(&path).any(|folder| folder.join(program).exists());
        if let Some(program) = PROGRAMS.into_iter().find(is_missing) {
            return Some(format!("{program} is not on the PATH"));
        }
        Host::try_new().err().map(|why| format!("no network namespace can be made: {why}"))
    }

    /// Makes a host with a loopback interface.
    #[track_caller]
    pub(super) fn new() -> Self {
        let host = Self::try_new().expect("a network namespace can be made");
        host.run("ip link set lo up");
        host
    }

    fn try_new() -> std::io::Result<Self> {
        let mut command = Command::new("unshare");
        let mut holder = command
            .args(["--net", "cat"])
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

    /// Links two hosts; the first gets 10.77.0.1, the second the IP address of `there`.
    pub(super) fn link(&self, other: &Host, there: SocketAddr) {
        self.run(&format!("ip link add there type veth peer name eth0 netns {}", other.holder.id()));
        self.run("ip address add 10.77.0.1/24 dev there");
        self.run("ip link set there up");
        other.run(&format!("ip address add {}/24 dev eth0", there.ip()));
        other.run("ip link set eth0 up");
    }

    /// Has the host drop every packet, both ways, or lets them pass again.
    pub(super) fn drop_all(&self, drop: bool) {
        let change = if drop { "-I" } else { "-D" };
        for chain in ["INPUT -i", "OUTPUT -o"] {
            self.run(&format!("iptables -w {change} {chain} eth0 -j DROP"));
        }
    }

    /// Moves the calling thread here, and with it what it starts and connects from now on.
    pub(super) fn enter(&self) {
        let namespace = File::open(self.path()).expect("the holder lives");
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("root may enter a namespace");
    }

    /// What goes before a program on a command line so that it runs here.
    pub(super) fn prefix(&self) -> [String; 3] {
        ["nsenter".to_owned(), format!("--net={}", self.path()), "--".to_owned()]
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    #[track_caller]
    fn run(&self, words: &str) {
        let [enter, rest @ ..] = self.prefix();
        let output = Command::new(enter).args(rest).args(words.split(' ')).stdin(Stdio::null()).output();
        let output = output.expect("nsenter can be started");
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.holder.kill(); // it ends with its input as well
        let _ = self.holder.wait();
    }
}
