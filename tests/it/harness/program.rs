//! Other programs as child processes: this one in another role, and those of Debian's packages.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::eventually;
use super::wire::Wire;

/// A running program. It is killed when it is dropped.
pub(crate) struct Program {
    child: Child,
}

impl Program {
    /// Starts `program`; what it says goes to a file in `folder`, which is also where it runs.
    #[track_caller]
    pub(crate) fn start<A: AsRef<str>>(
        folder: &Path,
        program: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let name = program.rsplit('/').next().unwrap_or(program);
        let log = File::options().create(true).append(true).open(folder.join(format!("{name}.log")));
        let log = log.expect("a log can be written");
        let child = Command::new(program)
            .args(arguments.into_iter().map(|argument| argument.as_ref().to_owned()))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .expect("the program is there; `./check test` installs what is missing");
        Self { child }
    }

    /// Starts this program in another role.
    #[track_caller]
    pub(crate) fn own<A: AsRef<str>>(folder: &Path, arguments: impl IntoIterator<Item = A>) -> Self {
        Self::start(folder, env!("CARGO_BIN_EXE_plimsoll"), arguments)
    }

    /// Waits until `path` is answered with 200 at `address`.
    #[track_caller]
    pub(crate) fn expect_ready(&mut self, address: SocketAddr, path: &str) {
        eventually(&format!("{address}{path} is answered"), || {
            let ended = self.child.try_wait().ok().flatten();
            assert!(ended.is_none(), "the program at {address} has ended: {ended:?}");
            let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
            std::net::TcpStream::connect(address)
                .ok()
                .and_then(|stream| Wire::new(stream).try_exchange(request))
                .is_some_and(|answer| answer.status() == 200)
        });
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
