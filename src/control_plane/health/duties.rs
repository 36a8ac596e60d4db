//! Duties: which backend is looked after by which task, across reloads.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::upstream::{Backend, Upstream};

/// How far apart the first rounds of many new backends begin.
const BETWEEN_FIRST: Duration = Duration::from_micros(20);

/// The names of an upstream and of a backend in it.
pub(super) type Key = (Box<str>, Box<str>);

/// Whom a task tells, and how it asks: what a reload changes while the task goes on.
#[derive(Debug)]
pub(super) struct Assignment<S> {
    /// The upstream in force, which learns the results.
    pub(super) upstream: Arc<Upstream>,
    /// How the backend is asked.
    pub(super) settings: S,
}

/// Where a task finds its assignment. None when there is nothing to do any more.
pub(super) type Assigned<S> = watch::Receiver<Option<Assignment<S>>>;

/// A backend that a configuration has, with its upstream, and how it is to be looked after. None leaves it alone.
pub(super) type Wanted<S> = (Arc<Upstream>, Arc<Backend>, Option<S>);

/// The tasks that look after backends, one for each. Dropping it ends them.
#[derive(Debug)]
pub(super) struct Duties<S>(HashMap<Key, Duty<S>>);

/// What a change of the configuration has ended. The tasks tell nothing any more.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// Backends that stay, and are left alone from now on.
    pub(super) left_alone: Vec<(Arc<Upstream>, Arc<Backend>)>,
    /// Backends that are gone.
    pub(super) gone: Vec<Key>,
}

/// The task that looks after one backend.
#[derive(Debug)]
struct Duty<S> {
    backend: Arc<Backend>,
    assignment: watch::Sender<Option<Assignment<S>>>,
    task: AbortHandle,
}

impl<S> Duties<S> {
    /// Looks after nobody.
    pub(super) fn none() -> Self {
        Self(HashMap::new())
    }

    /// Brings the tasks in line with a configuration: these backends and no others. A task for the same [`Backend`] goes on
    /// with its new assignment; for a new one `start` makes a task, which begins after the given time.
    pub(super) fn apply(
        &mut self,
        wanted: impl Iterator<Item = Wanted<S>>,
        start: impl Fn(Arc<Backend>, Assigned<S>, Duration) -> AbortHandle,
    ) -> Ended {
        let mut before = mem::take(&mut self.0);
        let (mut ended, mut fresh) = (Ended::default(), Vec::new());
        for (upstream, backend, settings) in wanted {
            let key = (upstream.name.clone(), backend.name.clone());
            let known = before.remove(&key);
            let Some(settings) = settings else {
                if known.is_some() {
                    drop(known);
                    ended.left_alone.push((upstream, backend));
                }
                continue;
            };
            let assignment = Assignment { upstream, settings };
            match known {
                Some(duty) if Arc::ptr_eq(&duty.backend, &backend) => {
                    duty.assignment.send_replace(Some(assignment));
                    self.0.insert(key, duty);
                }
                _ => fresh.push((key, backend, assignment)),
            }
        }
        ended.gone = before.into_keys().collect();
        for (nth, (key, backend, assignment)) in (0..).zip(fresh) {
            let (sender, assigned) = watch::channel(Some(assignment));
            let task = start(Arc::clone(&backend), assigned, BETWEEN_FIRST * nth);
            self.0.insert(key, Duty { backend, assignment: sender, task });
        }
        ended
    }

    /// Whom the tasks look after.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.0.keys()
    }
}

impl<S> Drop for Duty<S> {
    /// Ends the task. Taking the assignment back waits for a result that is just being told, and no other follows;
    /// `abort` alone could come between a check and its telling.
    fn drop(&mut self) {
        self.assignment.send_replace(None);
        self.task.abort();
    }
}
