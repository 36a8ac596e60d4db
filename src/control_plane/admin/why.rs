//! Why requests went where they went: the latest exchanges of all workers, with what was decided about each.
//!
//! The workers are asked, not read: each hands over what it remembers between two of its tasks, and nobody waits for one
//! that does not.

mod question;
mod view;
mod words;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::time::{Instant, timeout_at};

use super::AdminState;
use super::status::complain;
use crate::control_plane::now::Now;
use crate::telemetry::{PastExchange, SeriesId};
use crate::upstream::Upstream;
use question::Asked;
use view::{ExchangeView, WhyView};

/// How long a worker may take to answer. It is busy for microseconds unless its thread is starved.
const PATIENCE: Duration = Duration::from_secs(1);

/// Answers `GET /api/v1/why?id=&trace=&upstream=&backend=&status=&notable=&limit=`: the latest exchanges, newest first.
/// Times are RFC 3339 in UTC.
///
/// ```json
/// {
///   "exchanges": [
///     {
///       "at": "2026-11-21T09:51:00.250Z",
///       "request_id": "51ad4a55b5a1c3a7", "trace_id": null,
///       "method": "GET", "path": "/", "listener": "web", "route": "all", "upstream": "app", "balance": "peak_ewma",
///       "status": 200, "reason": null, "notable": true, "slow": false, "duration_ms": 12.3, "queued_ms": 0.0,
///       "tries": [
///         {
///           "number": 1, "backend": "backend-1", "pick": "balanced", "in_flight": 3, "outcome": "reset",
///           "dialled": false, "start_ms": 0.04,
///           "connect_ms": null, "send_ms": 0.02, "wait_ms": 8.1, "relay_ms": null, "total_ms": 8.12
///         },
///         {
///           "number": 2, "backend": "backend-3", "pick": "balanced", "in_flight": 1, "outcome": "ok",
///           "dialled": true, "start_ms": 8.2,
///           "connect_ms": 0.2, "send_ms": 0.02, "wait_ms": 3.8, "relay_ms": 0.05, "total_ms": 4.07
///         }
///       ],
///       "tries_left_out": 0,
///       "candidates": [
///         {
///           "before_try": 2, "at_ms": 8.2,
///           "backends": [
///             {
///               "backend": "backend-1", "state": "up", "picked": false, "tried": true, "suspect": true, "full": false,
///               "in_flight": 2, "limit": null, "weight": 1.0, "share": 0.3333, "latency_ms": 4.0
///             }
///           ],
///           "others": 2, "others_in": 1
///         }
///       ],
///       "words": "backend-1 was picked (the choice of peak EWMA) and reset the connection; backend-3 rescued it; …"
///     }
///   ],
///   "silent_workers": []
/// }
/// ```
///
/// - `id`: only the exchange with this request id, `trace`: those of this trace; `upstream`, `backend`: those that went
///   there; `status`: `503`, or a class as `5xx`; `limit`: how many, 20 by default.
/// - `notable=true`: only those that failed, were slow (`telemetry.slow`), or did not simply get their answer from the first
///   backend picked. Each worker remembers the latest 128 of them, and as many of the others, of which at full load it
///   takes 20 a second by lot: an exchange that is not found went as usual, was refused before it had an upstream (400, 404
///   and the like are never notable), or was long ago.
/// - `upstream` in the answer is null where the balancer answered by itself, and, as `backend`, `listener` and `route`,
///   where the name has left the configuration since; `route` also where none matched.
/// - `reason`: why it was refused or failed; `pick`: why this backend; `outcome`: how that ended, null for a try that
///   was cut. Of more than four tries the first three and the last are kept.
/// - `start_ms`: when the backend was picked, after the first byte of the request; then how long each stage took, null
///   for one that was not reached, with the one that failed until the end. `dialled`: a new connection was asked for,
///   else one from the pool was there at once and `connect_ms` is null.
/// - `candidates`: how the backends stood, at most eight of them: before each try of an exchange of the sample, before every
///   try but the first of any other, and at its end (`before_try` null) where that would be nothing. `weight` is what a
///   backend counted for after slow start and load, `share` its intended part of new work, both 0 for one that got none;
///   `latency_ms` is what `peak_ewma` reckoned with; of the `others` so many got new work.
/// - `silent_workers`: workers that did not answer within a second, whose exchanges are missing.
pub(super) async fn why(
    State(state): State<AdminState>,
    asked: Result<Query<Asked>, QueryRejection>,
    uri: Uri,
) -> Response {
    let Ok(Query(asked)) = asked else {
        return complain(StatusCode::BAD_REQUEST, &uri, question::WRONG);
    };
    let upstreams = (state.upstreams)();
    let names = Names::of(&upstreams);
    if asked.upstream.as_ref().is_some_and(|asked| !names.0.values().any(|(name, _)| name == asked)) {
        return complain(StatusCode::NOT_FOUND, &uri, "there is no upstream of this name");
    }
    if asked.backend.as_ref().is_some_and(|asked| !names.0.values().any(|(_, name)| *name == Some(asked))) {
        return complain(StatusCode::NOT_FOUND, &uri, "there is no backend of this name");
    }
    let (mut exchanges, silent_workers) = collect(&state).await;
    exchanges.retain(|past| asked.wants(past, &names));
    exchanges.sort_unstable_by_key(|past| std::cmp::Reverse(past.began));
    exchanges.truncate(asked.limit());
    let now = Now::read();
    let exchanges = exchanges.iter().map(|past| ExchangeView::of(past, &names, now)).collect();
    Json(WhyView { exchanges, silent_workers }).into_response()
}

/// Asks all workers at the same time; returns what they told, and the numbers of those that told nothing.
async fn collect(state: &AdminState) -> (Vec<Arc<PastExchange>>, Vec<usize>) {
    let deadline = Instant::now() + PATIENCE;
    let (mut told, mut silent) = (Vec::new(), Vec::new());
    for (worker, answer) in (state.past_exchanges)().into_iter().enumerate() {
        match timeout_at(deadline, answer).await {
            Ok(Ok(exchanges)) => told.extend(exchanges),
            _late_or_ended => silent.push(worker),
        }
    }
    (told, silent)
}

/// The names behind the numbers of series: an upstream, or a backend in it.
struct Names<'a>(HashMap<SeriesId, (&'a str, Option<&'a str>)>);

impl<'a> Names<'a> {
    fn of(upstreams: &'a [Arc<Upstream>]) -> Self {
        let named = upstreams.iter().flat_map(|upstream| {
            let backends = upstream.backends.iter();
            let backends =
                backends.map(|backend| (backend.series.id, (&*upstream.name, Some(&*backend.name))));
            backends.chain([(upstream.series.id, (&*upstream.name, None))])
        });
        Self(named.collect())
    }

    fn upstream(&self, id: Option<SeriesId>) -> Option<&'a str> {
        self.0.get(&id?).map(|(upstream, _)| *upstream)
    }

    fn backend(&self, id: SeriesId) -> Option<&'a str> {
        self.0.get(&id).and_then(|(_, backend)| *backend)
    }
}

#[cfg(test)]
mod tests;
