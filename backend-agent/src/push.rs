//! Pushes what holds of the target to gateways: a Prometheus Pushgateway, or plimsoll's admin server.
//!
//! Each gateway has a task of its own, so that one that hangs does not keep the others waiting. A push replaces the
//! whole group (PUT), so that what is gone here is gone there. Nothing that a gateway does ends the agent.

mod group;
mod outcome;
mod trouble;

pub(crate) use outcome::{ACCEPTED, RESULTS};

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hyper::{Method, StatusCode};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::ending::Ending;
use crate::exchange;
use crate::metrics::{Metrics, PushSeries};
use crate::url::{Url, UrlError};
use outcome::{PushError, judge};
use trouble::{Accepted, Troubles};

/// How long one push may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// When the first push is due: by then the target was looked at twice, and there is a percentage.
const FIRST_AFTER: Duration = Duration::from_millis(200);
/// The longest wait between two pushes to a gateway that takes none, unless the interval is longer.
const BACK_OFF_MAX: Duration = Duration::from_secs(30);
/// By how much of itself a wait is made longer or shorter at random, so that agents that start together do not push
/// together.
const JITTER: f64 = 0.1;
/// How long a push under way may still take once the agent was asked to end.
const LAST_PUSH: Duration = Duration::from_secs(1);
/// How long it may take to delete the group at the end.
const DELETE: Duration = Duration::from_secs(2);

/// What is pushed where.
#[derive(Clone, Debug)]
pub(crate) struct Push {
    /// Each once.
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) interval: Duration,
    /// The label `job` of the group.
    pub(crate) job: String,
    /// The label `instance` of the group.
    pub(crate) instance: String,
}

/// The base URL of something that takes pushes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gateway(Url);

/// Why a text is no base URL.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatewayError {
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error("`{0}` is more than a base URL; leave out what comes from `{1}` on, the agent adds it by itself")]
    NoBase(String, &'static str),
}

impl FromStr for Gateway {
    type Err = GatewayError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut url: Url = text.parse()?;
        url.path.truncate(url.path.trim_end_matches('/').len());
        let beyond = if url.path.contains('?') {
            Some("?")
        } else {
            (url.path.contains("/metrics/job") || url.path.ends_with("/metrics")).then_some("/metrics")
        };
        if let Some(beyond) = beyond {
            return Err(GatewayError::NoBase(text.to_owned(), beyond));
        }
        Ok(Self(url))
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Pushes until the agent is asked to end, then deletes the groups. Returns at most 3 s after it was asked.
///
/// Cancel safety: dropping it ends all pushes; the groups stay.
pub(crate) async fn run(push: Push, metrics: Arc<Metrics>, ending: Ending) {
    let mut pushers = JoinSet::new();
    for gateway in &push.gateways {
        pushers.spawn(Pusher::new(gateway, &push, Arc::clone(&metrics)).run(ending.clone()));
    }
    while pushers.join_next().await.is_some() {}
}

/// Pushes to one gateway.
struct Pusher {
    gateway: Gateway,
    /// The URL of the group there.
    group: Url,
    interval: Duration,
    metrics: Arc<Metrics>,
    series: PushSeries,
    troubles: Troubles<(&'static str, Option<StatusCode>)>,
    /// How many pushes in a row were not accepted.
    failures: u32,
}

impl Pusher {
    fn new(gateway: &Gateway, push: &Push, metrics: Arc<Metrics>) -> Self {
        let path = group::path(&gateway.0.path, &push.job, &push.instance);
        Self {
            gateway: gateway.clone(),
            group: Url { path, ..gateway.0.clone() },
            interval: push.interval,
            series: metrics.pushes_to(&gateway.to_string()),
            metrics,
            troubles: Troubles::new(),
            failures: 0,
        }
    }

