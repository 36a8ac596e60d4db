//! `plimsoll ctl ping --watch`: asks again and again, and keeps what was answered in a file that keepalived follows.
//!
//! keepalived runs scripts in whole seconds; a file that it tracks (`track_file`, by inotify) is acted on at once.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use hyper::Method;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::cli::operator::Operator;
use crate::control_plane::config::value::quantity;

/// How long an answer may take. A refused connection is known at once; silence is a process that hangs, or a host so busy
/// that moving an address elsewhere on every pause would do harm.
const SILENCE: Duration = Duration::from_secs(1);

/// How to go on asking.
#[derive(Debug, clap::Args)]
pub(super) struct Watch {
    /// Go on asking until SIGTERM, and tell each change: ready, not ready, no answer.
    #[arg(long)]
    watch: bool,
    /// Write 0 (ready), 1 (not ready) or 2 (no answer) to this file, for keepalived's `track_file`. It is replaced as a
    /// whole, by way of a file beside it; 1 is written at the end, as nobody watches then.
    #[arg(long, value_name = "PATH", requires = "watch")]
    track_file: Option<PathBuf>,
    /// From one question to the next, 10ms at least.
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = between, requires = "watch")]
    interval: Duration,
}

/// How the balancer is. Its number is what the file says, the higher the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Ready = 0,
    NotReady = 1,
    NoAnswer = 2,
}

impl Watch {
    pub(super) fn wanted(&self) -> bool {
        self.watch
    }

    /// Has the file say what was found. Looks at it each time, since keepalived writes a value of its own at its start.
    fn tell(&self, found: Found) -> anyhow::Result<()> {
        let Some(path) = &self.track_file else { return Ok(()) };
        let text = format!("{}\n", found as u8);
        if std::fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(());
        }
        replace(path, &text).with_context(|| {
            format!("cannot write {}; its folder must exist and be writable", path.display())
        })
    }
}

/// Puts a file with this text in the place of another: whoever reads it finds the one or the other.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)
}

impl Operator {
    /// Asks whether the balancer takes traffic, until a signal says that it is enough.
    ///
    /// # Errors
    /// When the file cannot be written, or signals cannot be listened to.
    pub(super) async fn watch(&self, watch: &Watch) -> anyhow::Result<String> {
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
        let mut ticks = interval(watch.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = None;
        loop {
            let look = async {
                ticks.tick().await;
                self.look().await
            };
            let found = tokio::select! {
                found = look => found,
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            };
            watch.tell(found)?;
            if last.replace(found) != Some(found) {
                writeln!(std::io::stdout(), "{found}").context("cannot write what was found")?;
            }
        }
        // Whoever else lives is to be preferred now; if nobody does, what was fine a moment ago is better than nothing.
        if last != Some(Found::NoAnswer) {
            watch.tell(Found::NotReady)?;
        }
        Ok("no longer watched".to_owned())
    }

    async fn look(&self) -> Found {
        match timeout(SILENCE, self.answer(Method::GET, "/ready", Bytes::new())).await {
            Ok(Ok((status, _))) if status.is_success() => Found::Ready,
            Ok(Ok(_)) => Found::NotReady,
            Ok(Err(_)) | Err(_) => Found::NoAnswer,
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Ready => "ready",
            Self::NotReady => "not ready: it starts or drains",
            Self::NoAnswer => "no answer",
        })
    }
}

fn between(text: &str) -> Result<Duration, String> {
    match quantity::duration(text) {
        Ok(span) if span >= Duration::from_millis(10) => Ok(span),
        Ok(_) => Err("less than 10ms would be load of its own".to_owned()),
        Err(invalid) => Err(invalid.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_says_what_was_found_whoever_wrote_it_meanwhile() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("balancer");
        let watch =
            Watch { watch: true, track_file: Some(path.clone()), interval: Duration::from_millis(100) };
        let said = || std::fs::read_to_string(&path).expect("it is there");
        watch.tell(Found::Ready).expect("it can be written");
        assert_eq!(said(), "0\n");
        std::fs::write(&path, "2\n").expect("it can be overwritten");
        watch.tell(Found::Ready).expect("it can be written");
        assert_eq!(said(), "0\n");
        watch.tell(Found::NoAnswer).expect("it can be written");
        assert_eq!(said(), "2\n");
        let files = std::fs::read_dir(folder.path()).expect("it can be listed").count();
        assert_eq!(files, 1, "nothing is left beside it");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let track_file = Some(PathBuf::from("/nowhere/at/all"));
        let watch = Watch { watch: true, track_file, interval: Duration::from_millis(100) };
        let error = format!("{:#}", watch.tell(Found::Ready).expect_err("there is no folder"));
        assert!(error.contains("/nowhere/at/all; its folder must exist"), "{error}");
    }

    #[test]
    fn an_interval_has_a_unit_and_is_no_flood() {
        assert_eq!(between("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["0s", "9ms", "100", "soon"] {
            assert!(between(wrong).is_err(), "{wrong}");
        }
    }
}
