//! Changes by operators: made here alone, between reloads and look-ups, so that none undoes another.

use std::sync::Arc;

use super::App;
use super::names::tell;
use crate::control_plane::admin::Changed;
use crate::control_plane::changes::{Action, Addition, Change, Changes, Kept, KeptError, Refused, in_force};
use crate::control_plane::config::Config;
use crate::control_plane::discovery::forget_others;
use crate::upstream::{Backend, Upstream};

/// What operators have changed, and the file that it is kept in, if it is.
#[derive(Debug, Default)]
pub(super) struct Operated {
    /// What holds.
    pub(super) changes: Changes,
    kept: Option<Kept>,
    /// Whether the file is behind: the last time it could not be written.
    is_behind: bool,
}

impl Operated {
    /// Reads what was changed before the process was started, and leaves out what the `file` overrules, which is logged.
    ///
    /// # Errors
    /// When the file of changes cannot be used; it stays as it is.
    pub(super) fn start(file: &Config) -> Result<Self, KeptError> {
        let Some(kept) = file.admin.changes.as_deref().map(Kept::at) else { return Ok(Self::default()) };
        let mut changes = kept.read()?;
        let (path, found) = (kept.path().display(), changes.len());
        changes.settle(file).iter().for_each(|left_out| tracing::warn!("{left_out}"));
        if found > 0 {
            tracing::info!(changes = %path, applied = changes.len(), "what operators changed holds again");
        }
        Ok(Self { changes, kept: Some(kept), is_behind: false })
    }

    /// Takes up other changes, and writes them for the next start if they are to be kept. Returns why that failed.
    pub(super) async fn keep(&mut self, changes: Changes) -> Option<String> {
        let is_new = changes != self.changes;
        self.changes = changes;
        let kept = self.kept.clone().filter(|_| is_new || self.is_behind)?;
        let (path, changes) = (kept.path().display().to_string(), self.changes.clone());
        let written = tokio::task::spawn_blocking(move || kept.write(&changes)).await;
        let failed = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        self.is_behind = failed.is_some();
        let failed = failed.map(|error| {
            format!(
                "cannot write {path}: {error}; `admin.changes` needs a directory that plimsoll may write to"
            )
        });
        failed.inspect(|failed| tracing::error!("{failed}"))
    }
}

impl App {
    /// Makes a change, and keeps it for the next start if it is to be.
    ///
    /// Cancel safe: until the change is in force nothing is touched, and then it is written whoever waits.
    ///
    /// # Errors
    /// When the change is refused; nothing has changed then.
    pub(super) async fn change(&mut self, change: Change) -> Result<Changed, Refused> {
        let mut changes = self.operated.changes.clone();
        let name = changes.make(&change, &self.file)?;
        let (upstream, backend) = match &change.action {
            Action::Add(addition) => {
                let interval = self.lookup_interval(&change.upstream);
                self.discovery.look_up_one(&addition.address, interval).await;
                log_addition(&change, name.as_str(), addition);
                self.put_members_into_force(&changes);
                self.serving(&change, name.as_str())?
            }
            action => {
                let (upstream, backend) = self.serving(&change, name.as_str())?;
                in_force::tell(&upstream, &backend, &change, &self.board);
                if let Action::Remove(_) = action {
                    self.put_members_into_force(&changes);
                }
                (upstream, backend)
            }
        };
        let not_kept = self.operated.keep(changes).await;
        Ok(Changed { upstream, backend, not_kept })
    }

    /// Takes up who belongs to which upstream. An upstream that has the same backends as before is left alone.
    fn put_members_into_force(&mut self, changes: &Changes) {
        self.config = changes.over(&self.file);
        self.discovery.follow(&self.config);
        forget_others(&self.config, &self.board);
        tell(&mut self.discovery, &self.config, &self.shared.telemetry, &self.board);
        self.put_upstreams_into_force(changes);
    }

    fn serving(&self, change: &Change, backend: &str) -> Result<(Arc<Upstream>, Arc<Backend>), Refused> {
        in_force::find(&self.shared.snapshot.load().upstreams, &change.upstream, backend)
    }

    fn lookup_interval(&self, upstream: &str) -> Option<std::time::Duration> {
        let known = self.file.upstreams.iter().find(|known| known.name.as_str() == upstream);
        known.and_then(|upstream| upstream.lookup_interval)
    }
}

fn log_addition(
    Change { upstream, by, .. }: &Change,
    backend: &str,
    Addition { address, weight, .. }: &Addition,
) {
    tracing::info!(upstream = &**upstream, backend, %address, weight, by = &**by, "an operator adds it");
}
