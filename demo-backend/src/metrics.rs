//! What a demo backend counts about itself.
//!
//! The series of every known path exist from the start, and a request finds its counters without building a label
//! value, so that counting costs a few atomic additions.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode};
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TEXT_FORMAT, TextEncoder,
};
use tokio::time::Instant;

use crate::routes;

/// The content type of the Prometheus text format.
pub(crate) const CONTENT_TYPE: HeaderValue = HeaderValue::from_static(TEXT_FORMAT);

/// The status under which an exchange is counted that its client left before the answer; no answer carries it.
const CLIENT_LEFT: u16 = 499;

/// OpenTelemetry's buckets for durations of HTTP requests, in seconds, with finer ones below 5 ms, where this server
/// usually answers.
const BUCKETS: [f64; 17] = [
    0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0,
    10.0,
];

/// All series of one server.
pub(crate) struct Metrics {
    registry: Registry,
    up: IntGauge,
    root: Arc<PathSeries>,
    paths: Vec<(&'static str, Arc<PathSeries>)>,
    other: Arc<PathSeries>,
}

impl Metrics {
    /// Makes the series of every path that [`routes`] knows, for the server called `server`.
    pub(crate) fn new(server: &str) -> Self {
        let registry = Registry::new();
        let build = |name: &str, help: &str| Opts::new(format!("demo_backend_{name}"), help);
        let requests = IntCounterVec::new(
            build(
                "requests_total",
                "Exchanges that ended, by path template and status; 499 when the client left first.",
            ),
            &["path", "code"],
        )
        .expect(VALID);
        let durations = HistogramVec::new(
            HistogramOpts::from(build(
                "request_duration_seconds",
                "Time from the request's head to the last byte of the answer.",
            ))
            .buckets(BUCKETS.to_vec()),
            &["path"],
        )
        .expect(VALID);
        let in_flight =
            IntGauge::with_opts(build("requests_in_flight", "Exchanges under way.")).expect(VALID);
        let up = IntGauge::with_opts(build(
            "up",
            "Position of the switch: 1 while / and /api/data answer with 200, 0 while with 500.",
        ))
        .expect(VALID);
        let info = IntGaugeVec::new(build("info", "Which server this is; always 1."), &["server", "version"])
            .expect(VALID);
        info.with_label_values(&[server, env!("CARGO_PKG_VERSION")]).set(1);

        registry.register(Box::new(requests.clone())).expect(VALID);
        registry.register(Box::new(durations.clone())).expect(VALID);
        registry.register(Box::new(in_flight.clone())).expect(VALID);
        registry.register(Box::new(up.clone())).expect(VALID);
        registry.register(Box::new(info)).expect(VALID);

        let series = |path: &'static str| Arc::new(PathSeries::new(path, &requests, &durations, &in_flight));
        Self {
            registry,
            up,
            root: series(routes::ROOT),
            paths: routes::TEMPLATES.iter().map(|&path| (path, series(path))).collect(),
            other: series("other"),
        }
    }

    /// Starts to record an exchange on `/`, the one path that is found without a search.
    pub(crate) fn begin_root(&self) -> Recording {
        Recording::begin(&self.root)
    }

    /// Starts to record an exchange on a path template, `None` when no template matched.
    pub(crate) fn begin(&self, template: Option<&str>) -> Recording {
        let known = template.and_then(|template| self.paths.iter().find(|(path, _)| *path == template));
        Recording::begin(known.map_or(&self.other, |(_, series)| series))
    }

    /// Renders all series in the Prometheus text format; `state` is the position of the switch.
    pub(crate) fn render(&self, state: StatusCode) -> Vec<u8> {
        // Set here and not when switched: two switches at once could leave the wrong value behind.
        self.up.set(i64::from(state == StatusCode::OK));
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .expect("invariant: series of a registry can be written to memory");
        text
    }
}

const VALID: &str = "invariant: names of metrics are valid and given once";

/// The series of one path template.
struct PathSeries {
    path: &'static str,
    requests: IntCounterVec,
    ok: IntCounter,
    error: IntCounter,
    duration: Histogram,
    in_flight: IntGauge,
}

impl PathSeries {
    fn new(
        path: &'static str,
        requests: &IntCounterVec,
        durations: &HistogramVec,
        in_flight: &IntGauge,
    ) -> Self {
        Self {
            path,
            ok: requests.with_label_values(&[path, "200"]),
            error: requests.with_label_values(&[path, "500"]),
            duration: durations.with_label_values(&[path]),
            requests: requests.clone(),
            in_flight: in_flight.clone(),
        }
    }

    fn count(&self, code: u16) {
        match code {
            200 => self.ok.inc(),
            500 => self.error.inc(),
            rare => self.requests.with_label_values(&[self.path, &rare.to_string()]).inc(),
        }
    }
}

/// One exchange under way. It is counted when this is dropped, so that also one whose client leaves is counted once.
pub(crate) struct Recording {
    series: Arc<PathSeries>,
    started: Instant,
    code: u16,
}

impl Recording {
    fn begin(series: &Arc<PathSeries>) -> Self {
        series.in_flight.inc();
        Self { series: Arc::clone(series), started: Instant::now(), code: CLIENT_LEFT }
    }

    /// Notes the status of the answer, once there is one.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.code = status.as_u16();
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.series.in_flight.dec();
        self.series.duration.observe(self.started.elapsed().as_secs_f64());
        self.series.count(self.code);
    }
}
