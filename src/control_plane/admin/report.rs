//! The upstreams as plain text, for a look with curl.
//!
//! In the spirit of the status page of lua-resty-upstream-healthcheck, and as easy to grep: a line for each backend that
//! begins with its address and `up` or `DOWN`, then what one asks next.

mod prometheus;

use std::fmt::Write as _;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::AdminState;
use super::drain::drained_by;
use super::status::complain;
use crate::control_plane::health::{Board, LastLookup, LastResult};
use crate::control_plane::now::Now;
use crate::telemetry::{BackendState, PageForm, rfc3339};
use crate::upstream::{Backend, Upstream};

/// In which form.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    format: Option<String>,
}

/// Answers `GET /check`.
///
/// ```text
/// Upstream app: 2 of 3 available, balance round_robin
///     127.0.0.1:5001 up    backend-1, since 2026-11-21T09:51:00.250Z, last check 0.3s ago: status 200
///     127.0.0.1:5002 DOWN  backend-2, since 2026-11-21T09:58:31.003Z, last check 0.1s ago: connection refused
/// ```
///
/// With `?format=prometheus`, and for those who accept what Prometheus does, as metrics; `?format=text` is this report.
pub(super) async fn check(
    State(state): State<AdminState>,
    asked: Result<Query<Asked>, QueryRejection>,
    fields: HeaderMap,
    uri: Uri,
) -> Response {
    let accepted = fields.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let accepted = accepted.collect::<Vec<_>>().join(",");
    let metrics = match asked.as_ref().map(|Query(asked)| asked.format.as_deref()) {
        Ok(None) => is_of_prometheus(&accepted),
        Ok(Some("prometheus")) => true,
        Ok(Some("text")) => false,
        _ => {
            return complain(
                StatusCode::BAD_REQUEST,
                &uri,
                "`format` is prometheus or text, and nothing else",
            );
        }
    };
    let upstreams = (state.upstreams)();
    let vary = (header::VARY, "accept");
    if metrics {
        let form = PageForm::accepted(&accepted);
        let page = prometheus::page(&upstreams, &state.board, form);
        return ([(header::CONTENT_TYPE, form.content_type()), vary], page).into_response();
    }
    let now = Now::read();
    let reports = upstreams.iter().map(|upstream| report(upstream, &state.board, now));
    let text = reports.collect::<Vec<_>>().join("\n");
    let text = if upstreams.is_empty() { "no upstream is configured\n".to_owned() } else { text };
    ([vary], text).into_response()
}

/// Tells whether somebody accepts a form of metrics by its name; people and their tools take anything.
fn is_of_prometheus(accepted: &str) -> bool {
    accepted.contains("application/openmetrics-text") || accepted.contains("version=0.0.4")
}

fn report(upstream: &Upstream, board: &Board, now: Now) -> String {
    let mut text = format!(
        "Upstream {}: {} of {} available, balance {}\n",
        upstream.name,
        upstream.available(),
        upstream.backends.len(),
        upstream.balancer().as_str()
    );
    let lines = upstream.backends.iter().map(|backend| {
        let last = board.last_result(&upstream.name, &backend.name);
        let lookup = board.last_lookup(&upstream.name, &backend.name);
        (place(backend, lookup.as_ref()), line(backend, last, lookup.as_ref(), now))
    });
    let lines: Vec<_> = lines.collect();
    let width = lines.iter().map(|(place, _)| place.len()).max().unwrap_or(0);
    for (place, line) in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    {place:<width$} {line}");
    }
    let queued = upstream.series.queued.get();
    if queued > 0 {
        let _ = writeln!(text, "    {queued} waiting for a backend to have room");
    }
    if upstream.fleet().is_fail_open() {
        text.push_str("    nobody is available: all are tried\n");
    } else if upstream.fleet().is_without_share() {
        text.push_str("    nobody has a share of the work: those that are available get it all the same\n");
    }
    text
}

/// Where a backend is: its address, or the name that stands for one as long as nobody knows it.
fn place(backend: &Backend, lookup: Option<&LastLookup>) -> String {
    match (backend.address, lookup) {
        (Some(address), _) => address.to_string(),
        (None, Some(lookup)) => format!("{}:{}", lookup.host, lookup.port),
        (None, None) => "?".to_owned(),
    }
}

fn line(backend: &Backend, last: Option<LastResult>, lookup: Option<&LastLookup>, now: Now) -> String {
    let availability = backend.availability();
    let state = match availability.state() {
        BackendState::Down => "DOWN".to_owned(),
        state => state.to_string(),
    };
    let since = rfc3339(now.time_of(availability.since()));
    let mut text = format!("{state:<5} {}, since {since}", backend.name);
    match last {
        Some(LastResult { words, at, .. }) => {
            let ago = now.time.duration_since(at).unwrap_or_default().as_secs_f64();
            let _ = write!(text, ", last check {ago:.1}s ago: {words}");
        }
        None => text.push_str(", not checked"),
    }
    if backend.is_suspect(now.instant) {
        text.push_str(", suspect");
    }
    if let Some(lookup) = lookup.filter(|lookup| lookup.error.is_some() || lookup.addresses.len() > 1) {
        let _ = write!(text, ", {}", lookup.words());
    }
    push_reasons(&mut text, backend, now);
    text
}

/// Says why a backend gets less than its share.
fn push_reasons(text: &mut String, backend: &Backend, now: Now) {
    let availability = backend.availability();
    if let Some(ejection) = availability.ejection() {
        let left = ejection.until.saturating_duration_since(now.instant).as_secs_f64();
        let lately = availability.ejections_lately(now.instant);
        let _ = write!(text, ", ejected for {left:.1}s more ({}, {lately} lately)", ejection.reason);
    }
    let drained_by = drained_by(backend);
    if !drained_by.is_empty() {
        let _ = write!(text, ", drained by {}, {} in flight", drained_by.join(" and "), backend.in_flight());
    }
    let (weight, configured) = (backend.weight(), backend.configured_weight());
    if weight != configured {
        let _ = write!(text, ", weight {weight} by an operator ({configured} in the file)");
    }
    let share = availability.share(now.instant);
    if availability.is_available() && share < 1.0 {
        let _ = write!(text, ", at {:.0}% of its weight", share * 100.0);
    }
    let load_factor = backend.load_factor();
    if load_factor < 1.0 {
        let _ = write!(text, ", {:.0}% left to its busy CPU", load_factor * 100.0);
    }
    if backend.is_full() {
        let _ = write!(text, ", full with {} in flight", backend.in_flight());
    }
}
