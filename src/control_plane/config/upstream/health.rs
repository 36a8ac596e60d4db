//! How backends are checked.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::read::{boolean, duration, integer, list_of, string, text};
use super::super::report::Problems;
use super::super::section::Section;
use super::super::tree::{Content, Node};
use super::super::value::Invalid;
use super::super::value::http::{Method, status_range};
use super::super::value::quantity::Ratio;

/// How the backends of an upstream are checked.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthConfig {
    /// What a check does.
    pub check: HealthCheck,
    /// From one check to the next.
    pub interval: Duration,
    /// How long a check may take, connecting included.
    pub timeout: Duration,
    /// Successes in a row after which an unhealthy backend is healthy.
    pub rise: u32,
    /// Failures in a row after which a healthy backend is unhealthy.
    pub fall: u32,
    /// By how much an interval varies at random, so that checks of many balancers do not beat in step.
    pub jitter: Ratio,
    /// The agent beside each backend. None asks none.
    pub agent: Option<AgentConfig>,
}

/// An agent that is asked how its backend is: HAProxy's agent-check protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentConfig {
    /// Its port, on the host of the backend.
    pub port: u16,
    /// From one question to the next.
    pub interval: Duration,
    /// How long a question may take, connecting included.
    pub timeout: Duration,
}

/// What a check does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthCheck {
    /// Nothing: only live traffic tells.
    Off,
    /// Connects and closes.
    Tcp,
    /// Sends a request and looks at its answer.
    Http(HttpCheck),
}

/// A check by an HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCheck {
    /// The method.
    pub method: Method,
    /// The path and query.
    pub path: String,
    /// The `Host` header. None is the backend's address.
    pub host: Option<String>,
    /// The status codes that mean healthy, as ranges.
    pub status: Vec<RangeInclusive<u16>>,
    /// A text that the body must contain. None looks at no body.
    pub body: Option<String>,
}

impl HealthConfig {
    /// Decodes the key `health` of an upstream: `off`, `tcp`, or a section.
    pub(super) fn decode(upstream: &Section<'_>) -> Self {
        let (section, check) = match upstream.given("health") {
            Some(Node { content: Content::Scalar(word), place }) => {
                let check =
                    HealthCheck::word(word).map_err(|invalid| upstream.problems.invalid(*place, invalid));
                (upstream.absent("health"), check.unwrap_or(HealthCheck::Tcp))
            }
            _ => {
                let section = upstream.section("health");
                let check = HealthCheck::decode(&section);
                (section, check)
            }
        };
        Self {
            check,
            interval: section.value("interval", duration),
            timeout: section.value("timeout", duration),
            rise: section.value("rise", integer(1..=1000)),
            fall: section.value("fall", integer(1..=1000)),
            jitter: section.value("jitter", text(Ratio::parse)),
            agent: section.has("agent").then(|| AgentConfig::decode(&section)).flatten(),
        }
    }
}

impl HealthCheck {
    fn word(text: &str) -> Result<Self, Invalid> {
        match text {
            "off" | "false" => Ok(Self::Off),
            "tcp" => Ok(Self::Tcp),
            _ => Err(Invalid::new(format!("`{}` is no way to check health", text.escape_debug()))
                .hint("write `off`, `tcp`, or a mapping such as `{http: /health}`")),
        }
    }

    fn decode(section: &Section<'_>) -> Self {
        let tcp = section.optional("tcp", boolean);
        let Some(node) = section.given("http") else {
            return if tcp == Some(false) { Self::Off } else { Self::Tcp };
        };
        if tcp == Some(true) {
            let hint = "remove `tcp`: a check by HTTP connects too";
            section.problems.error(node.place, "both `tcp` and `http` are given", Some(hint.to_owned()));
        }
        Self::Http(HttpCheck::decode(section, node))
    }
}

impl HttpCheck {
    fn decode(health: &Section<'_>, node: &Node) -> Self {
        let (section, path) = match node.content {
            Content::Scalar(_) => (health.absent("http"), text(check_path)(node, health.problems)),
            _ => (health.section("http"), None),
        };
        Self {
            method: section.value("method", text(Method::parse)),
            path: path.unwrap_or_else(|| section.value("path", text(check_path))),
            host: section.optional("host", text(host)),
            status: section.value("status", list_of(text(status_range))),
            body: section.optional("body", string),
        }
    }
}

impl AgentConfig {
    /// Decodes the key `agent` of a health section: a port, or a section. None when it has no usable port.
    fn decode(health: &Section<'_>) -> Option<Self> {
        let node = health.given("agent")?;
        let (section, port) = match node.content {
            Content::Scalar(_) => (health.absent("agent"), port(node, health.problems)),
            _ => {
                let section = health.section("agent");
                let port = section.required("port", port);
                (section, port)
            }
        };
        let interval = section.value("interval", duration);
        let timeout = section.value("timeout", duration);
        Some(Self { port: port?, interval, timeout })
    }
}

fn port(node: &Node, problems: &Problems) -> Option<u16> {
    integer(1..=u16::MAX)(node, problems)
}

fn check_path(text: &str) -> Result<String, Invalid> {
    if text.starts_with('/') && text.bytes().all(|b| (b'!'..=b'~').contains(&b)) {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(format!("`{}` is not a path", text.escape_debug()))
            .hint("a path begins with `/` and has no spaces, as in `/health`"))
    }
}

fn host(text: &str) -> Result<String, Invalid> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b)) {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(format!("`{}` is not a host", text.escape_debug())).hint("write `example.org`"))
    }
}
