//! The rows of the table: which backends, in which order, below which upstreams, and which one is selected.

use super::columns::Line;
use super::state::State;
use super::told::{Backend, Place, Upstream};
use crate::telemetry::Label as _;

/// One row.
#[derive(Debug)]
pub(super) enum Row<'a> {
    Upstream(&'a Upstream),
    Backend(Place, Line<'a>),
}

impl Row<'_> {
    /// The backend of this row.
    pub(super) fn place(&self) -> Option<&Place> {
        match self {
            Row::Upstream(_) => None,
            Row::Backend(place, _) => Some(place),
        }
    }
}

/// Returns all rows that pass the filter. An upstream none of whose backends does is not there.
pub(super) fn rows(state: &State) -> Vec<Row<'_>> {
    let upstreams = state.present.iter().flat_map(|tick| &tick.upstreams);
    upstreams.flat_map(|upstream| group(state, upstream)).collect()
}

/// Returns the position of the row that keys are about: that of the backend that was selected, or the first one.
pub(super) fn selected(rows: &[Row<'_>], state: &State) -> Option<usize> {
    let is_selected = |row: &Row<'_>| row.place().is_some_and(|place| Some(place) == state.selected.as_ref());
    let first = || rows.iter().position(|row| row.place().is_some());
    rows.iter().position(is_selected).or_else(first)
}

fn group<'a>(state: &'a State, upstream: &'a Upstream) -> Vec<Row<'a>> {
    let filter = state.filter.to_lowercase();
    let passes = |backend: &&Backend| filter.is_empty() || contains(upstream, backend, &filter);
    let mut lines: Vec<(Place, Line<'a>)> =
        upstream.backends.iter().filter(passes).map(|backend| line(state, upstream, backend)).collect();
    if let Some(column) = state.sort.column {
        lines.sort_by(|(_, one), (_, other)| {
            let order = column.order(one, other);
            if state.sort.turned { order.reverse() } else { order }
        });
    } else if state.sort.turned {
        lines.reverse();
    }
    // One without any backend is shown as long as nobody looks for one.
    if lines.is_empty() && !(filter.is_empty() && upstream.backends.is_empty()) {
        return Vec::new();
    }
    let backends = lines.into_iter().map(|(place, line)| Row::Backend(place, line));
    [Row::Upstream(upstream)].into_iter().chain(backends).collect()
}

fn line<'a>(state: &State, upstream: &Upstream, backend: &'a Backend) -> (Place, Line<'a>) {
    let place = Place { upstream: upstream.name.clone(), backend: backend.name.clone() };
    let (errors, retries) = state.past.last_minute(&place);
    (place, Line { backend, errors, retries, at: state.present_time() })
}

fn contains(upstream: &Upstream, backend: &Backend, filter: &str) -> bool {
    let state = backend.state.map_or("", |state| state.as_str());
    let address = backend.address.as_ref().map_or("", |address| address.as_str());
    let texts = [upstream.name.as_str(), backend.name.as_str(), state, address];
    texts.into_iter().any(|text| text.to_lowercase().contains(filter))
}
