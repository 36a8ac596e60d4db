//! An exchange as `/api/v1/why` shows it; what each field means is told where that answers.

use serde::Serialize;

use super::{Names, words};
use crate::control_plane::now::Now;
use crate::telemetry::{
    AttemptOutcome, Candidate, Candidates, Label as _, PastExchange, Stages, Tries, Try, milliseconds,
    rfc3339,
};

#[derive(Debug, Serialize)]
pub(super) struct WhyView<'a> {
    pub(super) exchanges: Vec<ExchangeView<'a>>,
    pub(super) silent_workers: Vec<usize>,
}

#[derive(Debug, Serialize)]
pub(super) struct ExchangeView<'a> {
    at: String,
    request_id: Option<String>,
    trace_id: Option<String>,
    method: String,
    path: String,
    listener: Option<String>,
    route: Option<String>,
    upstream: Option<&'a str>,
    balance: Option<&'static str>,
    status: u16,
    reason: Option<&'static str>,
    notable: bool,
    slow: bool,
    duration_ms: f64,
    queued_ms: f64,
    tries: Vec<TryView<'a>>,
    tries_left_out: usize,
    candidates: Vec<CandidatesView<'a>>,
    words: String,
}

#[derive(Debug, Serialize)]
struct TryView<'a> {
    number: usize,
    backend: Option<&'a str>,
    pick: &'static str,
    in_flight: u16,
    outcome: Option<&'static str>,
    dialled: bool,
    start_ms: f64,
    #[serde(flatten)]
    stages: Stages,
}

#[derive(Debug, Serialize)]
struct CandidatesView<'a> {
    before_try: Option<u16>,
    at_ms: f64,
    backends: Vec<CandidateView<'a>>,
    others: u32,
    others_in: u32,
}

#[derive(Debug, Serialize)]
struct CandidateView<'a> {
    backend: Option<&'a str>,
    state: &'static str,
    picked: bool,
    tried: bool,
    suspect: bool,
    full: bool,
    in_flight: u32,
    limit: Option<u32>,
    weight: f64,
    share: f64,
    latency_ms: Option<f64>,
}

impl<'a> ExchangeView<'a> {
    pub(super) fn of(past: &'a PastExchange, names: &Names<'a>, now: Now) -> Self {
        Self {
            at: rfc3339(now.time_of(past.began)).to_string(),
            request_id: past.request_id.to_text(),
            trace_id: past.trace_id.map(|id| id.to_string()),
            method: past.line.method(),
            path: past.line.path(),
            listener: past.listener.upgrade().map(|series| series.listener.to_string()),
            route: past.route.as_ref().and_then(|route| Some(route.upgrade()?.route.to_string())),
            upstream: names.upstream(past.upstream),
            balance: past.balance,
            status: past.status,
            reason: past.reason,
            notable: past.is_notable(),
            slow: past.slow,
            duration_ms: milliseconds(past.took),
            queued_ms: milliseconds(past.queued),
            tries: numbered(&past.tries).map(|(number, one)| TryView::of(number, one, names)).collect(),
            tries_left_out: past.tries.left_out(),
            candidates: past.candidates.iter().map(|seen| CandidatesView::of(seen, names)).collect(),
            words: words::tell(past, |id| names.backend(id)),
        }
    }
}

/// Numbers the tries that are kept, from 1: the last one has its own number though some before it are left out.
fn numbered(tries: &Tries) -> impl Iterator<Item = (usize, &Try)> {
    let left_out = tries.left_out();
    let last = usize::from(tries.count()) - left_out;
    (1..).zip(tries.iter()).map(move |(at, one)| (if at == last { at + left_out } else { at }, one))
}

impl<'a> TryView<'a> {
    fn of(number: usize, one: &Try, names: &Names<'a>) -> Self {
        Self {
            number,
            backend: names.backend(one.backend),
            pick: one.reason.as_str(),
            in_flight: one.in_flight,
            outcome: one.outcome.map(AttemptOutcome::as_str),
            dialled: one.dialled,
            start_ms: milliseconds(one.began.as_duration()),
            stages: one.stages(),
        }
    }
}

impl<'a> CandidatesView<'a> {
    fn of(seen: &Candidates, names: &Names<'a>) -> Self {
        Self {
            before_try: seen.before_try,
            at_ms: milliseconds(seen.at.as_duration()),
            backends: seen.shown.iter().map(|one| CandidateView::of(one, names)).collect(),
            others: seen.others,
            others_in: seen.others_in,
        }
    }
}

impl<'a> CandidateView<'a> {
    fn of(one: &Candidate, names: &Names<'a>) -> Self {
        Self {
            backend: names.backend(one.backend),
            state: one.state.as_str(),
            picked: one.picked,
            tried: one.tried,
            suspect: one.suspect,
            full: one.is_full(),
            in_flight: one.in_flight,
            limit: (one.limit != 0).then_some(one.limit),
            weight: rounded(one.weight, 1e4),
            share: rounded(one.share, 1e4),
            latency_ms: one.latency.map(|seconds| rounded(seconds * 1e3, 1e3)),
        }
    }
}

/// Without the digits that only the float has.
fn rounded(value: f32, steps: f64) -> f64 {
    (f64::from(value) * steps).round() / steps
}
