//! Checks within an upstream what concerns several of its sections.

use std::time::Duration;

use super::super::report::Place;
use super::super::upstream::UpstreamConfig;
use super::super::upstream::balance::{SameSite, StickyConfig};
use super::super::upstream::health::HealthCheck;
use super::super::upstream::limits::InFlight;
use super::super::upstream::retries::{Hedge, RetryOn};
use super::super::value::address::BackendAddress;
use super::{CrossCheck, repeats};

impl CrossCheck<'_> {
    /// Notes backends that have a name or an address in common.
    pub(super) fn backends_differ(&self, upstream: &UpstreamConfig) {
        let place = self.value(&["upstreams", upstream.name.as_str(), "backends"]);
        let of = |index: usize| self.backend_place(upstream, index).unwrap_or(place);
        for (index, name) in repeats(upstream.backends.iter().map(|backend| &backend.name)) {
            let message = format!("two backends of `{}` are called `{name}`", upstream.name);
            let hint = "an unnamed backend is called `backend-N` by its position; rename one";
            self.error(of(index), message, hint);
        }
        for (index, address) in repeats(upstream.backends.iter().map(|backend| &backend.address)) {
            let message = format!("two backends of `{}` have the address {address}", upstream.name);
            self.error(of(index), message, "remove one; to send it more work, give it a `weight`");
        }
    }

    /// Notes what is doubtful in an upstream.
    pub(super) fn upstream_can_work(&self, upstream: &UpstreamConfig) {
        if upstream.backends.iter().all(|backend| backend.weight == 0) {
            let message =
                format!("the backends of `{}` share the work evenly: every weight is 0", upstream.name);
            self.doubt(upstream, &["backends"], message, "give at least one backend a weight above 0");
        }
        let insecure = |sticky: &StickyConfig| sticky.same_site == SameSite::None && !sticky.secure;
        if upstream.sticky.as_ref().is_some_and(insecure) {
            let message = "browsers drop a cookie that is `same_site: none` but not `secure`";
            let hint = "add `secure: true`, or write `same_site: lax`";
            self.doubt(upstream, &["sticky", "same_site"], message, hint);
        }
        self.checks_can_work(upstream);
        self.timeouts_fit(upstream);
        self.retries_can_work(upstream);
        self.limits_can_work(upstream);
        if upstream.load_aware.is_some() && self.config.admin.push.is_none() {
            let message =
                format!("nobody can tell how busy the CPUs of `{}` are: `admin.push` is off", upstream.name);
            let hint = "remove `push: off`, or `load_aware`";
            self.doubt(upstream, &["load_aware"], message, hint);
        }
        if let Some(outliers) = &upstream.outliers
            && outliers.ejection_time > outliers.max_ejection_time
        {
            let message = format!(
                "an ejection lasts {:?} at least, but {:?} at most",
                outliers.ejection_time, outliers.max_ejection_time
            );
            let hint = "make `max_ejection_time` longer than `ejection_time`";
            self.doubt(upstream, &["outliers", "max_ejection_time"], message, hint);
        }
    }

    fn checks_can_work(&self, upstream: &UpstreamConfig) {
        let health = &upstream.health;
        let late = |timeout: Duration, interval: Duration| {
            (timeout > interval)
                .then(|| format!("a check may take {timeout:?} but is due every {interval:?}"))
        };
        let hint = "make `timeout` shorter than `interval`";
        if health.check != HealthCheck::Off
            && let Some(message) = late(health.timeout, health.interval)
        {
            self.doubt(upstream, &["health", "timeout"], message, hint);
        }
        let Some(agent) = &health.agent else { return };
        if let Some(message) = late(agent.timeout, agent.interval) {
            self.doubt(upstream, &["health", "agent", "timeout"], message, hint);
        }
        let is_its_own = |address: &BackendAddress| address.port() == agent.port;
        if let Some(backend) = upstream.backends.iter().find(|backend| is_its_own(&backend.address)) {
            let message = format!("the agent has the port of `{}` itself", backend.name);
            let hint = "the agent is a program beside the backend, with a port of its own";
            self.doubt(upstream, &["health", "agent"], message, hint);
        }
    }

    fn timeouts_fit(&self, upstream: &UpstreamConfig) {
        let timeouts = &upstream.timeouts;
        if timeouts.connect > timeouts.response {
            let message = format!(
                "connecting may take {:?}, the whole answer only {:?}",
                timeouts.connect, timeouts.response
            );
            self.doubt(upstream, &["timeouts", "connect"], message, "make `connect` shorter than `response`");
        }
        let patience = ["timeouts", "connect_patience"];
        if timeouts.connect_patience > timeouts.connect && self.is_given(upstream, &patience) {
            let message = format!(
                "no second connect is tried after {:?}: the first has ended after {:?}",
                timeouts.connect_patience, timeouts.connect
            );
            self.doubt(upstream, &patience, message, "make `connect_patience` shorter than `connect`");
        }
        if let Some(per_try) = upstream.retries.per_try_timeout.filter(|span| *span > timeouts.response) {
            let message = format!("a try may take {per_try:?}, but has ended after {:?}", timeouts.response);
            let hint = "make `per_try_timeout` shorter than `timeouts.response`";
            self.doubt(upstream, &["retries", "per_try_timeout"], message, hint);
        }
    }

    fn retries_can_work(&self, upstream: &UpstreamConfig) {
        let retries = &upstream.retries;
        let status = ["retries", "status"];
        if !retries.on.contains(&RetryOn::Status) && self.is_given(upstream, &status) {
            let hint = "add `status` to `on`, or remove it";
            self.doubt(upstream, &status, "`status` has no effect: `on` does not name it", hint);
        }
        if let Hedge::Quantile(quantile) = retries.hedge
            && quantile < 0.5
        {
            let message =
                format!("a second backend is asked for {:.0}% of the requests", 100.0 * (1.0 - quantile));
            let hint = "write a percentile near the slow end, such as `p95`";
            self.doubt(upstream, &["retries", "hedge"], message, hint);
        }
    }

    fn limits_can_work(&self, upstream: &UpstreamConfig) {
        for key in ["queue", "queue_timeout"] {
            let path = ["limits", key];
            if upstream.limits.in_flight == InFlight::Unlimited && self.is_given(upstream, &path) {
                let message =
                    format!("`{key}` has no effect: requests wait only while `in_flight` is reached");
                self.doubt(upstream, &path, message, "add `in_flight: adaptive`, or a number, or remove it");
            }
        }
    }

    /// Notes a warning at a key of an upstream, or at the deepest one above it that is given.
    fn doubt(&self, upstream: &UpstreamConfig, path: &[&str], message: impl Into<String>, hint: &str) {
        let path = [&["upstreams", upstream.name.as_str()], path].concat();
        self.problems.warning(self.value(&path), message, hint);
    }

    /// Whether a key of an upstream stands in the file, rather than its default.
    fn is_given(&self, upstream: &UpstreamConfig, path: &[&str]) -> bool {
        let mut path = ["upstreams", upstream.name.as_str()].into_iter().chain(path.iter().copied());
        path.try_fold(self.root, |node, key| node.get(key)).is_some()
    }

    /// Where a backend stands. None when some could not be decoded, since positions differ then.
    fn backend_place(&self, upstream: &UpstreamConfig, index: usize) -> Option<Place> {
        let backends = self.root.get("upstreams")?.get(upstream.name.as_str())?.get("backends")?.items();
        (backends.len() == upstream.backends.len()).then(|| backends[index].place)
    }
}
