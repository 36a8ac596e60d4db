//! The start: either all of the process serves, or it says what is missing and ends.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};

use crate::harness::backend::Backend;
use crate::harness::eventually_ok;
use crate::harness::setup::Setup;

/// Killed with the test, should it serve after all.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_process_whose_workers_cannot_run_does_not_become_ready() {
    // Enough descriptors for the sockets, of which there are two for each worker, but not for the workers' runtimes.
    let yaml = Setup::at([Backend::nobody()]).top("workers: 32").yaml();
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a temporary file can be made");
    std::fs::write(file.path(), yaml).expect("the temporary file can be written");
    let child = Command::new("sh")
        .args(["-c", "ulimit -n 110; exec \"$0\" run -c \"$1\"", env!("CARGO_BIN_EXE_plimsoll")])
        .arg(file.path())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("there is a shell");
    let mut started = Started(child);
    let status = eventually_ok(|| {
        let status = started.0.try_wait().expect("a child can be waited for");
        status.ok_or_else(|| "the process ends".to_owned())
    });
    let mut said = String::new();
    let stderr = started.0.stderr.as_mut().expect("invariant: it is piped");
    stderr.read_to_string(&mut said).expect("the log is text");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("worker ") && said.contains("cannot start"), "{said}");
    assert!(said.contains("open files") && !said.contains("\"serving\""), "{said}");
}
