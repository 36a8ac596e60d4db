//! Another program and plimsoll under the same configuration, over the same backends.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::program::Program;
use crate::harness::wire::{Head, Wire};
use crate::harness::{eventually, free_address};

/// The other program.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Original {
    Haproxy,
    Nginx,
}

/// Which fields are not compared, in lower case. Each list says why.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed {
    pub(crate) of_requests: &'static [&'static str],
    pub(crate) of_answers: &'static [&'static str],
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    /// The backend that it reached, by its name in the configuration.
    pub(crate) backend: Option<String>,
    /// The method and the target that the backend read; of versions, nginx speaks an older one.
    start: String,
    /// The fields that the backend read, and those of the answer, without those that are allowed to differ.
    read: Vec<(String, String)>,
    answered: Vec<(String, String)>,
}

/// Both programs, running.
pub(crate) struct SideBySide {
    backends: BTreeMap<String, Backend>,
    original: SocketAddr,
    ours: SocketAddr,
    allowed: Allowed,
    _balancer: Balancer,
    _program: Program,
    _folder: tempfile::TempDir,
}

impl SideBySide {
    /// Starts both. In `text`, `@web@` is the port to listen on, and `@NAME@` the port of the backend of that name. None,
    /// which is said, where the other program is not installed.
    #[track_caller]
    pub(crate) fn start(original: Original, text: &str, allowed: Allowed) -> Option<Self> {
        let program = original.program()?;
        let names = text.split('@').skip(1).step_by(2).filter(|name| *name != "web");
        let backends: BTreeMap<String, Backend> =
            names.map(|name| (name.to_owned(), answering(name))).collect();
        let [theirs, ours] = [free_address(), free_address()];
        let at = |address: SocketAddr| {
            let port = |backend: &Backend| backend.address.port().to_string();
            let known = backends.iter().fold(text.to_owned(), |text, (name, backend)| {
                text.replace(&format!("@{name}@"), &port(backend))
            });
            known.replace("@web@", &address.port().to_string())
        };
        let folder = tempfile::tempdir().expect("a folder can be made");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("a file can be written");
        };
        write("theirs", &original.whole(&at(theirs)));
        write("ours", &original.whole(&at(ours)));
        let program = Program::start(folder.path(), program, original.arguments());
        let balancer = Balancer::start(&imported(original, &folder.path().join("ours")));
        for address in [theirs, ours] {
            eventually("it listens", || std::net::TcpStream::connect(address).is_ok());
        }
        let (original, _balancer, _program, _folder) = (theirs, balancer, program, folder);
        Some(Self { backends, original, ours, allowed, _balancer, _program, _folder })
    }

    /// Sends one request to each and returns what became of it there. In `request`, `@port@` is the port that it is sent
    /// to.
    #[track_caller]
    pub(crate) fn ask(&self, request: &str) -> [Seen; 2] {
        [self.original, self.ours].map(|address| self.ask_one(address, request))
    }

    #[track_caller]
    fn ask_one(&self, address: SocketAddr, request: &str) -> Seen {
        let port = address.port().to_string();
        let before: Vec<usize> = self.backends.values().map(Backend::request_count).collect();
        let answer = Wire::connect(address).exchange(request.replace("@port@", &port));
        let reached = self.backends.iter().zip(before).find_map(|((name, backend), before)| {
            Some((name.clone(), backend.requests_after(before).first()?.head.clone()))
        });
        let fields = |head: &Head, allowed: &[&str]| {
            let compared = head.fields.iter().filter(|(name, _)| !allowed.contains(&name.as_str()));
            let mut fields: Vec<_> =
                compared.map(|(name, value)| (name.clone(), value.replace(&port, "@port@"))).collect();
            fields.sort();
            fields
        };
        let (backend, head) = reached.unzip();
        let head = head.unwrap_or_default();
        Seen {
            status: answer.status(),
            backend,
            read: fields(&head, self.allowed.of_requests),
            start: head.start.rsplit_once(' ').map_or_else(String::new, |(start, _)| start.to_owned()),
            answered: fields(&answer.head, self.allowed.of_answers),
        }
    }

    /// Asserts that all requests have the same effect at both.
    #[track_caller]
    pub(crate) fn agree_on(&self, requests: &[String]) {
        let asked = requests.iter().map(|request| (request, self.ask(request)));
        let differ: Vec<_> = asked.filter(|(_, [theirs, ours])| theirs != ours).collect();
        let shown = |(request, [theirs, ours]): &(&String, [Seen; 2])| {
            format!("{request:?}\n  theirs: {theirs:?}\n  ours:   {ours:?}\n")
        };
        let first: String = differ.iter().take(5).map(shown).collect();
        assert!(differ.is_empty(), "{} of {} requests differ:\n{first}", differ.len(), requests.len());
    }

    /// How often each backend is reached by `count` requests, at the other program and at plimsoll.
    #[track_caller]
    pub(crate) fn counts(&self, request: &str, count: usize) -> [BTreeMap<String, usize>; 2] {
        let mut counts = [BTreeMap::new(), BTreeMap::new()];
        for _ in 0..count {
            for (counts, seen) in counts.iter_mut().zip(self.ask(request)) {
                *counts.entry(seen.backend.unwrap_or_default()).or_insert(0) += 1;
            }
        }
        counts
    }
}

