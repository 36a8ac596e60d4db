//! What a request must look like for a route to take it.
//!
//! Every field that is given must match (and); one of the values within a field suffices (or).

use std::net::IpAddr;

use super::super::read::{boolean, list_of, text};
use super::super::report::Problems;
use super::super::section::Section;
use super::super::tree::{Content, Entry, Node};
use super::super::value::Invalid;
use super::super::value::address::{Cidr, is_host_name};
use super::super::value::http::{HeaderName, Method};
use super::super::value::text::Pattern;

/// Conditions on a request. Empty fields match every request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matcher {
    /// One of these hosts was asked for. The port is ignored, and so is case.
    pub hosts: Vec<HostPattern>,
    /// The path fits.
    pub path: Option<PathMatcher>,
    /// Who sent it lies in one of these ranges.
    pub sources: Vec<Cidr>,
    /// The method is one of these.
    pub methods: Vec<Method>,
    /// Every one of these headers fits.
    pub headers: Vec<HeaderMatcher>,
    /// Every one of these query parameters fits.
    pub query: Vec<QueryMatcher>,
    /// The request fits none of these.
    pub not: Vec<Matcher>,
}

impl Matcher {
    /// Whether every request matches.
    #[must_use]
    pub fn is_catch_all(&self) -> bool {
        let catch_all_path =
            self.path.as_ref().is_none_or(|path| path.tests.contains(&TextTest::Prefix("/".to_owned())));
        self.hosts.is_empty()
            && catch_all_path
            && self.sources.is_empty()
            && self.methods.is_empty()
            && self.headers.is_empty()
            && self.query.is_empty()
            && self.not.is_empty()
    }
}

/// A host that a route asks for, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// This host: `example.org`.
    Exact(String),
    /// Every host below a domain, at any depth, but not the domain itself: `.example.org` for `*.example.org`.
    Below(String),
}

/// Tests of a request's path, without its query. One that holds suffices.
#[derive(Debug, Clone, PartialEq)]
pub struct PathMatcher {
    /// The tests, at least one. Their texts are in lower case if case is ignored.
    pub tests: Vec<TextTest>,
    /// Whether the path is compared without regard to ASCII case.
    pub ignore_case: bool,
}

/// A test of a text. Prefix and suffix are plain text: `/api` also begins `/apix`.
#[derive(Debug, Clone, PartialEq)]
pub enum TextTest {
    /// The text is this.
    Exact(String),
    /// The text begins with this.
    Prefix(String),
    /// The text ends with this.
    Suffix(String),
    /// The expression is found in the text. `^` and `$` bind it to the ends.
    Regex(Pattern),
}

/// A test of a request header.
#[derive(Debug, Clone, PartialEq)]
pub struct HeaderMatcher {
    /// Which header.
    pub name: HeaderName,
    /// What its value must be.
    pub test: FieldTest,
}

/// A test of a query parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryMatcher {
    /// Which parameter; case matters.
    pub name: String,
    /// What its value must be.
    pub test: FieldTest,
}

/// What is asked of a header or query parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldTest {
    /// It is there, with whatever value.
    Present,
    /// It is not there.
    Absent,
    /// It is there, and one of its values passes one of these tests.
    Any {
        /// The tests, at least one.
        tests: Vec<TextTest>,
        /// Whether values are compared without regard to ASCII case.
        ignore_case: bool,
    },
}

impl Matcher {
    /// Decodes a section `match` or `not`.
    pub(super) fn decode(section: &Section<'_>) -> Self {
        let excluded = |node: &Node| Self::decode(&Section::open("routes[].match", node, section.problems));
        Self {
            hosts: section.optional("host", list_of(text(HostPattern::parse))).unwrap_or_default(),
            path: PathMatcher::decode(section),
            sources: section.optional("source", list_of(text(Cidr::parse))).unwrap_or_default(),
            methods: section.optional("method", list_of(text(Method::parse))).unwrap_or_default(),
            headers: section
                .named("headers")
                .iter()
                .filter_map(|e| HeaderMatcher::decode(e, section.problems))
                .collect(),
            query: section
                .named("query")
                .iter()
                .filter_map(|e| QueryMatcher::decode(e, section.problems))
                .collect(),
            not: section.given("not").map(Node::items).unwrap_or_default().iter().map(excluded).collect(),
        }
    }
}

impl HostPattern {
    fn parse(text: &str) -> Result<Self, Invalid> {
        let lower = text.to_ascii_lowercase();
        let host = lower.strip_suffix('.').unwrap_or(&lower);
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            // A request names an IPv6 address in brackets (RFC 3986 section 3.2.2).
            return Ok(Self::Exact(if address.is_ipv6() {
                format!("[{address}]")
            } else {
                address.to_string()
            }));
        }
        if host == "*" {
            return Err(Invalid::new("`*` is no host").hint("leave `host` out to match every host"));
        }
        if let Some((before, _)) = host.rsplit_once(':') {
            return Err(Invalid::new(format!("`{}` has a port, which routes ignore", text.escape_debug()))
                .hint(format!("write `{}`", before.escape_debug())));
        }
        match host.strip_prefix("*.") {
            Some(domain) if is_host_name(domain) => Ok(Self::Below(format!(".{domain}"))),
            None if is_host_name(host) => Ok(Self::Exact(host.to_owned())),
            _ => Err(Invalid::new(format!("`{}` is not a host", text.escape_debug()))
                .hint("write `example.org`, or `*.example.org` for all hosts below it")),
        }
    }
}

