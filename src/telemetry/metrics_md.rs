//! `monitoring/METRICS.md`: the catalogue as a page to read, written by the program so that it cannot fall behind.

use std::fmt::Write;

use super::catalogue::{self as c, ALL, Metric};
use super::histogram::BOUNDS_NS;
use super::labels::{
    AcceptError, AttemptOutcome, BackendState, BalanceRule, CheckResult, CodeClass, EjectionReason, Label,
    NoneAvailable, PushResult, QueueEnd, RefusalReason, ReloadResult, RetryReason, RetryRefusal, Stickiness,
    TcpOutcome, TraceDrop, TransitionCause,
};

const INTRODUCTION: &str = "\
# Metrics

What `/metrics` on the admin address exports. This page is written from `src/telemetry/catalogue.rs` and
`src/telemetry/labels.rs`; `just bless` writes it anew after a change there.

- Every series of a configured backend, upstream, listener or route exists from the start with 0 and stays while it is
  configured. Series with a `code` exist for the usual codes and appear for another one when it first occurs;
  so do transitions, for the usual pairs of `state` and `cause`.
- The sum over `plimsoll_requests_total` is the number of all answers. Where no backend was tried, `backend` is `none`;
  where no upstream was chosen either, both are.
- An answer that the balancer made itself after its attempts had failed is counted on the last backend tried.
- A code without a series of its own is counted as its class (`4xx`). 499 stands for a client that left before its
  answer had started.
- Label values are fixed words or names from the configuration, never text from the network.
- Metrics that others push (`admin.push`) follow those listed here, with the labels of their group, and for each group the
  gauges `push_time_seconds` and `push_failure_time_seconds`: when a push to it was last taken, and when one was last refused
  as inconsistent; 0 is never. As with a Pushgateway, scrape them with `honor_labels: true`. Unlike there, a group that is
  not renewed within `admin.push.expiry` is gone.
- Who asks for it by `Accept: application/openmetrics-text; version=1.0.0`, as Prometheus does, gets OpenMetrics, others the
  classic text format. It names counters without their `_total` in `TYPE` and `HELP` only, and writes the bound `1` as `1.0`.
  There the buckets of `plimsoll_request_duration_seconds` have exemplars, each with the `trace_id` of an exchange whose
  trace the collector has taken (`telemetry.traces`).
- The reason `deadline` is fixed already and not counted yet: an exchange has no deadline as a whole.
";

/// Writes the page.
///
/// ```
/// let page = plimsoll::telemetry::metrics_md();
/// assert!(page.contains("`plimsoll_requests_total`"));
/// ```
pub fn metrics_md() -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut group = "";
    for metric in ALL {
        if metric.group != group {
            group = metric.group;
            push(
                &mut page,
                format_args!(
                    "\n## {group}\n\n| metric | kind, unit | labels | what it says | read it when |\n|---|---|---|---|---|\n"
                ),
            );
        }
        let Metric { name, unit, help, read_it_when, .. } = metric;
        let (kind, labels) = (metric.kind.as_str(), quoted(metric.labels));
        push(&mut page, format_args!("| `{name}` | {kind}, {unit} | {labels} | {help} | {read_it_when} |\n"));
    }
    push(&mut page, format_args!("\n## Label values\n"));
    values_of_labels(&mut page);
    let bounds: Vec<_> = BOUNDS_NS.iter().map(|ns| (*ns as f64 / 1e9).to_string()).collect();
    push(
        &mut page,
        format_args!(
            "\n## Buckets\n\nEvery histogram has the same upper bounds, in seconds: {}. From 0.005 on these are \
             OpenTelemetry's defaults for request durations.\n",
            bounds.join(", ")
        ),
    );
    page
}

fn values_of_labels(page: &mut String) {
    values::<AttemptOutcome>(page, &c::ATTEMPTS);
    values::<RetryReason>(page, &c::RETRIES);
    values::<RetryRefusal>(page, &c::RETRIES_REFUSED);
    values::<RefusalReason>(page, &c::REQUESTS_REFUSED);
    values::<CodeClass>(page, &c::ROUTE_REQUESTS);
    values::<BackendState>(page, &c::BACKEND_TRANSITIONS);
    values::<TransitionCause>(page, &c::BACKEND_TRANSITIONS);
    values::<EjectionReason>(page, &c::EJECTIONS);
    values::<BalanceRule>(page, &c::UPSTREAM_INFO);
    values::<Stickiness>(page, &c::UPSTREAM_INFO);
    values::<NoneAvailable>(page, &c::NONE_AVAILABLE);
    values::<CheckResult>(page, &c::HEALTH_CHECKS);
    values::<QueueEnd>(page, &c::QUEUE_ENDED);
    values::<TcpOutcome>(page, &c::TCP_CONNECTIONS);
    values::<AcceptError>(page, &c::LISTENER_ACCEPT_ERRORS);
    values::<PushResult>(page, &c::PUSHES);
    values::<ReloadResult>(page, &c::CONFIG_RELOADS);
    values::<TraceDrop>(page, &c::TRACES_DROPPED);
}

fn values<L: Label>(page: &mut String, metric: &Metric) {
    debug_assert!(metric.labels.contains(&L::NAME), "{} has no label {}", metric.name, L::NAME);
    push(page, format_args!("\n`{}` of `{}`:\n\n", L::NAME, metric.name));
    for value in L::ALL {
        push(page, format_args!("- `{}`: {}\n", value.as_str(), value.meaning()));
    }
}

fn quoted(labels: &[&str]) -> String {
    labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ")
}

fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("invariant: writing to a string cannot fail");
}