impl Seen {
    /// The values of a field of the answer.
    pub(crate) fn all_answered(&self, name: &str) -> Vec<&str> {
        self.answered.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str()).collect()
    }
}

impl Original {
    /// The program to start. None, which is said, where it is not installed.
    fn program(self) -> Option<&'static str> {
        let known = match self {
            Self::Haproxy => ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"],
            Self::Nginx => ["/usr/sbin/nginx", "/usr/local/sbin/nginx"],
        };
        let found = known.into_iter().find(|path| std::path::Path::new(path).exists());
        if found.is_none() {
            let what = format!("left out: {self:?} is not installed; `./check test` does it\n");
            // Shown by the test runner where it is asked to.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), what.as_bytes());
        }
        found
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Haproxy => &["-db", "-f", "theirs"],
            Self::Nginx => &["-p", ".", "-c", "theirs", "-e", "stderr"],
        }
    }

    /// The whole file: nginx wants to know where it may write.
    fn whole(self, text: &str) -> String {
        match self {
            Self::Haproxy => text.to_owned(),
            Self::Nginx => {
                let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                    .iter()
                    .map(|name| format!("{name}_temp_path temp_{name};\n"))
                    .collect();
                format!(
                    "daemon off;\nmaster_process off;\nworker_processes 1;\npid pid;\nerror_log stderr;\nevents {{}}\n\
                     http {{\naccess_log off;\n{paths}{text}\n}}\n"
                )
            }
        }
    }
}

/// What `plimsoll import` makes of a file, with an admin server at any free port and a log that tests can read.
#[track_caller]
fn imported(original: Original, file: &std::path::Path) -> String {
    let format = if original == Original::Haproxy { "haproxy" } else { "nginx" };
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    let output = command.args(["import", format]).arg(file).output().expect("the binary was built");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "the file can be imported: {said}");
    let yaml = String::from_utf8(output.stdout).expect("it is text").replace("127.0.0.1:9900", "127.0.0.1:0");
    let json = "log: {format: json}";
    if yaml.contains("\ntelemetry:\n") {
        yaml.replace("\ntelemetry:\n", &format!("\ntelemetry:\n  {json}\n"))
            .replace("    mode: on\n", "    mode: off\n")
    } else {
        format!("{yaml}\ntelemetry: {{{json}}}\n")
    }
}

/// A backend that tells in fields of its own what a balancer may take out.
fn answering(name: &str) -> Backend {
    let name = name.to_owned();
    Backend::answering(move |request| {
        let body = if request.head.method() == "HEAD" { "" } else { &name };
        let length = name.len();
        format!(
            "HTTP/1.1 200 OK\r\nServer: own\r\nX-Powered-By: php\r\nX-Backend: {name}\r\nSet-Cookie: own=1\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    })
}

/// A request without a body, on a connection of its own.
pub(crate) fn request(method: &str, target: &str, host: &str, fields: &str) -> String {
    let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
    format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{length}{fields}\r\n")
}

/// Every method with every target, host and set of fields.
pub(crate) fn all(methods: &[&str], targets: &[&str], hosts: &[&str], fields: &[&str]) -> Vec<String> {
    let mut requests = Vec::new();
    for method in methods {
        for target in targets {
            for host in hosts {
                requests.extend(fields.iter().map(|fields| request(method, target, host, fields)));
            }
        }
    }
    requests
}
