//! Runs the balancer under callgrind and reads how many instructions its worker has executed.

use crate::case::Case;
use crate::client;
use anyhow::Context;
use loadtest::answering;
use loadtest::child::{Running, with_parent};
use loadtest::program::{free_address, ready_within};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// How long a program may take to start, or to end, under callgrind on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many exchanges come before those that count: they open connections and fill pools.
const BEFORE: usize = 80;

/// Returns the worker's instructions per exchange: by how much they grow with the number of exchanges, so that what a start
/// costs falls out.
pub(crate) async fn per_exchange(case: Case, program: &Path) -> anyhow::Result<u64> {
    let folder = tempfile::tempdir()?;
    let (backends, addresses) = answering::start(case.body()).await?;
    let mut counts = [0; 2];
    for (count, exchanges) in counts.iter_mut().zip([BEFORE, BEFORE + case.exchanges()]) {
        *count = of_run(case, program, folder.path(), &addresses, exchanges).await?;
    }
    backends.end(PATIENCE).await?;
    Ok((counts[1].saturating_sub(counts[0])) / case.exchanges() as u64)
}

/// Returns the instructions of the thread that executed most, in a run of so many exchanges.
async fn of_run(
    case: Case,
    program: &Path,
    folder: &Path,
    backends: &[SocketAddr],
    exchanges: usize,
) -> anyhow::Result<u64> {
    let address = free_address()?;
    let (file, counts) = (folder.join("plimsoll.yaml"), folder.join(format!("counts-{exchanges}")));
    std::fs::write(&file, case.configuration(address, backends, folder))?;
    let mut command = with_parent()?;
    command.args(["valgrind", "--quiet", "--tool=callgrind", "--separate-threads=yes"]);
    command.arg(format!("--callgrind-out-file={}", counts.display()));
    command.arg(program).args(["run", "-c"]).arg(&file).env("PLIMSOLL_LOG", "error").stdin(Stdio::null());
    let balancer = Running::start(&mut command).context("cannot start valgrind; install it")?;
    ready_within(PATIENCE, address, 1).await.context("plimsoll does not forward under valgrind")?;
    client::ask(case, address, exchanges).await?;
    balancer.end(PATIENCE).await?;
    most(folder, &format!("counts-{exchanges}-"))
}

/// Returns the largest total of the files that begin so: callgrind writes one for each thread.
fn most(folder: &Path, prefix: &str) -> anyhow::Result<u64> {
    let mut most = None;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            most = most.max(total(&std::fs::read_to_string(entry.path())?));
        }
    }
    most.context("callgrind has written no counts")
}

/// Reads the total of a file of callgrind's, see <https://valgrind.org/docs/manual/cl-format.html>.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().rev().find_map(|line| line.strip_prefix("totals:"));
    line.and_then(|total| total.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_thread_counts() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("counts-80-01", "version: 1\nevents: Ir\nfn=(1) main\n5 7\n\ntotals: 1200\n"),
            ("counts-80-02", "events: Ir\n\ntotals: 98000\n"),
            ("counts-800-02", "events: Ir\n\ntotals: 99999999\n"),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        assert_eq!(most(folder.path(), "counts-80-").unwrap(), 98_000);
        assert!(most(folder.path(), "counts-3-").is_err());
    }
}
