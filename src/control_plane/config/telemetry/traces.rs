//! Traces: where they go, and which exchanges have one.

use std::fmt;

use crate::control_plane::config::read::{one_of, text};
use crate::control_plane::config::section::Section;
use crate::control_plane::config::tree::Content;
use crate::control_plane::config::value::Invalid;
use crate::control_plane::config::value::address::BackendAddress;
use crate::control_plane::config::value::http::{HeaderName, HeaderValue};
use crate::control_plane::config::value::quantity::Ratio;

/// Traces of exchanges, by the OpenTelemetry protocol (OTLP).
#[derive(Debug, Clone, PartialEq)]
pub struct TracesConfig {
    /// Where the collector listens.
    pub collector: CollectorUrl,
    /// How it is spoken to.
    pub protocol: TracesProtocol,
    /// The share of exchanges that are traced though nothing is special about them.
    pub sample: Ratio,
    /// Header fields for the collector.
    pub headers: Vec<(HeaderName, CollectorValue)>,
}

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TracesProtocol {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP, as binary protobuf.
    Http,
}

/// The URL of a collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectorUrl(String);

/// The value of a header field for the collector. Perhaps a secret: nothing shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct CollectorValue(HeaderValue);

impl CollectorValue {
    /// Returns the value as it stands on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for CollectorValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CollectorValue(…)")
    }
}

impl fmt::Display for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const PROTOCOLS: [(&str, TracesProtocol); 2] =
    [("grpc", TracesProtocol::Grpc), ("http", TracesProtocol::Http)];

impl TracesConfig {
    /// Decodes the key `traces`: `on`, `off`, or a section. None when it is off, as without the key or with an empty
    /// `collector`.
    pub(super) fn decode(telemetry: &Section<'_>) -> Option<Self> {
        let node = telemetry.given("traces")?;
        let section = match &node.content {
            Content::Scalar(word) if word == "off" || word == "false" => return None,
            Content::Scalar(word) if word == "on" || word == "true" => telemetry.absent("traces"),
            Content::Scalar(word) => {
                let invalid = Invalid::new(format!("`{}` says nothing about traces", word.escape_debug()))
                    .hint("write `on`, `off`, or a mapping such as `{collector: \"http://collector:4317\"}`");
                telemetry.problems.invalid(node.place, invalid);
                return None;
            }
            _ => telemetry.section("traces"),
        };
        let protocol = section.value("protocol", one_of(&PROTOCOLS));
        // An empty one is that of an environment variable that is not set.
        let collector = |text: &str| match text {
            "" => Ok(None),
            url => CollectorUrl::parse(url, protocol).map(Some),
        };
        let collector = section.optional("collector", text(collector));
        let is_off = collector == Some(None);
        let headers = section.named("headers").iter().filter_map(|entry| {
            let name = HeaderName::parse(&entry.key);
            let name = name.map_err(|invalid| section.problems.invalid(entry.place, invalid)).ok()?;
            let value = text(HeaderValue::parse)(&entry.value, section.problems)?;
            Some((name, CollectorValue(value)))
        });
        let traces = Self {
            collector: collector.flatten().unwrap_or_else(|| CollectorUrl::usual(protocol)),
            protocol,
            sample: section.value("sample", text(Ratio::parse)),
            headers: headers.collect(),
        };
        (!is_off).then_some(traces)
    }
}

impl CollectorUrl {
    /// Where a collector on this host listens.
    fn usual(protocol: TracesProtocol) -> Self {
        Self(match protocol {
            TracesProtocol::Grpc => "http://127.0.0.1:4317".to_owned(),
            TracesProtocol::Http => "http://127.0.0.1:4318/v1/traces".to_owned(),
        })
    }

