//! Stand-ins: a docker that writes down what it is asked to do, and a server that answers everything.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A docker whose containers begin and end the moment they are asked to.
pub(crate) struct Docker {
    program: PathBuf,
    log: PathBuf,
    _folder: TempDir,
}

impl Docker {
    pub(crate) fn new() -> Docker {
        let folder = tempfile::tempdir().unwrap();
        let (program, log) = (folder.path().join("docker"), folder.path().join("calls"));
        // Under its name only once it is whole: a program that is open for writing cannot be started.
        let unfinished = folder.path().join("unfinished");
        std::fs::write(&log, "").unwrap();
        let answers = "*' ps '*) echo 0123abcd;; *FinishedAt*|*StartedAt*) date -u +%Y-%m-%dT%H:%M:%S.%NZ;;";
        let text = format!("#!/bin/sh\necho \"$*\" >>{}\ncase \"$*\" in {answers} esac\n", log.display());
        std::fs::write(&unfinished, text).unwrap();
        std::fs::set_permissions(&unfinished, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(&unfinished, &program).unwrap();
        Docker { program, log, _folder: folder }
    }

    pub(crate) fn path(&self) -> &str {
        self.program.to_str().unwrap()
    }

    /// The arguments of each call that changes something, in order.
    pub(crate) fn deeds(&self) -> Vec<String> {
        let calls = std::fs::read_to_string(&self.log).unwrap();
        let asks = |call: &str| call.contains(" ps ") || call.starts_with("inspect");
        calls.lines().filter(|call| !asks(call)).map(str::to_owned).collect()
    }
}

/// A server that answers 200 to requests without bodies; ends when dropped.
pub(crate) struct Target {
    url: String,
    _serving: JoinSet<()>,
}

impl Target {
    pub(crate) async fn start() -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream));
            }
        });
        Target { url, _serving: serving }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

async fn serve(stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while stream.read_line(&mut head).await.is_ok_and(|read| read > 0) {
        if head.ends_with("\r\n\r\n") {
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.is_err() {
                return;
            }
            head.clear();
        }
    }
}
