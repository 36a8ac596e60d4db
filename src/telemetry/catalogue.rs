//! The catalogue: every metric that the program exports, once, with what it means.
//!
//! Nothing else knows a metric's name, kind, labels or help: `/metrics` is rendered from these entries and
//! `monitoring/METRICS.md` is written from them, so the three cannot drift apart.

/// What a metric's values do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; read it through `rate` or `increase`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations by bucket; read it through `histogram_quantile`.
    Histogram,
}

impl Kind {
    /// Returns the word that the exposition format has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// The heading that it stands under in `METRICS.md`.
    pub group: &'static str,
    /// The name, as exported.
    pub name: &'static str,
    /// What its values do.
    pub kind: Kind,
    /// What one unit of its value is.
    pub unit: &'static str,
    /// The labels' names, in the order of the samples.
    pub labels: &'static [&'static str],
    /// One sentence: what is counted or measured.
    pub help: &'static str,
    /// Completes the sentence "Read it when …".
    pub read_it_when: &'static str,
}

/// Writes down the metrics as statics, and all of them as [`ALL`], in the same order.
macro_rules! catalogue {
    ($($group:literal { $($id:ident = $kind:ident $name:literal [$($label:ident),*] $unit:literal,
        $help:literal, when $when:literal;)* })*) => {
        $($(
            #[doc = $help]
            pub static $id: Metric = Metric {
                group: $group,
                name: $name,
                kind: Kind::$kind,
                unit: $unit,
                labels: &[$(stringify!($label)),*],
                help: $help,
                read_it_when: $when,
            };
        )*)*

        /// Every metric, in the order of `METRICS.md`.
        pub static ALL: &[&Metric] = &[$($(&$id),*),*];
    };
}

