//! Writes the configuration of a test: one listener, one upstream, and whatever the promise is about.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::backend::Backend;
use super::balancer::Balancer;

/// A configuration in the making. Health checks are off unless a test sets them, so that a backend sees only what
/// clients sent.
#[derive(Clone, Default)]
pub(crate) struct Setup {
    backends: Vec<SocketAddr>,
    listener: Vec<String>,
    upstream: Vec<String>,
    top: Vec<String>,
}

impl Setup {
    /// Balances over `backends`.
    pub(crate) fn over<'a>(backends: impl IntoIterator<Item = &'a Backend>) -> Self {
        Self::at(backends.into_iter().map(|backend| backend.address))
    }

    /// Balances over the backends at `addresses`.
    pub(crate) fn at(addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self { backends: addresses.into_iter().collect(), ..Self::default() }
    }

    /// Adds a key of the listener, as one line of YAML.
    pub(crate) fn listener(mut self, line: &str) -> Self {
        self.listener.push(line.to_owned());
        self
    }

    /// Adds a key of the upstream, as one line of YAML.
    pub(crate) fn upstream(mut self, line: &str) -> Self {
        self.upstream.push(line.to_owned());
        self
    }

    /// Adds a key at the top of the file, as YAML.
    pub(crate) fn top(mut self, lines: &str) -> Self {
        self.top.push(lines.to_owned());
        self
    }

    /// Starts the balancer with this configuration.
    #[track_caller]
    pub(crate) fn start(&self) -> Balancer {
        Balancer::start(&self.yaml())
    }

    /// The text of the file.
    pub(crate) fn yaml(&self) -> String {
        let mut yaml = String::from("listeners:\n  web:\n    address: 127.0.0.1:0\n");
        for line in &self.listener {
            let _ = writeln!(yaml, "    {line}");
        }
        let backends: Vec<String> = self.backends.iter().map(SocketAddr::to_string).collect();
        let _ = writeln!(yaml, "upstreams:\n  app:\n    backends: [{}]", backends.join(", "));
        if !self.upstream.iter().any(|line| line.starts_with("health:")) {
            yaml.push_str("    health: off\n");
        }
        for line in &self.upstream {
            let _ = writeln!(yaml, "    {line}");
        }
        for (key, default) in [
            ("workers:", "workers: 1"),
            ("admin:", "admin: { address: \"127.0.0.1:0\" }"),
            ("telemetry:", "telemetry: { log: { format: json } }"),
        ] {
            if !self.top.iter().any(|lines| lines.starts_with(key)) {
                let _ = writeln!(yaml, "{default}");
            }
        }
        for lines in &self.top {
            let _ = writeln!(yaml, "{lines}");
        }
        yaml
    }
}
