//! Turns a configuration file into a valid [`Config`], or reports everything that is wrong with it.
//!
//! The way from text to type has three steps, each of which can go on after a problem: the text becomes a tree that
//! remembers where each key and value stood, environment variables are filled in, and each section's module decodes
//! its own part of the tree. What concerns several sections is checked at the end. Serde stops at the first problem,
//! which is why it is not used here.

use std::io::Read;
use std::num::NonZeroUsize;
use std::path::Path;

use admin::{AdminConfig, DrainConfig};
use cross_check::CrossCheck;
use listener::{ListenerConfig, Protocol};
use report::{Place, Problems, Report, Warnings};
use route::headers::HeaderRules;
use route::matcher::Matcher;
use route::{RouteAction, RouteConfig};
use section::Section;
use telemetry::TelemetryConfig;
use tree::Node;
use upstream::UpstreamConfig;
use value::text::Name;

pub mod admin;
mod cross_check;
pub mod environment;
pub mod keys;
pub mod listener;
mod read;
pub mod report;
pub mod route;
mod section;
pub mod telemetry;
mod tree;
pub mod upstream;
pub mod value;

#[cfg(test)]
mod tests;

/// A valid configuration: every name that is referred to exists, every value is within its bounds.
///
/// Plain data. What a key means, in which unit, and why it has its default is said at its field; the defaults
/// themselves stand in one table.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// How many threads serve traffic.
    pub workers: Workers,
    /// Where clients connect: at least one, names and addresses differ.
    pub listeners: Vec<ListenerConfig>,
    /// Which request goes where, in the order in which they are tried: at least one, unless all listeners relay. A file
    /// without routes has one called `default` that sends everything to its only upstream.
    pub routes: Vec<RouteConfig>,
    /// Groups of backends: names differ.
    pub upstreams: Vec<UpstreamConfig>,
    /// The admin server.
    pub admin: AdminConfig,
    /// How the process ends.
    pub drain: DrainConfig,
    /// What the process writes about itself.
    pub telemetry: TelemetryConfig,
}

/// How many threads serve traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// One per CPU that the process may use.
    Auto,
    /// This many.
    Count(NonZeroUsize),
}

/// Reads a file, with the environment of this process.
///
/// # Errors
/// Everything that is wrong with the file, or that it cannot be read.
pub fn load(path: &Path) -> Result<(Config, Warnings), Report> {
    let name = path.display().to_string();
    let unreadable = |message: String, hint: &str| {
        let problems = Problems::default();
        problems.error(Place::default(), message, Some(hint.to_owned()));
        Report::new(&name, "", problems.into_vec())
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(tree::MAX_SIZE as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(format!("cannot read the file: {error}"), "name the file by `-c FILE`"))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line =
            error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        unreadable(format!("line {line} is not UTF-8 text"), "save the file as UTF-8")
    })?;
    parse(&name, &text, &|variable| std::env::var(variable).ok())
}

/// Reads the text of a file called `name`, with the environment that `environment` looks up.
///
/// # Errors
/// Everything that is wrong with the text.
pub fn parse(
    name: &str,
    text: &str,
    environment: environment::Lookup<'_>,
) -> Result<(Config, Warnings), Report> {
    let problems = Problems::default();
    let config = tree::parse(text, &problems).map(|mut root| {
        environment::expand(&mut root, environment, &problems);
        let config = decode(&root, &problems);
        CrossCheck { config: &config, root: &root, problems: &problems }.run();
        config
    });
    match config {
        Some(config) if !problems.has_errors() => {
            Ok((config, Warnings::new(name, text, problems.into_vec())))
        }
        _ => Err(Report::new(name, text, problems.into_vec())),
    }
}

fn decode(root: &Node, problems: &Problems) -> Config {
    let file = Section::open("", root, problems);
    let upstreams = named(&file, "upstreams", UpstreamConfig::decode);
    let mut listeners = named(&file, "listeners", ListenerConfig::decode);
    if let [only] = &upstreams[..] {
        let relaying = listeners.iter_mut().filter(|listener| listener.protocol == Protocol::Tcp);
        for listener in relaying.filter(|listener| listener.upstream.is_none()) {
            listener.upstream = Some(only.name.clone());
        }
    }
    let asks_routes = listeners.is_empty() || listeners.iter().any(|one| one.protocol == Protocol::Http);
    Config {
        workers: file.value("workers", workers),
        listeners,
        routes: routes(root, &file, &upstreams, asks_routes),
        upstreams,
        admin: AdminConfig::decode(&file.section("admin")),
        drain: DrainConfig::decode(&file.section("drain")),
        telemetry: TelemetryConfig::decode(&file.section("telemetry")),
    }
}

/// Decodes the sections that bear names. One whose name is unusable is left out, which is noted.
fn named<T>(file: &Section<'_>, key: &str, decode: impl Fn(Name, &Section<'_>) -> T) -> Vec<T> {
    let path = format!("{}.*", file.path_of(key));
    let decoded = file.named(key).iter().filter_map(|entry| {
        let section = Section::open(&path, &entry.value, file.problems).at(entry.place);
        let name = Name::parse(&entry.key).map_err(|invalid| file.problems.invalid(entry.place, invalid));
        name.ok().map(|name| decode(name, &section))
    });
    decoded.collect()
}

/// Decodes the routes; a file without any has one to its only upstream, unless no listener `asks` for routes.
fn routes(root: &Node, file: &Section<'_>, upstreams: &[UpstreamConfig], asks: bool) -> Vec<RouteConfig> {
    if let Some(node) = file.given("routes") {
        let numbered = node.items().iter().enumerate();
        return numbered.map(|(index, item)| RouteConfig::decode(index + 1, item, file.problems)).collect();
    }
    if !asks {
        return Vec::new();
    }
    if let [_, second, ..] = root.get("upstreams").map(Node::entries).unwrap_or_default() {
        file.problems.error(
            second.place,
            "there are several upstreams, but no route that chooses between them",
            Some(
                "add `routes`, for example `routes: [{match: {path: /api/}, upstream: NAME}, …]`".to_owned(),
            ),
        );
    }
    let default = upstreams.first().map(|upstream| RouteConfig {
        name: Name::parse("default").expect("invariant: this is a name"),
        listeners: Vec::new(),
        matcher: Matcher::default(),
        idempotent: false,
        request_headers: HeaderRules::default(),
        response_headers: HeaderRules::default(),
        action: RouteAction::Upstream(upstream.name.clone()),
    });
    default.into_iter().collect()
}

fn workers(node: &Node, problems: &Problems) -> Option<Workers> {
    let count = read::or_word("auto", read::integer(1..=1024_usize))(node, problems)?;
    Some(count.and_then(NonZeroUsize::new).map_or(Workers::Auto, Workers::Count))
}