catalogue! {
    "Requests" {
        REQUESTS = Counter "plimsoll_requests_total" [upstream, backend, code] "requests",
            "Final answers to clients; backend is none where no backend was tried.",
            when "you want rates, shares of traffic and error ratios: the first metric to look at";
        REQUEST_DURATION = Histogram "plimsoll_request_duration_seconds" [upstream, backend] "seconds",
            "Time from the first byte of a request to the last byte of its answer.",
            when "you want the latency that clients see, and which backend it comes from";
        ADDED_DURATION = Histogram "plimsoll_added_duration_seconds" [listener] "seconds",
            "Time that the balancer itself added to an exchange.",
            when "you suspect the balancer, not the backends, of being slow";
        ROUTE_REQUESTS = Counter "plimsoll_route_requests_total" [route, class] "requests",
            "Final answers by the route that matched and the class of the code.",
            when "you want to know which part of the site is concerned";
        REQUESTS_REFUSED = Counter "plimsoll_requests_refused_total" [listener, reason] "requests",
            "Requests that the balancer answered itself because they were malformed, over a limit or had nowhere to go.",
            when "clients see 4xx or 503 that no backend has sent";
        CLIENT_ABORTS = Counter "plimsoll_client_aborts_total" [listener] "requests",
            "Exchanges that ended because the client left.",
            when "users lose patience: compare it with the latency";
    }
    "Attempts and retries" {
        ATTEMPTS = Counter "plimsoll_attempts_total" [upstream, backend, outcome] "attempts",
            "Attempts to get an answer from a backend, by how they ended.",
            when "you want to know how a backend fails, also when clients did not notice";
        RESPONSE_WAIT = Histogram "plimsoll_response_wait_seconds" [upstream, backend] "seconds",
            "Time from a request sent to a backend to the first byte of its answer.",
            when "you want the backend's own speed, without clients' networks and large bodies";
        RETRIES = Counter "plimsoll_retries_total" [upstream, backend, reason] "attempts",
            "Attempts that failed on this backend and were repeated, on another one if there was one.",
            when "you want to know whose failures were hidden from clients";
        RESCUES = Counter "plimsoll_rescues_total" [upstream, backend] "requests",
            "Requests that this backend answered after another one had failed.",
            when "you want to know who carries the load of a failing backend";
        RETRIES_REFUSED = Counter "plimsoll_retries_refused_total" [upstream, reason] "attempts",
            "Failed attempts that were not repeated elsewhere, by what forbade it.",
            when "clients see failures although other backends are well";
        RETRY_BUDGET_LEFT = Gauge "plimsoll_retry_budget_left" [upstream] "attempts",
            "Retries that may be made now: the budget bounds what retries add to an upstream in trouble.",
            when "retries are refused for the budget, and you want to know how long it lasts";
    }
    "Backends" {
        BACKEND_UP = Gauge "plimsoll_backend_up" [upstream, backend] "1 or 0",
            "Whether the backend is healthy and gets new requests.",
            when "you alert on a dead backend";
        BACKEND_STATE = Gauge "plimsoll_backend_state" [upstream, backend] "state",
            "State of the backend: 0 down, 1 up, 2 draining, 3 slow start, 4 ejected.",
            when "you draw the states of backends over time";
        BACKEND_INFLIGHT = Gauge "plimsoll_backend_inflight_requests" [upstream, backend] "requests",
            "Exchanges in progress on the backend.",
            when "you want to see a backend fill up before its latency shows it";
        BACKEND_WEIGHT = Gauge "plimsoll_backend_weight" [upstream, backend] "weight",
            "Share of the traffic that the configuration intends, or an operator since, relative to the backend's peers.",
            when "you compare the traffic that a backend gets with what it should get";
        BACKEND_EFFECTIVE_WEIGHT = Gauge "plimsoll_backend_effective_weight" [upstream, backend] "weight",
            "Weight that the balancer works with now: reduced in slow start and for a busy CPU, 0 while it gets no new requests.",
            when "you watch a backend ramp up after it came back";
        BACKEND_INTENDED_SHARE = Gauge "plimsoll_backend_intended_share" [upstream, backend] "share, 0 to 1",
            "Share of new requests that is intended for the backend now.",
            when "you compare it with the share that the backend gets";
        BACKEND_LOAD_FACTOR = Gauge "plimsoll_backend_load_factor" [upstream, backend] "share, 0 to 1",
            "Part of its weight that is left to the backend while its CPU is busy; 1 without load_aware.",
            when "a backend gets less than its peers, or load_aware seems to do nothing";
        BACKEND_TRANSITIONS = Counter "plimsoll_backend_transitions_total" [upstream, backend, state, cause]
            "transitions",
            "Changes of the backend's state, by the new state and its cause.",
            when "a backend flaps, and you want to know what drives it";
        BACKEND_LAST_TRANSITION = Gauge "plimsoll_backend_last_transition_timestamp_seconds" [upstream, backend]
            "Unix time",
            "Time of the last change of the backend's state; 0 before the first.",
            when "you mark the exact moment of a failure on a graph";
        EJECTIONS = Counter "plimsoll_ejections_total" [upstream, backend, reason] "ejections",
            "Times that the backend was taken out for what live traffic showed of it.",
            when "a backend fails although its checks pass";
        EJECTIONS_REFUSED = Counter "plimsoll_ejections_refused_total" [upstream, reason] "ejections",
            "Ejections not carried out because too few backends would have been left.",
            when "many backends fail at once, or max_ejected is too low";
        DETECTION_DURATION = Histogram "plimsoll_detection_seconds" [upstream, backend] "seconds",
            "Time from the first sign of trouble to the verdict that took the backend out.",
            when "you want to know how long a failure goes unnoticed";
        REDISTRIBUTION_DURATION = Histogram "plimsoll_redistribution_seconds" [upstream, backend] "seconds",
            "Time from the first sign of trouble to the last attempt that was still sent to the backend.",
            when "you want to know how long a failing backend still gets requests";
        UPSTREAM_INFO = Gauge "plimsoll_upstream_info" [upstream, balance, sticky] "always 1",
            "How the upstream picks a backend.",
            when "traffic is uneven, and you want to know whether it is meant to be";
        UPSTREAM_BACKENDS = Gauge "plimsoll_upstream_backends" [upstream] "backends",
            "Backends that are configured.",
            when "you show available backends as a part of all";
        UPSTREAM_AVAILABLE = Gauge "plimsoll_upstream_available_backends" [upstream] "backends",
            "Backends that may be picked.",
            when "you want to know how much capacity is left";
        NONE_AVAILABLE = Counter "plimsoll_none_available_total" [upstream, choice] "requests",
            "Requests that found no available backend, by what was done instead.",
            when "an upstream is down as a whole";
        HEALTH_CHECKS = Counter "plimsoll_health_checks_total" [upstream, backend, result] "checks",
            "Active health checks, by result.",
            when "a backend is down and you want to know what its checks say";
        HEALTH_CHECK_DURATION = Histogram "plimsoll_health_check_duration_seconds" [upstream, backend] "seconds",
            "Time that active health checks took.",
            when "checks come close to their timeout";
        BACKEND_LOOKUPS = Counter "plimsoll_backend_lookups_total" [upstream, backend, result] "look-ups",
            "Look-ups of the backend's host name, by result; none for an IP address.",
            when "a backend is somewhere else than you think, or its name server fails";
    }
    "The load line" {
        BACKEND_INFLIGHT_LIMIT = Gauge "plimsoll_backend_inflight_limit" [upstream, backend] "requests",
            "Exchanges that may be in progress on the backend at a time; +Inf without a limit.",
            when "you compare it with the exchanges in progress, or watch an adaptive limit";
        QUEUED = Gauge "plimsoll_queued_requests" [upstream] "requests",
            "Requests that wait because every backend is at its limit.",
            when "you want to see an overload begin";
        QUEUE_WAIT = Histogram "plimsoll_queue_wait_seconds" [upstream] "seconds",
            "Time that requests waited because every backend was at its limit.",
            when "latency grows although the backends are quick";
        QUEUE_ENDED = Counter "plimsoll_queue_ended_total" [upstream, result] "requests",
            "Requests that found every backend at its limit, by how that ended.",
            when "clients get 503, and you want to know whether more backends would help";
    }
    "Connections to backends" {
        CONNECT_DURATION = Histogram "plimsoll_connect_duration_seconds" [upstream, backend] "seconds",
            "Time to establish a connection to the backend.",
            when "the network to a backend, or its accept queue, is slow";
        BACKEND_CONNECTIONS_OPENED = Counter "plimsoll_backend_connections_opened_total" [upstream, backend]
            "connections",
            "Connections established to the backend.",
            when "you want to know how often a request pays for a new connection";
        BACKEND_CONNECTIONS_REUSED = Counter "plimsoll_backend_connections_reused_total" [upstream, backend]
            "connections",
            "Attempts that used a pooled connection.",
            when "you want the ratio of reuse";
        BACKEND_CONNECTIONS_STALE = Counter "plimsoll_backend_connections_stale_total" [upstream, backend]
            "connections",
            "Pooled connections found closed when they were used.",
            when "the backend's keep-alive timeout is shorter than the balancer's";
        BACKEND_CONNECTIONS_IDLE = Gauge "plimsoll_backend_idle_connections" [upstream, backend] "connections",
            "Connections that wait in the pool.",
            when "a backend complains about idle connections";
        BACKEND_SENT_BYTES = Counter "plimsoll_backend_sent_bytes_total" [upstream, backend] "bytes",
            "Bytes sent to the backend, heads included.",
            when "you look for the backend that receives the uploads";
        BACKEND_RECEIVED_BYTES = Counter "plimsoll_backend_received_bytes_total" [upstream, backend] "bytes",
            "Bytes received from the backend, heads included.",
            when "you look for the backend that fills the network";
    }
    "TCP mode" {
        TCP_CONNECTIONS = Counter "plimsoll_tcp_connections_total" [upstream, backend, outcome] "connections",
            "Connections of listeners with protocol tcp that have ended, by how; backend is none where none was tried.",
            when "you want connections per second: in TCP mode they are what requests are elsewhere";
        TCP_CONNECTION_DURATION = Histogram "plimsoll_tcp_connection_duration_seconds" [upstream, backend] "seconds",
            "Time from the accept of a connection of a listener with protocol tcp to its end.",
            when "you want to know how long clients stay connected, and so how long a drain takes";
    }
    "Connections of clients" {
        LISTENER_CONNECTIONS = Counter "plimsoll_listener_connections_total" [listener] "connections",
            "Connections accepted.",
            when "you want to know whether clients keep their connections";
        LISTENER_ACTIVE = Gauge "plimsoll_listener_active_connections" [listener] "connections",
            "Connections that are open.",
            when "you compare with the limit";
        LISTENER_CONNECTIONS_REFUSED = Counter "plimsoll_listener_connections_refused_total" [listener]
            "connections",
            "Connections closed at once because a limit was reached.",
            when "clients cannot connect";
        LISTENER_ACCEPT_ERRORS = Counter "plimsoll_listener_accept_errors_total" [listener, reason] "errors",
            "Connections that could not be accepted.",
            when "clients cannot connect, although no limit of the configuration was reached";
        LISTENER_RECEIVED_BYTES = Counter "plimsoll_listener_received_bytes_total" [listener] "bytes",
            "Bytes received from clients, heads included.",
            when "you want the traffic into the site";
        LISTENER_SENT_BYTES = Counter "plimsoll_listener_sent_bytes_total" [listener] "bytes",
            "Bytes sent to clients, heads included.",
            when "you want the traffic out of the site";
    }
    "Pushed metrics" {
        PUSHES = Counter "plimsoll_pushes_total" [result] "pushes",
            "Pushes of metrics to the admin interface, by how they ended.",
            when "the metrics of an agent are missing or old";
        PUSH_GROUPS = Gauge "plimsoll_push_groups" [] "groups",
            "Groups of pushed metrics that are held.",
            when "you compare it with the number of agents, or with the limit";
        PUSH_GROUPS_EXPIRED = Counter "plimsoll_push_groups_expired_total" [] "groups",
            "Groups of pushed metrics that nobody renewed in time.",
            when "you look for agents that died without saying goodbye";
    }
    "The balancer itself" {
        BUILD_INFO = Gauge "plimsoll_build_info" [version, profile, target] "always 1",
            "Version and build of the running program.",
            when "you want to know what runs where, or mark a deployment on a graph";
        READY = Gauge "plimsoll_ready" [] "1 or 0",
            "Whether the process takes new traffic.",
            when "you want to see a start or a drain";
        CONFIG_GENERATION = Gauge "plimsoll_config_generation" [] "number",
            "Configurations that have been in force, the present one included.",
            when "you mark reloads on a graph";
        CONFIG_RELOADS = Counter "plimsoll_config_reloads_total" [result] "reloads",
            "Loads of the configuration, by result; the start counts as one.",
            when "a change of the configuration seems to have no effect";
        CONFIG_LAST_RELOAD = Gauge "plimsoll_config_last_reload_timestamp_seconds" [] "Unix time",
            "Time at which the present configuration came into force.",
            when "you want to know how old the present configuration is";
        CONFIG_LAST_RELOAD_OK = Gauge "plimsoll_config_last_reload_successful" [] "1 or 0",
            "Whether the last load of the configuration succeeded.",
            when "you alert on a configuration that was refused";
        WORKERS = Gauge "plimsoll_workers" [] "threads",
            "Threads of the data plane that run.",
            when "you divide a rate by the workers, or suspect that one has ended";
        WORKER_CPU = Counter "plimsoll_worker_cpu_seconds_total" [worker] "seconds",
            "CPU time of each thread of the data plane.",
            when "you want to know whether one worker is saturated while others idle";
        ADMIN_REQUESTS = Counter "plimsoll_admin_requests_total" [class] "requests",
            "Requests to the admin interface, by class of the code.",
            when "scrapes or operations fail";
        LIVE_VIEWERS = Gauge "plimsoll_live_viewers" [] "viewers",
            "Viewers of the live feed, as of the last second.",
            when "the live page says that as many watch as may";
        LIVE_VIEWERS_DROPPED = Counter "plimsoll_live_viewers_dropped_total" [] "viewers",
            "Viewers of the live feed that were cut off because they could not keep up.",
            when "the live page keeps connecting again";
        ACCESS_LOG_LINES = Counter "plimsoll_access_log_lines_total" [] "lines",
            "Lines written to the access log.",
            when "you compare the access log with the requests";
        ACCESS_LOG_DROPPED = Counter "plimsoll_access_log_dropped_total" [] "lines",
            "Lines of the access log that were lost because its target could not keep up, refused them or was away.",
            when "lines are missing in the access log";
        TRACES_EXPORTED = Counter "plimsoll_traces_exported_total" [] "traces",
            "Traces that the collector has taken.",
            when "you look for a trace that is not there";
        TRACES_DROPPED = Counter "plimsoll_traces_dropped_total" [reason] "traces",
            "Traces that did not reach the collector, by why.",
            when "traces are missing: the collector is down, slow, or refuses them";
        PROCESS_CPU = Counter "process_cpu_seconds_total" [] "seconds",
            "User and system CPU time of the process.",
            when "you want the cost of a request, or a limit comes near";
        PROCESS_OPEN_FDS = Gauge "process_open_fds" [] "descriptors",
            "Open file descriptors.",
            when "you look for a leak of connections";
        PROCESS_MAX_FDS = Gauge "process_max_fds" [] "descriptors",
            "Limit of open file descriptors.",
            when "you want to know how many connections are possible";
        PROCESS_VIRTUAL_MEMORY = Gauge "process_virtual_memory_bytes" [] "bytes",
            "Virtual memory size.",
            when "an address-space limit applies";
        PROCESS_RESIDENT_MEMORY = Gauge "process_resident_memory_bytes" [] "bytes",
            "Resident memory size.",
            when "you look for a leak of memory";
        PROCESS_START_TIME = Gauge "process_start_time_seconds" [] "Unix time",
            "Start time of the process.",
            when "you mark restarts on a graph";
        PROCESS_THREADS = Gauge "process_threads" [] "threads",
            "Threads of the process.",
            when "you suspect that threads are started and never end";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_is_listed_once() {
        let mut names: Vec<_> = ALL.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        assert_eq!(names.windows(2).find(|pair| pair[0] == pair[1]), None);
    }

    #[test]
    fn names_follow_the_rules_of_prometheus() {
        for metric in ALL {
            let name = metric.name;
            assert!(name.starts_with("plimsoll_") || name.starts_with("process_"), "{name}: the prefix");
            assert_eq!(
                name.ends_with("_total"),
                metric.kind == Kind::Counter,
                "{name}: _total is for counters"
            );
            assert_eq!(
                metric.kind == Kind::Histogram,
                metric.kind == Kind::Histogram && name.ends_with("_seconds")
            );
            let sentence = metric.help.ends_with('.') && metric.help.starts_with(char::is_uppercase);
            assert!(sentence, "{name}: the help is a sentence");
            assert!(!metric.read_it_when.ends_with('.'), "{name}: the use completes a sentence");
        }
    }
}
