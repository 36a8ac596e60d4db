//! Where the numbers of each metric come from: one line per entry of the catalogue, in its order.

use super::family::Family;
use super::text::text_of;
use crate::telemetry::all_series::{Live, NONE};
use crate::telemetry::catalogue::{self as c, Metric};
use crate::telemetry::cells::SharedCounter;
use crate::telemetry::histogram::{Histogram, HistogramTotal};
use crate::telemetry::labels::{BackendState, Label, TransitionCause};
use crate::telemetry::series::{BackendSeries, BackendShard, ListenerShard, UpstreamSeries};
use crate::telemetry::shards::PerWorker;
use crate::telemetry::status::{StatusCounts, StatusTotal};

/// Fills a family from the series that are alive.
pub(super) type Sample = fn(&Live<'_>, &mut Family<'_, '_>);

pub(super) static FAMILIES: &[(&Metric, Sample)] = &[
    (&c::REQUESTS, requests),
    (&c::REQUEST_DURATION, |live, family| {
        for at in &live.backends {
            let total = added_up(at.shards(), |shard| &shard.request_duration);
            family.histogram_with(&at.labels, &total, Some(&at.exemplars));
        }
    }),
    (&c::ADDED_DURATION, |live, family| {
        for at in &live.listeners {
            family.histogram(&at.labels, &added_up(at.shards(), |shard| &shard.added_duration));
        }
    }),
    (&c::ROUTE_REQUESTS, |live, family| {
        for at in &live.routes {
            family.by_label(&at.labels, |class| at.shards().sum(|shard| shard.requests.get(class)));
        }
    }),
    (&c::REQUESTS_REFUSED, |live, family| {
        for at in &live.listeners {
            family.by_label(&at.labels, |reason| at.shards().sum(|shard| shard.refused.get(reason)));
        }
    }),
    (&c::CLIENT_ABORTS, |live, family| listener_counts(live, family, |shard| shard.client_aborts.get())),
    (&c::ATTEMPTS, |live, family| {
        for at in &live.backends {
            family.by_label(&at.labels, |outcome| at.shards().sum(|shard| shard.attempts.get(outcome)));
        }
    }),
    (&c::RESPONSE_WAIT, |live, family| backend_durations(live, family, |shard| &shard.response_wait)),
    (&c::RETRIES, |live, family| {
        for at in &live.backends {
            family.by_label(&at.labels, |reason| at.shards().sum(|shard| shard.retries.get(reason)));
        }
    }),
    (&c::RESCUES, |live, family| backend_counts(live, family, |shard| shard.rescues.get())),
    (&c::RETRIES_REFUSED, |live, family| {
        upstream_counts(live, family, |at, reason| {
            at.shards().sum(|shard| shard.retries_refused.get(reason))
        });
    }),
    (&c::RETRY_BUDGET_LEFT, |live, family| upstream_values(live, family, |at| at.budget_left.get())),
    (&c::BACKEND_UP, |live, family| backend_values(live, family, |at| f64::from(u8::from(at.is_up())))),
    (&c::BACKEND_STATE, |live, family| backend_values(live, family, |at| at.state().index() as f64)),
    (&c::BACKEND_INFLIGHT, |live, family| backend_values(live, family, |at| at.inflight.get() as f64)),
    (&c::BACKEND_WEIGHT, |live, family| backend_values(live, family, |at| at.weight.get())),
    (&c::BACKEND_EFFECTIVE_WEIGHT, |live, family| {
        backend_values(live, family, |at| at.effective_weight.get())
    }),
    (&c::BACKEND_INTENDED_SHARE, |live, family| backend_values(live, family, |at| at.intended_share.get())),
    (&c::BACKEND_LOAD_FACTOR, |live, family| backend_values(live, family, |at| at.load_factor.get())),
    (&c::BACKEND_TRANSITIONS, transitions),
    (&c::BACKEND_LAST_TRANSITION, |live, family| {
        backend_values(live, family, BackendSeries::last_transition_seconds);
    }),
    (&c::EJECTIONS, |live, family| {
        live.backends.iter().for_each(|at| family.by_label(&at.labels, |reason| at.ejections.get(reason)));
    }),
    (&c::EJECTIONS_REFUSED, |live, family| {
        upstream_counts(live, family, |at, reason| at.ejections_refused.get(reason));
    }),
    (&c::DETECTION_DURATION, |live, family| shared_durations(live, family, |at| &at.detection)),
    (&c::REDISTRIBUTION_DURATION, |live, family| shared_durations(live, family, |at| &at.redistribution)),
    (&c::UPSTREAM_INFO, |live, family| {
        for at in &live.upstreams {
            let (rule, sticky) = at.rule();
            family.by_two(&at.labels, rule, sticky, 1);
        }
    }),
    (&c::UPSTREAM_BACKENDS, |live, family| upstream_values(live, family, |at| at.configured.get() as f64)),
    (&c::UPSTREAM_AVAILABLE, |live, family| upstream_values(live, family, |at| at.available.get() as f64)),
    (&c::NONE_AVAILABLE, |live, family| {
        upstream_counts(live, family, |at, choice| at.none_available.get(choice));
    }),
    (&c::HEALTH_CHECKS, |live, family| {
        live.backends.iter().for_each(|at| family.by_label(&at.labels, |result| at.checks.get(result)));
    }),
    (&c::HEALTH_CHECK_DURATION, |live, family| shared_durations(live, family, |at| &at.check_duration)),
    (&c::BACKEND_LOOKUPS, |live, family| {
        live.backends.iter().for_each(|at| family.by_label(&at.labels, |result| at.lookups.get(result)));
    }),
    (&c::BACKEND_INFLIGHT_LIMIT, |live, family| backend_values(live, family, |at| at.inflight_limit.get())),
    (&c::QUEUED, |live, family| upstream_values(live, family, |at| at.queued.get() as f64)),
    (&c::QUEUE_WAIT, |live, family| {
        for at in &live.upstreams {
            family.histogram(&at.labels, &added_up(at.shards(), |shard| &shard.queue_wait));
        }
    }),
    (&c::QUEUE_ENDED, |live, family| {
        upstream_counts(live, family, |at, result| at.queue_ended.get(result));
    }),
    (&c::CONNECT_DURATION, |live, family| backend_durations(live, family, |shard| &shard.connect_duration)),
    (&c::BACKEND_CONNECTIONS_OPENED, |live, family| {
        backend_counts(live, family, |shard| shard.connections_opened.get());
    }),
    (&c::BACKEND_CONNECTIONS_REUSED, |live, family| {
        backend_counts(live, family, |shard| shard.connections_reused.get());
    }),
    (&c::BACKEND_CONNECTIONS_STALE, |live, family| {
        backend_counts(live, family, |shard| shard.connections_stale.get());
    }),
    (&c::BACKEND_CONNECTIONS_IDLE, |live, family| {
        backend_values(live, family, |at| at.shards().sum(|shard| shard.connections_idle.get()) as f64);
    }),
    (&c::BACKEND_SENT_BYTES, |live, family| backend_counts(live, family, |shard| shard.sent_bytes.get())),
    (&c::BACKEND_RECEIVED_BYTES, |live, family| {
        backend_counts(live, family, |shard| shard.received_bytes.get())
    }),
    (&c::TCP_CONNECTIONS, |live, family| {
        for at in &live.tcp {
            family.by_label(&at.labels, |outcome| at.shards().sum(|shard| shard.connections.get(outcome)));
        }
    }),
    (&c::TCP_CONNECTION_DURATION, |live, family| {
        for at in live.tcp.iter().filter(|at| at.backend.is_some()) {
            family.histogram(&at.labels, &added_up(at.shards(), |shard| &shard.duration));
        }
    }),
    (&c::LISTENER_CONNECTIONS, |live, family| listener_counts(live, family, |shard| shard.connections.get())),
    (&c::LISTENER_ACTIVE, |live, family| {
        for at in &live.listeners {
            family.number(&at.labels, at.shards().sum(|shard| shard.connections_active.get()) as f64);
        }
    }),
    (&c::LISTENER_CONNECTIONS_REFUSED, |live, family| {
        listener_counts(live, family, |shard| shard.connections_refused.get());
    }),
    (&c::LISTENER_ACCEPT_ERRORS, |live, family| {
        for at in &live.listeners {
            family.by_label(&at.labels, |reason| at.shards().sum(|shard| shard.accept_errors.get(reason)));
        }
    }),
    (&c::LISTENER_RECEIVED_BYTES, |live, family| {
        listener_counts(live, family, |shard| shard.received_bytes.get());
    }),
    (&c::LISTENER_SENT_BYTES, |live, family| listener_counts(live, family, |shard| shard.sent_bytes.get())),
    (&c::BUILD_INFO, |_, family| {
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        let target = [std::env::consts::ARCH, std::env::consts::OS].join("-");
        let labels = [("version", env!("CARGO_PKG_VERSION")), ("profile", profile), ("target", &target)];
        family.number(&text_of(&labels), 1.0);
    }),
    (&c::READY, |live, family| family.number("", live.process.ready.get() as f64)),
    (&c::CONFIG_GENERATION, |live, family| family.number("", live.process.config_generation.get() as f64)),
    (&c::CONFIG_RELOADS, |live, family| family.by_label("", |result| live.process.reloads(result))),
    (&c::CONFIG_LAST_RELOAD, |live, family| family.number("", live.process.last_reload_seconds())),
    (&c::CONFIG_LAST_RELOAD_OK, |live, family| {
        family.number("", f64::from(u8::from(live.process.last_reload_ok())));
    }),
    (&c::WORKERS, |live, family| family.number("", live.process.worker_cpu_seconds().len() as f64)),
    (&c::WORKER_CPU, |live, family| {
        for (worker, seconds) in live.process.worker_cpu_seconds() {
            family.number(&text_of(&[("worker", &worker.0.to_string())]), seconds);
        }
    }),
    (&c::PUSHES, |live, family| family.by_label("", |result| live.process.pushes.get(result))),
    (&c::PUSH_GROUPS, |live, family| family.number("", live.process.push_groups.get() as f64)),
    (&c::PUSH_GROUPS_EXPIRED, |live, family| family.count("", live.process.push_groups_expired.get())),
    (&c::ADMIN_REQUESTS, |live, family| family.by_label("", |class| live.process.admin_requests.get(class))),
    (&c::LIVE_VIEWERS, |live, family| family.number("", live.process.live_viewers.get() as f64)),
    (&c::LIVE_VIEWERS_DROPPED, |live, family| family.count("", live.process.live_viewers_dropped.get())),
    (&c::ACCESS_LOG_LINES, |live, family| family.count("", live.process.access_log_lines.get())),
    (&c::ACCESS_LOG_DROPPED, |live, family| family.count("", live.process.access_log_dropped.get())),
    (&c::TRACES_EXPORTED, |live, family| family.count("", live.process.traces_exported.get())),
    (&c::TRACES_DROPPED, |live, family| {
        family.by_label("", |reason| live.process.traces_dropped.get(reason));
    }),
];

/// Every answer belongs to exactly one of three places, so the sum over the family is the number of all answers.
fn requests(live: &Live<'_>, family: &mut Family<'_, '_>) {
    for at in &live.backends {
        family.by_code(&at.labels, &codes(at.shards(), |shard| &shard.requests));
    }
    let without_backend = |upstream: &str| text_of(&[("upstream", upstream), ("backend", NONE)]);
    for at in &live.upstreams {
        let counts = codes(at.shards(), |shard| &shard.requests_no_backend);
        family.by_code(&without_backend(&at.upstream), &counts);
    }
    family.by_code(&without_backend(NONE), &codes(live.unrouted, |counts| counts));
}

/// The transitions that every backend has in its life exist from the start; the product of all states and causes would
/// be mostly impossible ones.
fn transitions(live: &Live<'_>, family: &mut Family<'_, '_>) {
    use {BackendState as State, TransitionCause as Cause};
    let usual = [
        (State::Down, Cause::Check),
        (State::Up, Cause::Check),
        (State::Up, Cause::Ramp),
        (State::SlowStart, Cause::Check),
        (State::SlowStart, Cause::Readmission),
        (State::Ejected, Cause::Traffic),
        (State::Ejected, Cause::Outlier),
    ];
    for at in &live.backends {
        for state in State::ALL {
            for cause in Cause::ALL {
                let count = at.transitions(*state, *cause);
                if count > 0 || usual.contains(&(*state, *cause)) {
                    family.by_two(&at.labels, *state, *cause, count);
                }
            }
        }
    }
}

fn backend_values(live: &Live<'_>, family: &mut Family<'_, '_>, value: impl Fn(&BackendSeries) -> f64) {
    live.backends.iter().for_each(|at| family.number(&at.labels, value(at)));
}

fn backend_counts(live: &Live<'_>, family: &mut Family<'_, '_>, count: impl Fn(&BackendShard) -> u64) {
    live.backends.iter().for_each(|at| family.count(&at.labels, at.shards().sum(&count)));
}

fn backend_durations(
    live: &Live<'_>,
    family: &mut Family<'_, '_>,
    durations: impl Fn(&BackendShard) -> &Histogram,
) {
    live.backends.iter().for_each(|at| family.histogram(&at.labels, &added_up(at.shards(), &durations)));
}

/// Shows what the control path measures of each backend.
fn shared_durations(
    live: &Live<'_>,
    family: &mut Family<'_, '_>,
    durations: impl Fn(&BackendSeries) -> &Histogram<SharedCounter>,
) {
    for at in &live.backends {
        let mut total = HistogramTotal::default();
        durations(at).add_to(&mut total);
        family.histogram(&at.labels, &total);
    }
}

fn upstream_values(live: &Live<'_>, family: &mut Family<'_, '_>, value: impl Fn(&UpstreamSeries) -> f64) {
    live.upstreams.iter().for_each(|at| family.number(&at.labels, value(at)));
}

fn upstream_counts<L: Label>(
    live: &Live<'_>,
    family: &mut Family<'_, '_>,
    count: impl Fn(&UpstreamSeries, L) -> u64,
) {
    live.upstreams.iter().for_each(|at| family.by_label(&at.labels, |value| count(at, value)));
}

fn listener_counts(live: &Live<'_>, family: &mut Family<'_, '_>, count: impl Fn(&ListenerShard) -> u64) {
    live.listeners.iter().for_each(|at| family.count(&at.labels, at.shards().sum(&count)));
}

fn added_up<T>(shards: &PerWorker<T>, histogram: impl Fn(&T) -> &Histogram) -> HistogramTotal {
    let mut total = HistogramTotal::default();
    shards.iter().for_each(|shard| histogram(shard).add_to(&mut total));
    total
}

fn codes<T>(shards: &PerWorker<T>, counts: impl Fn(&T) -> &StatusCounts) -> StatusTotal {
    let mut total = StatusTotal::default();
    shards.iter().for_each(|shard| counts(shard).add_to(&mut total));
    total
}
