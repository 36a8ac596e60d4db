//! Answers which route a request takes, with the very table that the data plane would use.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};

use tokio::time::Instant;

use crate::control_plane::compile::compile;
use crate::control_plane::config::Config;
use crate::control_plane::config::upstream::UpstreamConfig;
use crate::control_plane::config::value::http::{HeaderName, HeaderValue, Method};
use crate::control_plane::discovery::Addresses;
use crate::data_plane::route::{RequestFacts, Route, Target};
use crate::data_plane::snapshot::{Listener, Snapshot};
use crate::telemetry::Telemetry;

/// A request to explain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    method: String,
    /// Host and port, as in the `Host` header.
    authority: String,
    /// The port that a client would connect to.
    port: u16,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    /// Who sends it, if the question says so.
    source: Option<IpAddr>,
}

impl Question {
    /// Reads `GET http://host:port/path?query from 10.0.0.1`. The method may be left out, and so may all after the host.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (request, source) = match text.trim().split_once(" from ") {
            Some((request, source)) => (request.trim(), Some(source.trim())),
            None => (text.trim(), None),
        };
        let source = source.map(|text| text.parse().map_err(|_| format!("{text:?} is not an IP address")));
        let (method, url) = request.split_once(' ').unwrap_or(("GET", request));
        let method = Method::parse(method).map_err(|invalid| invalid.to_string())?;
        let (scheme, rest) = url
            .trim()
            .split_once("://")
            .ok_or("write a method and a URL, as in \"GET http://example.org/path\"")?;
        let default_port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return Err(format!("the scheme {scheme:?} is neither http nor https")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = before.split_at(before.find('/').unwrap_or(before.len()));
        if authority.is_empty() {
            return Err("the URL names no host".to_owned());
        }
        let after_address = authority.rfind(']').map_or(0, |bracket| bracket + 1);
        let port = match authority[after_address..].split_once(':') {
            Some((_, port)) => port.parse().map_err(|_| format!("{port:?} is not a port"))?,
            None => default_port,
        };
        Ok(Self {
            method: method.to_string(),
            authority: authority.to_owned(),
            port,
            path: if path.is_empty() { "/" } else { path }.to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
            source: source.transpose()?,
        })
    }

    /// The same request with headers.
    pub(super) fn with_headers(self, headers: Vec<(String, String)>) -> Self {
        Self { headers, ..self }
    }

    fn facts<'a>(&'a self, listener: &'a str) -> RequestFacts<'a> {
        RequestFacts {
            listener,
            source: self.source.unwrap_or(Ipv4Addr::LOCALHOST.into()),
            method: &self.method,
            host: &self.authority,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
        }
    }
}

/// Reads `name: value`.
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write a name and a value, as in \"x-canary: 1\"")?;
    let name = HeaderName::parse(name).map_err(|invalid| invalid.to_string())?;
    let value = HeaderValue::parse(value.trim()).map_err(|invalid| invalid.to_string())?;
    Ok((name.to_string(), value.to_string()))
}

/// Writes what becomes of a request: at the listeners on the port that it names, or at all if there is none.
pub(super) fn explain(config: &Config, question: &Question, out: &mut impl Write) -> io::Result<()> {
    let snapshot = snapshot(config);
    let on_port = |listener: &&Listener| listener.address.port() == question.port;
    let named: Vec<_> = snapshot.listeners.iter().filter(on_port).collect();
    let listeners = if named.is_empty() { snapshot.listeners.iter().collect() } else { named };
    for listener in listeners {
        explain_at(listener, config, question, out)?;
    }
    Ok(())
}

fn explain_at(
    listener: &Listener,
    config: &Config,
    question: &Question,
    out: &mut impl Write,
) -> io::Result<()> {
    let Question { method, authority, path, query, .. } = question;
    let mark = if query.is_empty() { "" } else { "?" };
    let facts = question.facts(&listener.name);
    let from = match question.source {
        Some(source) => format!(" from {source}"),
        None if listener.routes.looks_at_sources() => format!(" from {} (nobody is named)", facts.source),
        None => String::new(),
    };
    writeln!(
        out,
        "\n{method} {path}{mark}{query} for {authority}{from}, at listener {} ({})",
        listener.name, listener.address
    )?;
    if let Some(relay) = &listener.relay {
        return writeln!(out, "  => upstream {}, as bytes that nobody looks into", relay.upstream.name);
    }
    let verdicts = listener.routes.explain(&facts);
    for route in &config.routes {
        let name = route.name.as_str();
        match verdicts.iter().find(|verdict| verdict.route == name) {
            None => writeln!(out, "  no   {name}: looks at other listeners")?,
            Some(verdict) if !verdict.taken => writeln!(out, "  no   {name}: {}", verdict.why)?,
            Some(verdict) => {
                writeln!(out, "  yes  {name}: {}", verdict.why)?;
                break;
            }
        }
    }
    match listener.routes.find(&facts) {
        Some(route) => writeln!(out, "  => {}", destination(route, config, &facts)),
        None => writeln!(out, "  => 404, since no route matches"),
    }
}

fn destination(route: &Route, config: &Config, facts: &RequestFacts<'_>) -> String {
    match &route.target {
        Target::Redirect(redirect) => format!("{} to {}", redirect.status, redirect.location(facts)),
        Target::Respond(response) => format!("{}, answered by the balancer itself", response.status),
        Target::Upstream(upstream) => {
            let configured = config.upstreams.iter().find(|known| known.name.as_str() == &*upstream.name);
            let backends = configured.map(backends).unwrap_or_default();
            format!("upstream {}: {backends}", upstream.name)
        }
    }
}

fn backends(upstream: &UpstreamConfig) -> String {
    let shown = upstream.backends.iter().map(|backend| format!("{} ({})", backend.name, backend.address));
    shown.collect::<Vec<_>>().join(", ")
}

/// Compiles the configuration without looking up a name: where a request goes does not depend on addresses, and a file may
/// be checked where its names mean nothing.
fn snapshot(config: &Config) -> Snapshot {
    compile(config, &Addresses::default(), None, &Telemetry::new(1), Instant::now())
}