    async fn run(mut self, mut ending: Ending) {
        let mut due = Instant::now() + FIRST_AFTER + self.interval.mul_f64(JITTER * fastrand::f64());
        loop {
            tokio::select! {
                biased;
                () = ending.asked() => break,
                () = sleep_until(due) => {}
            }
            let began = Instant::now();
            let pushed = tokio::select! {
                pushed = self.push() => pushed,
                // A push that is given up may still arrive, and bring back what was deleted.
                () = async { ending.asked().await; sleep(LAST_PUSH).await } => break,
            };
            self.take_in(Instant::now(), pushed);
            due = began + pause(self.interval, self.failures, fastrand::f64() * 2.0 - 1.0);
        }
        self.delete().await;
    }

    async fn push(&self) -> Result<(), PushError> {
        judge(exchange::ask(Method::PUT, &self.group, self.metrics.render_push(), PATIENCE).await)
    }

    /// Counts what became of a push, and tells it if it is news.
    fn take_in(&mut self, now: Instant, pushed: Result<(), PushError>) {
        match pushed {
            Ok(()) => {
                self.failures = 0;
                self.series.count_accepted();
                match self.troubles.accepted(now) {
                    Accepted::First => tracing::info!(group = %self.group, "pushes are accepted"),
                    Accepted::Again(lasted) => {
                        tracing::info!(gateway = %self.gateway, ?lasted, "pushes are accepted again");
                    }
                    Accepted::AsBefore => {}
                }
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.series.count(error.result());
                if self.troubles.failed(now, (error.result(), error.status())) {
                    let hint = error.hint();
                    tracing::warn!(gateway = %self.gateway, %error, hint, "push failed; trying on");
                }
            }
        }
    }

    /// Deletes the group: a gateway keeps a last value for ever, and a backend that is gone would look calm.
    async fn delete(&self) {
        let error = match judge(exchange::ask(Method::DELETE, &self.group, Vec::new(), DELETE).await) {
            Ok(()) => return tracing::info!(group = %self.group, "group deleted"),
            Err(error) => error,
        };
        tracing::warn!(%error, "group not deleted; if it is still there: curl -X DELETE {}", self.group);
    }
}

/// Returns the wait from the begin of a push to that of the next one, after so many failures in a row: the interval,
/// doubled with each failure after the first. `jitter` goes from -1 to 1.
fn pause(interval: Duration, failures: u32, jitter: f64) -> Duration {
    let doubled = interval.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(BACK_OFF_MAX.max(interval)).mul_f64(1.0 + JITTER * jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_with_each_failure_up_to_a_bound() {
        let seconds = |failures| pause(Duration::from_secs(5), failures, 0.0).as_secs();
        assert_eq!([0, 1, 2, 3, 4, 5, u32::MAX].map(seconds), [5, 5, 10, 20, 30, 30, 30]);
        let slow = Duration::from_secs(300);
        assert_eq!(pause(slow, 9, 0.0), slow, "whoever pushes seldom does not push more often in trouble");
        assert_eq!(pause(Duration::from_secs(10), 0, -1.0), Duration::from_secs(9));
        assert_eq!(pause(Duration::from_secs(10), 0, 1.0), Duration::from_secs(11));
    }

    #[test]
    fn a_base_url_is_taken_with_or_without_a_slash_at_its_end() {
        for text in ["http://push:9091", "http://push:9091/"] {
            assert_eq!(text.parse::<Gateway>().unwrap().to_string(), "http://push:9091");
        }
        assert_eq!("http://push/gate/".parse::<Gateway>().unwrap().to_string(), "http://push/gate");
        assert_eq!("http://push/metrics-gate".parse::<Gateway>().unwrap().0.path, "/metrics-gate");
    }

    #[test]
    fn the_url_of_the_original_script_is_answered_with_what_to_leave_out() {
        for text in [
            "http://push:9091/metrics/job/cpu_usage/instance/backend-1",
            "http://push/metrics",
            "http://a/?b",
        ] {
            let said = text.parse::<Gateway>().unwrap_err().to_string();
            assert!(said.contains("leave out"), "{said}");
        }
    }
}
