//! Compiles routes.

use std::sync::Arc;

use crate::control_plane::config::Config;
use crate::control_plane::config::listener::ListenerConfig;
use crate::control_plane::config::route::headers::HeaderRules as HeadersConfig;
use crate::control_plane::config::route::matcher::{
    FieldTest as FieldTestConfig, HostPattern, Matcher as MatcherConfig, TextTest as TextTestConfig,
};
use crate::control_plane::config::route::template::TextPart as PartConfig;
use crate::control_plane::config::route::{
    FixedResponse as FixedConfig, Redirect as RedirectConfig, RouteAction, RouteConfig,
};
use crate::data_plane::route::{
    FieldMatcher, FieldTest, FixedResponse, HeaderRules, HostTest, Matcher, Redirect, Route, RouteTable,
    Target, TextPart, TextTest, TextTests,
};
use crate::telemetry::Telemetry;
use crate::upstream::Upstream;

/// Compiles the routes of one listener, in file order.
pub(super) fn table(
    config: &Config,
    listener: &ListenerConfig,
    upstreams: &[Arc<Upstream>],
    telemetry: &Telemetry,
) -> RouteTable {
    let routes = config.routes.iter().filter_map(|config| route(config, upstreams, telemetry));
    RouteTable::new(routes.collect()).for_listener(&listener.name.to_string())
}

/// `None` never happens in a valid configuration: its routes name upstreams that exist.
fn route(config: &RouteConfig, upstreams: &[Arc<Upstream>], telemetry: &Telemetry) -> Option<Route> {
    let name = config.name.to_string();
    let target = match &config.action {
        RouteAction::Upstream(wanted) => {
            let wanted = wanted.to_string();
            Target::Upstream(Arc::clone(upstreams.iter().find(|known| *known.name == *wanted)?))
        }
        RouteAction::Redirect(to) => Target::Redirect(redirect(to)),
        RouteAction::Respond(fixed) => Target::Respond(fixed_response(fixed)),
    };
    Some(Route {
        series: telemetry.route(&name),
        name: name.into(),
        listeners: config.listeners.iter().map(|listener| listener.to_string().into()).collect(),
        matcher: matcher(&config.matcher),
        idempotent: config.idempotent,
        request_headers: header_rules(&config.request_headers),
        response_headers: header_rules(&config.response_headers),
        target,
    })
}

fn redirect(config: &RedirectConfig) -> Redirect {
    Redirect { status: config.status, to: text(&config.to).into() }
}

fn text(parts: &[PartConfig]) -> Vec<TextPart> {
    let part = |part: &PartConfig| match part {
        PartConfig::Literal(text) => TextPart::Literal(text.as_str().into()),
        PartConfig::Host => TextPart::Host,
        PartConfig::Authority => TextPart::Authority,
        PartConfig::Path => TextPart::Path,
        PartConfig::Query => TextPart::Query,
        PartConfig::Client => TextPart::Client,
        PartConfig::Backend => TextPart::Backend,
    };
    parts.iter().map(part).collect()
}

fn header_rules(config: &HeadersConfig) -> Option<HeaderRules> {
    let set = || config.set.iter();
    let removed = config.remove.iter().chain(set().map(|(name, _)| name));
    let lines = set().chain(&config.add).map(|(name, value)| (name.as_str(), text(value)));
    (!config.is_empty()).then(|| HeaderRules::new(removed.map(|name| name.as_str()), lines))
}

fn fixed_response(config: &FixedConfig) -> FixedResponse {
    let headers = config.headers.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()));
    FixedResponse { status: config.status, headers: headers.collect(), body: config.body.as_bytes().into() }
}

fn matcher(config: &MatcherConfig) -> Matcher {
    let host = |pattern: &HostPattern| match pattern {
        HostPattern::Exact(host) => HostTest::Exact(host.as_str().into()),
        HostPattern::Below(domain) => HostTest::Below(domain.as_str().into()),
    };
    let headers = config
        .headers
        .iter()
        .map(|header| (header.name.as_str().to_ascii_lowercase(), field_test(&header.test)));
    let query = config.query.iter().map(|parameter| (parameter.name.clone(), field_test(&parameter.test)));
    let field = |(name, test): (String, FieldTest)| FieldMatcher { name: name.into(), test };
    Matcher {
        hosts: config.hosts.iter().map(host).collect(),
        path: config
            .path
            .as_ref()
            .map(|path| TextTests { any: text_tests(&path.tests), ignore_case: path.ignore_case }),
        sources: super::listeners::networks(&config.sources).into(),
        methods: config.methods.iter().map(|method| method.as_str().into()).collect(),
        headers: headers.map(field).collect(),
        query: query.map(field).collect(),
        not: config.not.iter().map(matcher).collect(),
    }
}

fn field_test(config: &FieldTestConfig) -> FieldTest {
    match config {
        FieldTestConfig::Present => FieldTest::Present,
        FieldTestConfig::Absent => FieldTest::Absent,
        FieldTestConfig::Any { tests, ignore_case } => {
            FieldTest::Value(TextTests { any: text_tests(tests), ignore_case: *ignore_case })
        }
    }
}

fn text_tests(tests: &[TextTestConfig]) -> Box<[TextTest]> {
    let test = |test: &TextTestConfig| match test {
        TextTestConfig::Exact(text) => TextTest::Exact(text.as_str().into()),
        TextTestConfig::Prefix(text) => TextTest::Prefix(text.as_str().into()),
        TextTestConfig::Suffix(text) => TextTest::Suffix(text.as_str().into()),
        TextTestConfig::Regex(pattern) => TextTest::Regex(pattern.regex().clone()),
    };
    tests.iter().map(test).collect()
}
