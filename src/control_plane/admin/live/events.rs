//! The events of the live feed, as JSON with names that do not change.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Bytes;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::json;
use tokio::time::Instant;

use super::super::guard::Refusal;
use super::super::upstreams::{BackendView, Known, TransitionView, UpstreamView};
use crate::control_plane::health::PastTransition;
use crate::telemetry::{Column, History, Sample, Telemetry, Track, TrackName};
use crate::upstream::Upstream;

/// How long a browser waits before it asks again, in milliseconds.
const RETRY: u32 = 1000;

/// Renders what a viewer is told first: all that is remembered, and how things are.
pub(super) fn greeting(
    history: &History,
    upstreams: &[Arc<Upstream>],
    telemetry: &Telemetry,
    known: Known<'_>,
    begin: Instant,
) -> Bytes {
    let past = HistoryView {
        times: history.times().collect(),
        tracks: history.tracks().map(|(name, from, track)| TrackView { name, from, track }).collect(),
        transitions: known.board.transitions().into_iter().map(TransitionView::of).collect(),
    };
    let mut text = format!("retry: {RETRY}\n");
    push_event(&mut text, "history", &past);
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(&tick(history, upstreams, telemetry, known, begin));
    bytes.into()
}

/// Renders what the last second has brought, and how things are in a process that began at `begin`.
pub(super) fn tick(
    history: &History,
    upstreams: &[Arc<Upstream>],
    telemetry: &Telemetry,
    known: Known<'_>,
    begin: Instant,
) -> Bytes {
    let process = telemetry.process();
    let upstreams = upstreams.iter().map(|upstream| {
        let sampled = |view: BackendView| {
            let name = TrackName::Backend(upstream.name.clone(), view.name().into());
            WithSample { view, sample: SampleView(history.latest(&name)) }
        };
        let sample = SampleView(history.latest(&TrackName::Upstream(upstream.name.clone())));
        WithSample { view: UpstreamView::of(upstream, known, sampled), sample }
    });
    let tick = TickView {
        at: history.times().last(),
        process: json!({
            "version": env!("CARGO_PKG_VERSION"),
            "ready": process.ready.get() == 1,
            "generation": process.config_generation.get(),
            "uptime_seconds": known.now.instant.saturating_duration_since(begin).as_secs(),
        }),
        total: SampleView(history.latest(&TrackName::Total)),
        upstreams: upstreams.collect(),
    };
    event("tick", &tick)
}

/// Renders a transition that has just happened.
pub(super) fn transition(past: PastTransition) -> Bytes {
    event("transition", &TransitionView::of(past))
}

/// Renders whether a viewer may change things.
pub(super) fn access(may: Result<(), Refusal>) -> Bytes {
    let changes = match may {
        Ok(()) => "allowed",
        Err(Refusal::TokenNeeded) => "token",
        Err(Refusal::AnotherSite | Refusal::FromElsewhere) => "refused",
    };
    event("access", &json!({ "changes": changes, "words": may.err().map(Refusal::words) }))
}

/// Renders the last event.
pub(super) fn bye() -> Bytes {
    event("bye", &json!({}))
}

fn event(name: &str, data: &impl Serialize) -> Bytes {
    let mut text = String::new();
    push_event(&mut text, name, data);
    text.into()
}

/// Appends an event. JSON has no line breaks outside of its texts, and writes those inside with a backslash.
fn push_event(text: &mut String, name: &str, data: &impl Serialize) {
    let json = serde_json::to_string(data).expect("invariant: the views have no keys but texts");
    // Writing to a String cannot fail.
    let _ = write!(text, "event: {name}\ndata: {json}\n\n");
}

#[derive(Serialize)]
struct HistoryView<'a> {
    times: Vec<u64>,
    tracks: Vec<TrackView<'a>>,
    transitions: Vec<TransitionView>,
}

#[derive(Serialize)]
struct TickView<'a> {
    at: Option<u64>,
    process: serde_json::Value,
    total: SampleView<'a>,
    upstreams: Vec<WithSample<'a, UpstreamView<WithSample<'a, BackendView>>>>,
}

#[derive(Serialize)]
struct WithSample<'a, V> {
    #[serde(flatten)]
    view: V,
    sample: SampleView<'a>,
}

/// One track as lists of numbers, without those in which there is none.
struct TrackView<'a> {
    name: &'a TrackName,
    from: usize,
    track: &'a Track,
}

impl Serialize for TrackView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (upstream, backend) = match self.name {
            TrackName::Total => (None, None),
            TrackName::Upstream(upstream) => (Some(upstream), None),
            TrackName::Backend(upstream, backend) => (Some(upstream), Some(backend)),
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("upstream", &upstream)?;
        map.serialize_entry("backend", &backend)?;
        map.serialize_entry("from", &self.from)?;
        for column in Sample::COLUMNS {
            if self.track.samples().any(|sample| !(column.of)(sample).is_nan()) {
                map.serialize_entry(column.name, &ColumnView { column, track: self.track })?;
            }
        }
        map.end()
    }
}

struct ColumnView<'a> {
    column: Column,
    track: &'a Track,
}

impl Serialize for ColumnView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let samples = self.track.samples();
        let mut list = serializer.serialize_seq(Some(samples.len()))?;
        for sample in samples {
            list.serialize_element(&number(self.column, sample))?;
        }
        list.end()
    }
}

/// One second, with the numbers by name.
struct SampleView<'a>(Option<&'a Sample>);

impl Serialize for SampleView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(sample) = self.0 else { return serializer.serialize_none() };
        let mut map = serializer.serialize_map(Some(Sample::COLUMNS.len()))?;
        for column in Sample::COLUMNS {
            map.serialize_entry(column.name, &number(column, sample))?;
        }
        map.end()
    }
}

/// Returns a number with the digits that mean something. What is none becomes null.
fn number(column: Column, sample: &Sample) -> Number {
    let scale = 10_f64.powi(column.digits);
    Number((f64::from((column.of)(sample)) * scale).round() / scale)
}

/// Writes a whole number without a point, which JSON's readers take as well.
struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Above it, not every whole number is one of `f64`.
        const EXACT: f64 = 9e15;
        match self.0 {
            none if !none.is_finite() => serializer.serialize_none(),
            whole if whole.fract() == 0.0 && whole.abs() < EXACT => serializer.serialize_i64(whole as i64),
            other => serializer.serialize_f64(other),
        }
    }
}
