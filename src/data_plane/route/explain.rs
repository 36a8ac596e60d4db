//! The explanation of a routing decision, for `plimsoll check --explain`.

use std::fmt::{self, Display, Formatter};

use super::RouteTable;
use super::facts::{RequestFacts, View};
use super::matcher::{FieldMatcher, FieldTest, HostTest, Miss, TextTest, TextTests};

/// What became of a request at one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// The route's name.
    pub route: &'a str,
    /// Whether the request goes where this route says.
    pub taken: bool,
    /// Why, in words: `path is not /a`.
    pub why: String,
}

impl RouteTable {
    /// Says for each route, in file order, why a request takes it or does not.
    #[must_use]
    pub fn explain(&self, facts: &RequestFacts<'_>) -> Vec<Verdict<'_>> {
        let view = View::of(facts);
        let refused = !self.first_takes_all && self.looks_at_paths && view.has_dot_segments();
        let mut taken: Option<&str> = None;
        let mut verdicts = Vec::with_capacity(self.routes.len());
        for route in &self.routes {
            let why = match (taken, route.miss(&view)) {
                _ if refused => "a path with a `.` or `..` segment matches no route".to_owned(),
                (_, Some(miss)) => miss.to_string(),
                (Some(before), None) => format!("would match, but `{before}` comes first"),
                (None, None) => "matches".to_owned(),
            };
            let takes = taken.is_none() && why == "matches";
            if takes {
                taken = Some(&route.name);
            }
            verdicts.push(Verdict { route: &route.name, taken: takes, why });
        }
        verdicts
    }
}

impl Display for Miss<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listener(listeners) => write!(f, "listener is not {}", OneOf(listeners)),
            Self::Host(hosts) => write!(f, "host is not {}", OneOf(hosts)),
            Self::Path(path) => write!(f, "path {path}"),
            Self::Source(ranges) => write!(f, "source is not in {}", OneOf(ranges)),
            Self::Method(methods) => write!(f, "method is not {}", OneOf(methods)),
            Self::Header(field) => write!(f, "header {field}"),
            Self::Parameter(field) => write!(f, "query parameter {field}"),
            Self::Not => f.write_str("fits what `not` excludes"),
        }
    }
}

impl Display for FieldMatcher {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ", self.name)?;
        match &self.test {
            FieldTest::Present => f.write_str("is absent"),
            FieldTest::Absent => f.write_str("is present"),
            FieldTest::Value(tests) => tests.fmt(f),
        }
    }
}

/// What a text that passes none of the tests is not.
impl Display for TextTests {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (n, test) in self.any.iter().enumerate() {
            f.write_str(if n == 0 { "" } else { ", " })?;
            match test {
                TextTest::Exact(text) => write!(f, "is not `{text}`"),
                TextTest::Prefix(text) => write!(f, "does not begin with `{text}`"),
                TextTest::Suffix(text) => write!(f, "does not end with `{text}`"),
                TextTest::Regex(regex) => write!(f, "does not match `{regex}`"),
            }?;
        }
        Ok(())
    }
}

impl Display for HostTest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Below(domain) => write!(f, "*{domain}"),
        }
    }
}

/// A list in words: `a`, `b` or `c`.
struct OneOf<'a, T>(&'a [T]);

impl<T: Display> Display for OneOf<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (n, item) in self.0.iter().enumerate() {
            let last = n + 1 == self.0.len();
            let separator = if n == 0 {
                ""
            } else if last {
                " or "
            } else {
                ", "
            };
            write!(f, "{separator}`{item}`")?;
        }
        Ok(())
    }
}