impl PathMatcher {
    fn decode(matcher: &Section<'_>) -> Option<Self> {
        let node = matcher.given("path")?;
        if let Content::Scalar(_) | Content::List(_) = node.content {
            let tests =
                list_of(text(|prefix| Ok(TextTest::Prefix(path_start(prefix)?))))(node, matcher.problems)?;
            return Some(Self { tests, ignore_case: false });
        }
        let section = Section::open("routes[].match.path", node, matcher.problems);
        let ignore_case = section.value("ignore_case", boolean);
        let case = |text: String| if ignore_case { text.to_ascii_lowercase() } else { text };
        let mut tests = Vec::new();
        let mut add = |key: &str, parse: &dyn Fn(&str) -> Result<TextTest, Invalid>| {
            tests.extend(section.optional(key, list_of(text(parse))).into_iter().flatten());
        };
        add("exact", &|path| Ok(TextTest::Exact(case(path_start(path)?))));
        add("prefix", &|path| Ok(TextTest::Prefix(case(path_start(path)?))));
        add("suffix", &|path| Ok(TextTest::Suffix(case(path_end(path)?))));
        add("regex", &|path| Ok(TextTest::Regex(Pattern::compile(path, ignore_case)?)));
        if !["exact", "prefix", "suffix", "regex"].iter().any(|key| section.has(key)) {
            section.missing("`path` tests nothing", "add `exact`, `prefix`, `suffix` or `regex`");
        }
        Some(Self { tests, ignore_case })
    }
}

/// Refuses what no path begins with.
fn path_start(text: &str) -> Result<String, Invalid> {
    let path = path_end(text)?;
    if path.starts_with('/') {
        return Ok(path);
    }
    Err(Invalid::new(format!("no path begins with `{}`", text.escape_debug()))
        .hint(format!("write `/{}`", text.trim_start_matches('*').escape_debug())))
}

/// Refuses what no path contains.
fn path_end(text: &str) -> Result<String, Invalid> {
    match text.chars().find(|c| matches!(c, '?' | '#' | ' ') || c.is_control()) {
        Some(found) => {
            Err(Invalid::new(format!("no path contains `{}`", found.escape_debug())).hint(match found {
                '?' => "match the query by `query`",
                _ => "write the path as it stands in a request, percent-encoded",
            }))
        }
        None if text.is_empty() => Err(Invalid::new("an empty path test means nothing").hint("write `/`")),
        None => Ok(text.to_owned()),
    }
}

impl HeaderMatcher {
    fn decode(entry: &Entry, problems: &Problems) -> Option<Self> {
        let name = HeaderName::parse(&entry.key).map_err(|invalid| problems.invalid(entry.place, invalid));
        let test = FieldTest::decode("routes[].match.headers.*", entry, problems)?;
        Some(Self { name: name.ok()?, test })
    }
}

impl QueryMatcher {
    fn decode(entry: &Entry, problems: &Problems) -> Option<Self> {
        let test = FieldTest::decode("routes[].match.query.*", entry, problems)?;
        Some(Self { name: entry.key.clone(), test })
    }
}

impl FieldTest {
    fn decode(path: &str, entry: &Entry, problems: &Problems) -> Option<Self> {
        let node: &Node = &entry.value;
        let exact = |value: &str| Ok(TextTest::Exact(value.to_owned()));
        if let Content::Scalar(_) | Content::List(_) = node.content {
            let tests = list_of(text(exact))(node, problems)?;
            return Some(Self::Any { tests, ignore_case: false });
        }
        let section = Section::open(path, node, problems).at(entry.place);
        let ignore_case = section.value("ignore_case", boolean);
        let mut tests = Vec::new();
        let mut add = |key: &str, parse: &dyn Fn(&str) -> Result<TextTest, Invalid>| {
            tests.extend(section.optional(key, list_of(text(parse))).into_iter().flatten());
        };
        add("exact", &exact);
        add("prefix", &|value| Ok(TextTest::Prefix(value.to_owned())));
        add("suffix", &|value| Ok(TextTest::Suffix(value.to_owned())));
        add("regex", &|value| Ok(TextTest::Regex(Pattern::compile(value, ignore_case)?)));
        let tested = ["exact", "prefix", "suffix", "regex"].iter().any(|key| section.has(key));
        match (section.optional("present", boolean), tested) {
            (None, true) => Some(Self::Any { tests, ignore_case }),
            (Some(true), false) => Some(Self::Present),
            (Some(false), false) => Some(Self::Absent),
            (Some(_), true) => {
                section
                    .missing("`present` stands beside another test", "a test of the value includes presence");
                None
            }
            (None, false) if section.has("present") => None,
            (None, false) => {
                section.missing(
                    format!("`{}` is not tested for anything", entry.key.escape_debug()),
                    "write a value, or one of `exact`, `prefix`, `suffix`, `regex` and `present`",
                );
                None
            }
        }
    }
}
