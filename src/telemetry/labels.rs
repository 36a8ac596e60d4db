//! Labels: the values that a metric's labels may have, as enums, so that the type bounds the number of series.
//!
//! Apart from the series so that one can read here every word that a dashboard may select by. Free text from the
//! network never becomes a label value.

use super::cells::Cell;

/// A label whose values are known when the program is compiled.
pub trait Label: Copy + 'static {
    /// One cell for each value, in place; see [`super::ByLabel`].
    type Cells<C: Cell>: Default + AsRef<[C]>;
    /// The label's name in metrics.
    const NAME: &'static str;
    /// Every value, in the order of [`Label::index`].
    const ALL: &'static [Self];
    /// Returns the label value.
    fn as_str(self) -> &'static str;
    /// Returns one sentence: when the value is used.
    fn meaning(self) -> &'static str;
    /// Returns the position in [`Label::ALL`].
    fn index(self) -> usize;
}

/// Declares an enum as the values of a label; its documentation is also what `METRICS.md` says about each value.
macro_rules! label {
    (#[doc = $about:literal] $name:ident as $label:literal {
        $(#[doc = $meaning:literal] $variant:ident = $value:literal,)*
    }) => {
        #[doc = $about]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $(#[doc = $meaning] $variant,)* }

        impl Label for $name {
            type Cells<C: Cell> = [C; [$($value),*].len()];

            const NAME: &'static str = $label;
            const ALL: &'static [Self] = &[$(Self::$variant),*];

            fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $value),* }
            }

            fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning.trim_ascii()),* }
            }

            fn index(self) -> usize {
                self as usize
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

mod balance;
mod tcp;

pub use balance::{BalanceRule, Stickiness};
pub use tcp::TcpOutcome;

label! {
    /// How one attempt on one backend ended.
    AttemptOutcome as "outcome" {
        /// The backend answered, with anything but a 5xx.
        Ok = "ok",
        /// The backend answered with a 5xx.
        ServerError = "server_error",
        /// The backend's host refused the connection.
        ConnectRefused = "connect_refused",
        /// The connection was not established in time.
        ConnectTimeout = "connect_timeout",
        /// The connection failed for another reason (unreachable, no local port, too many descriptors).
        ConnectError = "connect_error",
        /// The connection broke before the answer was complete.
        Reset = "reset",
        /// The backend took longer than its deadline to answer.
        Timeout = "timeout",
        /// The backend's answer was no valid HTTP.
        BadResponse = "bad_response",
        /// A pooled connection turned out to be closed when it was used; tried again on a fresh one, and not a retry.
        Stale = "stale",
        /// The backend drains, and its deadline passed before the answer was complete.
        Drained = "drained",
        /// Another backend that was asked in parallel answered first, and the attempt was given up.
        Overtaken = "overtaken",
        /// The client left before the answer was complete; says nothing about the backend.
        ClientAbort = "client_abort",
    }
}

impl AttemptOutcome {
    /// How attempts end that say nothing about how the backend does.
    pub const NEUTRAL: [Self; 3] = [Self::Overtaken, Self::Stale, Self::ClientAbort];
}

label! {
    /// Why a backend was picked; not of a metric, but of the access log and of `/api/v1/why`.
    PickReason as "pick" {
        /// The balancer chose it.
        Balanced = "balanced",
        /// The client sticks to it.
        Sticky = "sticky",
        /// Only suspect backends were left, and it is the balancer's choice among them.
        OnlySuspects = "only_suspects",
        /// Every backend was tried already, and it is the balancer's choice for another try.
        OnlyTried = "only_tried",
        /// No backend that is available has a share of the work, and it is the balancer's choice among them.
        NoShare = "no_share",
        /// No backend is available, and all are tried.
        FailOpen = "fail_open",
    }
}

label! {
    /// Why an exchange was tried on another backend. A stale pooled connection is an attempt's outcome, not a retry.
    RetryReason as "reason" {
        /// No connection to the backend.
        Connect = "connect",
        /// The connection broke before the first byte of an answer.
        Reset = "reset",
        /// No answer before the deadline.
        Timeout = "timeout",
        /// An answer that the configuration wants tried elsewhere.
        Status = "status",
        /// No answer for much longer than usual: another backend was asked in parallel, and the first answer taken.
        Overdue = "overdue",
    }
}

label! {
    /// Why a failed attempt was the last, although its failure could have been tried elsewhere.
    RetryRefusal as "reason" {
        /// The method is not idempotent and the backend may have seen the request.
        NotIdempotent = "not_idempotent",
        /// A part of the answer had already gone to the client.
        ResponseStarted = "response_started",
        /// A part of the request's body was already consumed and cannot be sent again.
        BodyConsumed = "body_consumed",
        /// The exchange has had as many attempts as the configuration allows.
        Attempts = "attempts",
        /// The upstream's retry budget is spent.
        Budget = "budget",
        /// No time was left for another attempt.
        Deadline = "deadline",
        /// No backend was left that had not been tried.
        NoBackend = "no_backend",
    }
}

label! {
    /// The result of one active health check.
    CheckResult as "result" {
        /// The backend is well.
        Pass = "pass",
        /// The backend wants to drain: a status 503 that is not expected, with `Retry-After`.
        Drain = "drain",
        /// No connection.
        FailConnect = "fail_connect",
        /// No answer in time.
        FailTimeout = "fail_timeout",
        /// An answer with a status that is not expected.
        FailStatus = "fail_status",
        /// An answer without the body that is expected.
        FailBody = "fail_body",
        /// An answer that is no valid HTTP, or a connection that broke.
        FailProtocol = "fail_protocol",
    }
}

label! {
    /// The result of one look-up of a backend's host name.
    LookupResult as "result" {
        /// It has the address that it had.
        Ok = "ok",
        /// It has no address, or the resolver did not answer in time; the address that was known stays.
        Failed = "failed",
        /// It has another address than before, or its first.
        Changed = "changed",
    }
}

label! {
    /// What a backend is now; `plimsoll_backend_state` shows it as the number that [`Label::index`] gives.
    BackendState as "state" {
        /// Unhealthy: gets no traffic while another backend is available.
        Down = "down",
        /// Healthy.
        Up = "up",
        /// Finishes what it has and gets nothing new.
        Draining = "draining",
        /// Healthy again for a short time: its share grows.
        SlowStart = "slow_start",
        /// Taken out for behaving far worse than its peers.
        Ejected = "ejected",
    }
}

label! {
    /// What made a backend change its state.
    TransitionCause as "cause" {
        /// Active health checks.
        Check = "check",
        /// Failures of live traffic.
        Traffic = "traffic",
        /// A comparison with its peers.
        Outlier = "outlier",
        /// The agent beside the backend.
        Agent = "agent",
        /// The end of an ejection.
        Readmission = "readmission",
        /// The end of the slow-start ramp.
        Ramp = "ramp",
        /// A person or a program, through the admin interface.
        Operator = "operator",
        /// The configuration: at the start or after a reload.
        Configuration = "configuration",
        /// Its host name: it has another address now, or none yet.
        Lookup = "lookup",
    }
}

label! {
    /// What live traffic showed of a backend that was ejected.
    EjectionReason as "reason" {
        /// So many answers with a 5xx in a row.
        ConsecutiveErrors = "consecutive_errors",
        /// So many failed attempts in a row: no connection, a broken one, no answer, no valid one.
        ConsecutiveFailures = "consecutive_failures",
        /// Silence: it answered nobody for much longer than usual, while others answered.
        Stalled = "stalled",
        /// A share of failed attempts far above that of its peers.
        SuccessRate = "success_rate",
        /// Answers far slower than those of its peers.
        Latency = "latency",
    }
}

label! {
    /// How the wait of a request ended that found every backend at its limit.
    QueueEnd as "result" {
        /// A backend had room for it.
        Admitted = "admitted",
        /// It was refused, because no backend had room for it in time.
        TimedOut = "timed_out",
        /// It was refused at once, because as many were waiting as may.
        Full = "full",
        /// Its client left.
        Abandoned = "abandoned",
    }
}

label! {
    /// What is done with a request when its upstream has no available backend.
    NoneAvailable as "choice" {
        /// It is tried on any backend.
        FailOpen = "fail_open",
        /// It is answered with 503.
        Refuse = "refuse",
    }
}

label! {
    /// Why a connection could not be accepted.
    AcceptError as "reason" {
        /// Out of file descriptors.
        Descriptors = "descriptors",
        /// The client was gone before the connection was accepted.
        Aborted = "aborted",
        /// Out of kernel memory.
        Memory = "memory",
        /// Anything else.
        Other = "other",
    }
}

label! {
    /// Why a request was answered by the balancer itself instead of being forwarded.
    RefusalReason as "reason" {
        /// The request line is malformed.
        BadRequestLine = "bad_request_line",
        /// A header line is malformed: bare CR or LF, folding, space before the colon, control characters.
        BadHeader = "bad_header",
        /// The host is missing, doubled or malformed.
        BadHost = "bad_host",
        /// The length of the body is ambiguous: two lengths, or a length together with a transfer coding.
        ConflictingLength = "conflicting_length",
        /// The length of the body is not a number.
        BadLength = "bad_length",
        /// The transfer coding is unknown.
        BadTransferCoding = "bad_transfer_coding",
        /// A chunk of the body is malformed.
        BadChunk = "bad_chunk",
        /// The client closed in the middle of its request.
        Incomplete = "incomplete",
        /// The version of HTTP is not supported.
        BadVersion = "bad_version",
        /// The method is not supported.
        BadMethod = "bad_method",
        /// The expectation is not supported.
        BadExpectation = "bad_expectation",
        /// The request target is longer than the limit.
        TargetTooLong = "target_too_long",
        /// The head is longer than the limit, or has too many fields.
        HeadTooLarge = "head_too_large",
        /// The body is longer than the limit.
        BodyTooLarge = "body_too_large",
        /// The head did not arrive in time.
        HeadTimeout = "head_timeout",
        /// The body did not arrive in time.
        BodyTimeout = "body_timeout",
        /// The PROXY protocol's header is missing, malformed, or from a source that is not trusted.
        BadProxyHeader = "bad_proxy_header",
        /// No route matches.
        NoRoute = "no_route",
        /// The upstream has no available backend, and refuses.
        NoneAvailable = "none_available",
        /// A limit on what is in progress was reached.
        Overloaded = "overloaded",
        /// The process ended before the exchange did: the drain deadline passed, or a second signal came.
        ShuttingDown = "shutting_down",
    }
}

label! {
    /// The class of a status code.
    CodeClass as "class" {
        /// 100 to 199.
        Informational = "1xx",
        /// 200 to 299.
        Success = "2xx",
        /// 300 to 399.
        Redirection = "3xx",
        /// 400 to 499.
        ClientError = "4xx",
        /// 500 to 599, and numbers that are no status code.
        ServerError = "5xx",
    }
}

impl CodeClass {
    /// Returns the class of a code.
    pub fn of(code: u16) -> Self {
        match code / 100 {
            1 => Self::Informational,
            2 => Self::Success,
            3 => Self::Redirection,
            4 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

label! {
    /// How a push of metrics ended.
    PushResult as "result" {
        /// It was taken.
        Ok = "ok",
        /// Its path or its text cannot be read.
        Malformed = "malformed",
        /// It contradicts itself, another group or this program's own metrics, or its samples have timestamps.
        Inconsistent = "inconsistent",
        /// It is larger than `admin.push.body`, or far too large with the labels of its group.
        TooLarge = "too_large",
        /// As many groups are held as may be, or as many bytes.
        Full = "full",
        /// A page of another site had a browser send it.
        Forbidden = "forbidden",
    }
}

label! {
    /// Why a trace did not reach the collector.
    TraceDrop as "reason" {
        /// As many wait as may: the collector is too slow, or there is more than it can take.
        QueueFull = "queue_full",
        /// The collector refused it, could not be reached, or did not answer in time.
        ExportFailed = "export_failed",
    }
}

label! {
    /// How a reload of the configuration ended.
    ReloadResult as "result" {
        /// The new configuration is in force.
        Ok = "ok",
        /// The old configuration stays in force.
        Failed = "failed",
    }
}