    /// Reads a URL with a host and a port. Over HTTP it may have a path; without one it is that of the specification.
    fn parse(text: &str, protocol: TracesProtocol) -> Result<Self, Invalid> {
        let refused = |why: &str, hint: &str| {
            Err(Invalid::new(format!("`{}` {why}", text.escape_debug())).hint(hint.to_owned()))
        };
        let usual = Self::usual(protocol);
        if text.starts_with("https://") {
            let hint =
                "TLS to a collector is not spoken yet; run one beside the balancer that passes traces on";
            return refused("is an address for TLS", hint);
        }
        let Some(rest) = text.strip_prefix("http://") else {
            return refused("is no URL of a collector", &format!("write it as `{usual}`"));
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if BackendAddress::parse(authority).is_err() {
            return refused("has no host and port", &format!("write it as `{usual}`"));
        }
        let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&byte));
        match (protocol, path) {
            (TracesProtocol::Grpc, "" | "/") => Ok(Self(format!("http://{authority}"))),
            (TracesProtocol::Grpc, _) => {
                refused("has a path, which gRPC has no use for", "remove the path, or write `protocol: http`")
            }
            (TracesProtocol::Http, "" | "/") => Ok(Self(format!("http://{authority}/v1/traces"))),
            (TracesProtocol::Http, _) if plain => Ok(Self(text.to_owned())),
            (TracesProtocol::Http, _) => refused(
                "has a path that cannot be asked for",
                "write a path without query, such as `/v1/traces`",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control_plane::config::parse;

    /// What a file with this value of `telemetry.traces` says, or what is wrong with it.
    fn traces(value: &str) -> Result<Option<TracesConfig>, String> {
        let text = format!(
            "listeners: {{web: {{address: ':80'}}}}\nupstreams: {{app: {{backends: ['a:1']}}}}\n\
             telemetry: {{traces: {value}}}"
        );
        match parse("plimsoll.yaml", &text, &|_| None) {
            Ok((config, _)) => Ok(config.telemetry.traces),
            Err(report) => Err(report.to_string()),
        }
    }

    fn collector(value: &str) -> String {
        traces(value).expect("it is valid").expect("it is on").collector.to_string()
    }

    #[test]
    fn traces_are_off_unless_they_are_wanted() {
        for value in ["off", "false", "{collector: ''}", "{collector: '${NOT_SET:-}', sample: 5%}"] {
            assert_eq!(traces(value), Ok(None), "{value}");
        }
        let on = traces("on").expect("it is valid").expect("it is on");
        assert_eq!((on.protocol, on.sample.get()), (TracesProtocol::Grpc, 0.01));
    }

    #[test]
    fn the_collector_is_the_one_on_this_host_or_the_one_that_is_named() {
        for (value, url) in [
            ("on", "http://127.0.0.1:4317"),
            ("{protocol: http}", "http://127.0.0.1:4318/v1/traces"),
            ("{collector: 'http://jaeger:4317/'}", "http://jaeger:4317"),
            ("{collector: 'http://[::1]:4318', protocol: http}", "http://[::1]:4318/v1/traces"),
            (
                "{collector: 'http://tempo:4318/otlp/v1/traces', protocol: http}",
                "http://tempo:4318/otlp/v1/traces",
            ),
        ] {
            assert_eq!(collector(value), url, "{value}");
        }
    }

    #[test]
    fn what_is_no_collector_is_refused_with_what_to_write() {
        for (value, said) in [
            ("maybe", "says nothing about traces"),
            ("{collector: 'https://collector:4317'}", "is an address for TLS"),
            ("{collector: 'collector:4317'}", "is no URL of a collector"),
            ("{collector: 'http://collector'}", "has no host and port"),
            ("{collector: 'http://collector:4317/v1/traces'}", "has a path, which gRPC has no use for"),
            ("{collector: 'http://c:4318/a?b', protocol: http}", "has a path that cannot be asked for"),
            ("{headers: {'a b': c}}", "a b"),
        ] {
            let problems = traces(value).expect_err(value);
            assert!(problems.contains(said), "{value}: {problems}");
        }
    }

    #[test]
    fn no_log_shows_what_a_collector_is_told_in_secret() {
        let on = traces("{headers: {Authorization: Bearer secret}}").expect("it is valid").expect("it is on");
        assert_eq!((on.headers[0].0.as_str(), on.headers[0].1.as_str()), ("authorization", "Bearer secret"));
        assert!(!format!("{on:?}").contains("secret"));
    }
}
