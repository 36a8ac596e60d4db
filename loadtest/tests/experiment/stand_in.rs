//! Stand-ins: a docker that writes down what it is asked to do, and one server for balancer, target and
//! Prometheus.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A program or a server that behaves as far as the experiment looks.
pub(crate) struct StandIn;

/// A docker.
pub(crate) struct Docker {
    program: PathBuf,
    log: PathBuf,
    _folder: TempDir,
}

/// A stack: all its servers in one.
pub(crate) struct Stack {
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl StandIn {
    /// A docker that succeeds at everything, but does what `script` says first.
    pub(crate) fn docker(script: &str) -> Docker {
        let folder = tempfile::tempdir().unwrap();
        let (program, log) = (folder.path().join("docker"), folder.path().join("calls"));
        // Under its name only once it is whole: a program that is open for writing cannot be started.
        let unfinished = folder.path().join("unfinished");
        std::fs::write(&log, "").unwrap();
        let text = format!("#!/bin/sh\necho \"$*\" >>{}\n{script}\nexit 0\n", log.display());
        std::fs::write(&unfinished, text).unwrap();
        std::fs::set_permissions(&unfinished, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(&unfinished, &program).unwrap();
        Docker { program, log, _folder: folder }
    }

    /// A stack in which all is well.
    pub(crate) async fn stack() -> Stack {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream));
            }
        });
        Stack { address, _serving: serving }
    }
}

impl Docker {
    pub(crate) fn path(&self) -> &str {
        self.program.to_str().unwrap()
    }

    /// The arguments of each call, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::fs::read_to_string(&self.log).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Stack {
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Answers requests without bodies until the client leaves.
async fn serve(stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while stream.read_line(&mut head).await.is_ok_and(|read| read > 0) {
        if head.ends_with("\r\n\r\n") {
            let body = body_of(&head);
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
            head.clear();
        }
    }
}

fn body_of(head: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    match head.split(' ').nth(1).unwrap_or_default() {
        path if path.starts_with("/api/v1/upstreams/app") => {
            r#"{"name":"app","backends":[{"name":"backend-1","state":"up"},{"name":"backend-2","state":"up"}]}"#.to_owned()
        }
        path if path.starts_with("/api/v1/query") => format!(
            r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{{"__name__":"plimsoll_requests_total"}},"values":[[{now},"1"]]}}]}}}}"#
        ),
        _ => "ok".to_owned(),
    }
}
