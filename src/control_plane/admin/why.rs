//! Why requests went where they went: the latest exchanges of all workers, with what was decided about each.
//!
//! The workers are asked, not read: each copies what it remembers between two of its tasks, and nobody waits for one
//! that does not.

mod words;

use std::collections::HashMap;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::AdminState;
use super::status::complain;
use crate::control_plane::now::Now;
use crate::telemetry::{Label as _, PastExchange, SeriesId, Stages, Try, milliseconds, rfc3339};
use crate::upstream::Upstream;

/// How long a worker may take to answer. It is busy for microseconds unless its thread is starved.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many exchanges are shown when nobody says how many.
const LIMIT: usize = 20;

/// Which exchanges are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    upstream: Option<String>,
    backend: Option<String>,
    limit: Option<usize>,
    #[serde(default)]
    notable: bool,
}

/// Answers `GET /api/v1/why?upstream=&backend=&limit=&notable=`: the latest exchanges, newest first. Times are RFC 3339
/// in UTC.
///
/// ```json
/// {
///   "exchanges": [
///     {
///       "at": "2026-11-21T09:51:00.250Z",
///       "method": "GET",
///       "path": "/",
///       "upstream": "app",
///       "balance": "round_robin",
///       "status": 200,
///       "reason": null,
///       "duration_ms": 12.3,
///       "queued_ms": 0.0,
///       "tries": [
///         {
///           "backend": "backend-1", "pick": "balanced", "in_flight": 3, "outcome": "reset", "dialled": false,
///           "start_ms": 0.04, "connect_ms": null, "send_ms": 0.02, "wait_ms": 8.1, "relay_ms": null, "total_ms": 8.12
///         },
///         {
///           "backend": "backend-3", "pick": "balanced", "in_flight": 1, "outcome": "ok", "dialled": true,
///           "start_ms": 8.2, "connect_ms": 0.2, "send_ms": 0.02, "wait_ms": 3.8, "relay_ms": 0.05, "total_ms": 4.07
///         }
///       ],
///       "tries_left_out": 0,
///       "words": "backend-1 was picked (round robin's turn) and reset the connection; backend-3 rescued it; …"
///     }
///   ],
///   "silent_workers": []
/// }
/// ```
///
/// - `upstream`, `backend`: only exchanges that went there; `limit`: how many, 20 by default.
/// - `notable=true`: only those that did not simply get their answer from the first backend picked. Each worker
///   remembers as many of them as of all others together.
/// - `upstream` in the answer is null where the balancer answered by itself, and, as `backend`, where the name has left
///   the configuration since.
/// - `reason`: why it was refused or failed; `pick`: why this backend; `outcome`: how that ended, null for a try that
///   was cut. Of more than four tries the first three and the last are kept.
/// - `start_ms`: when the backend was picked, after the first byte of the request; then how long each stage took, null
///   for one that was not reached, with the one that failed until the end. `dialled`: a new connection was asked for,
///   else one from the pool was there at once and `connect_ms` is null.
/// - `silent_workers`: workers that did not answer within a second, whose exchanges are missing.
pub(super) async fn why(
    State(state): State<AdminState>,
    asked: Result<Query<Asked>, QueryRejection>,
    uri: Uri,
) -> Response {
    let Ok(Query(asked)) = asked else {
        let error =
            "a parameter is wrong; there are upstream, backend, limit (a number) and notable (true or false)";
        return complain(StatusCode::BAD_REQUEST, &uri, error);
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
    exchanges.truncate(asked.limit.unwrap_or(LIMIT));
    let now = Now::read();
    let exchanges = exchanges.iter().map(|past| ExchangeView::of(past, &names, now)).collect();
    Json(WhyView { exchanges, silent_workers }).into_response()
}

/// Asks all workers at the same time; returns what they told, and the numbers of those that told nothing.
async fn collect(state: &AdminState) -> (Vec<PastExchange>, Vec<usize>) {
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

impl Asked {
    fn wants(&self, past: &PastExchange, names: &Names<'_>) -> bool {
        let is = |asked: &Option<String>, name: Option<&str>| asked.is_none() || asked.as_deref() == name;
        let went_to = |asked: &String| past.tries.iter().any(|one| names.backend(one.backend) == Some(asked));
        is(&self.upstream, names.upstream(past.upstream))
            && self.backend.as_ref().is_none_or(went_to)
            && (!self.notable || past.is_notable())
    }
}

/// The names behind the numbers of series: an upstream, or a backend in it.
struct Names<'a>(HashMap<SeriesId, (&'a str, Option<&'a str>)>);

impl<'a> Names<'a> {
    fn of(upstreams: &'a [std::sync::Arc<Upstream>]) -> Self {
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

#[derive(Debug, Serialize)]
struct WhyView<'a> {
    exchanges: Vec<ExchangeView<'a>>,
    silent_workers: Vec<usize>,
}

#[derive(Debug, Serialize)]
struct ExchangeView<'a> {
    at: String,
    method: String,
    path: String,
    upstream: Option<&'a str>,
    balance: Option<&'static str>,
    status: u16,
    reason: Option<&'static str>,
    duration_ms: f64,
    queued_ms: f64,
    tries: Vec<TryView<'a>>,
    tries_left_out: usize,
    words: String,
}

#[derive(Debug, Serialize)]
struct TryView<'a> {
    backend: Option<&'a str>,
    pick: &'static str,
    in_flight: u16,
    outcome: Option<&'static str>,
    dialled: bool,
    start_ms: f64,
    #[serde(flatten)]
    stages: Stages,
}

impl<'a> ExchangeView<'a> {
    fn of(past: &PastExchange, names: &Names<'a>, now: Now) -> Self {
        let view = |one: &Try| TryView {
            backend: names.backend(one.backend),
            pick: one.reason.as_str(),
            in_flight: one.in_flight,
            outcome: one.outcome.map(crate::telemetry::AttemptOutcome::as_str),
            dialled: one.dialled,
            start_ms: milliseconds(one.began.as_duration()),
            stages: one.stages(),
        };
        Self {
            at: rfc3339(now.time_of(past.began)).to_string(),
            method: past.line.method(),
            path: past.line.path(),
            upstream: names.upstream(past.upstream),
            balance: past.balance,
            status: past.status,
            reason: past.reason,
            duration_ms: milliseconds(past.took),
            queued_ms: milliseconds(past.queued),
            tries: past.tries.iter().map(view).collect(),
            tries_left_out: past.tries.left_out(),
            words: words::tell(past, |id| names.backend(id)),
        }
    }
}

#[cfg(test)]
mod tests;
