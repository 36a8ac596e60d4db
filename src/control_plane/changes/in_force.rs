//! Changes of backends that serve: told to the backend, to the log and to the board.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Action, Change, Changes, Refused};
use crate::control_plane::health::Board;
use crate::upstream::{Backend, DrainSource, Event, Upstream};

/// Finds a backend by its name and that of its upstream.
///
/// # Errors
/// When nothing has the name.
pub fn find(
    upstreams: &[Arc<Upstream>],
    upstream: &str,
    backend: &str,
) -> Result<(Arc<Upstream>, Arc<Backend>), Refused> {
    let Some(of) = upstreams.iter().find(|known| *known.name == *upstream) else {
        let names = upstreams.iter().map(|known| known.name.clone()).collect();
        return Err(Refused::Unknown { what: "upstream", names });
    };
    let Some(found) = of.backends.iter().find(|known| *known.name == *backend) else {
        let names = of.backends.iter().map(|known| known.name.clone()).collect();
        return Err(Refused::Unknown { what: "backend", names });
    };
    Ok((Arc::clone(of), Arc::clone(found)))
}

/// Tells a backend what was changed of it, and the log who did it. What is so already is told to nobody. One that is removed
/// is drained: it gets nothing new, also of exchanges that began before.
pub fn tell(upstream: &Upstream, backend: &Backend, change: &Change, board: &Board) {
    let (of, name, by) = (&*upstream.name, &*backend.name, &*change.by);
    let is_drained = backend.availability().is_drained_by(DrainSource::Operator);
    let (operation, event, words) = match &change.action {
        Action::Drain(_) if !is_drained => {
            ("drain", Event::Drain(DrainSource::Operator), "an operator drains it")
        }
        Action::Ready(_) if is_drained => {
            ("ready", Event::Ready(DrainSource::Operator), "an operator makes it ready")
        }
        Action::Remove(_) => ("remove", Event::Drain(DrainSource::Operator), "an operator removes it"),
        Action::Weigh(_, weight) => {
            let (before, weight) = (backend.weight(), u32::from(*weight));
            if before != weight {
                tracing::info!(
                    upstream = of,
                    backend = name,
                    before,
                    weight,
                    by,
                    "an operator sets its weight"
                );
                upstream.set_weight(backend, weight, Instant::now());
            }
            return;
        }
        Action::Add(_) | Action::Drain(_) | Action::Ready(_) => return,
    };
    let _during = tracing::info_span!("backend", operation, upstream = of, backend = name).entered();
    // Also when no change of state follows, because the backend is down or somebody else drains it.
    tracing::info!(upstream = of, backend = name, by, "{words}");
    board.observe(upstream, backend, event, words);
}

/// Makes backends that have just come into force as operators want them: those of a process that starts, and those that
/// took the place of others of their name.
pub fn hold(changes: &Changes, upstreams: &[Arc<Upstream>], board: &Board) {
    for entry in &changes.0 {
        let found = find(upstreams, entry.upstream.as_str(), entry.backend.as_str());
        let Ok((upstream, backend)) = found else { continue };
        if let Some(weighed) = entry.weight
            && backend.weight() != u32::from(weighed.now)
        {
            upstream.set_weight(&backend, weighed.now.into(), Instant::now());
        }
        if entry.drained && !backend.availability().is_drained_by(DrainSource::Operator) {
            let words = "an operator drained it earlier";
            board.observe(&upstream, &backend, Event::Drain(DrainSource::Operator), words);
        }
    }
}
