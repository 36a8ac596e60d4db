//! Reads a page of metrics in the text format, by hand: the tests must not believe the library that wrote it.

use std::io::Write;
use std::process::{Command, Stdio};

/// Asks Prometheus' own linter about a page; returns whether it finds nothing wrong, and what it says.
pub(crate) fn promtool(page: &[u8]) -> (bool, String) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed (Debian's package prometheus); ./check does it");
    promtool.stdin.take().expect("invariant: piped").write_all(page).expect("promtool reads");
    let verdict = promtool.wait_with_output().expect("promtool ends");
    (
        verdict.status.success(),
        String::from_utf8_lossy(&[verdict.stdout, verdict.stderr].concat()).into_owned(),
    )
}

/// The samples of one page.
pub(crate) struct Metrics {
    pub(crate) text: String,
}

impl Metrics {
    /// The sum of all samples called `name` whose labels contain each of `labels`, such as `backend="backend-1"`.
    /// 0 when there is none.
    pub(crate) fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        self.samples(name, labels).sum()
    }

    /// True when at least one such sample is there.
    pub(crate) fn has(&self, name: &str, labels: &[&str]) -> bool {
        self.samples(name, labels).next().is_some()
    }

    fn samples(&self, name: &str, labels: &[&str]) -> impl Iterator<Item = f64> {
        self.text.lines().filter_map(move |line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (found, rest) = series.split_once('{').unwrap_or((series, ""));
            let matches = found == name && labels.iter().all(|label| rest.contains(label));
            matches.then(|| value.parse().ok()).flatten()
        })
    }
}
