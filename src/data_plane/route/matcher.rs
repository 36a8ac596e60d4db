//! Matchers: the conditions of a route, compiled.
//!
//! Every field that is given must hold; one of the values within a field suffices. A matcher reports what it missed
//! instead of yes or no, so that routing and its explanation are one piece of code; a miss is a reference and costs no
//! more than `false`.

use regex::bytes::Regex;

use super::facts::View;
use crate::data_plane::http1::source::Network;

/// Conditions on a request. Empty fields hold for every request.
#[derive(Debug, Clone, Default)]
pub struct Matcher {
    /// One of these hosts was asked for.
    pub hosts: Box<[HostTest]>,
    /// The path passes one of these tests. None is every path.
    pub path: Option<TextTests>,
    /// Who sent it lies in one of these.
    pub sources: Box<[Network]>,
    /// The method is one of these; case matters (RFC 9110 section 9.1).
    pub methods: Box<[Box<str>]>,
    /// Each of these headers fits.
    pub headers: Box<[FieldMatcher]>,
    /// Each of these query parameters fits.
    pub query: Box<[FieldMatcher]>,
    /// The request fits none of these.
    pub not: Box<[Matcher]>,
}

/// A test of the host. Its text is compared without regard to case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostTest {
    /// This host.
    Exact(Box<str>),
    /// Every host that ends with this and is longer: `.example.org` for `*.example.org`.
    Below(Box<str>),
}

/// Tests of one text. One that passes suffices.
#[derive(Debug, Clone)]
pub struct TextTests {
    /// The tests.
    pub any: Box<[TextTest]>,
    /// Whether ASCII case is ignored; a regular expression knows by itself.
    pub ignore_case: bool,
}

/// A test of a text.
#[derive(Debug, Clone)]
pub enum TextTest {
    /// The text is this.
    Exact(Box<str>),
    /// The text begins with this.
    Prefix(Box<str>),
    /// The text ends with this.
    Suffix(Box<str>),
    /// The expression is found in the text.
    Regex(Regex),
}

/// A condition on a header or query parameter.
#[derive(Debug, Clone)]
pub struct FieldMatcher {
    /// The name; of a header, in lower case.
    pub name: Box<str>,
    /// What is asked of it.
    pub test: FieldTest,
}

/// What is asked of a header or query parameter.
#[derive(Debug, Clone)]
pub enum FieldTest {
    /// It is there, with whatever value.
    Present,
    /// It is not there.
    Absent,
    /// One of its values passes.
    Value(TextTests),
}

/// The first condition that a request did not meet.
#[derive(Debug, Clone, Copy)]
pub(super) enum Miss<'a> {
    Listener(&'a [Box<str>]),
    Host(&'a [HostTest]),
    Path(&'a TextTests),
    Source(&'a [Network]),
    Method(&'a [Box<str>]),
    Header(&'a FieldMatcher),
    Parameter(&'a FieldMatcher),
    Not,
}

impl Matcher {
    /// Tells whether every request matches.
    #[must_use]
    pub fn is_catch_all(&self) -> bool {
        self.hosts.is_empty()
            && self.path().is_none()
            && self.sources.is_empty()
            && self.methods.is_empty()
            && self.headers.is_empty()
            && self.query.is_empty()
            && self.not.is_empty()
    }

    /// Tells whether paths can make a difference.
    #[must_use]
    pub fn looks_at_path(&self) -> bool {
        self.path().is_some() || self.not.iter().any(Self::looks_at_path)
    }

    /// Tells whether it can make a difference who sent a request.
    #[must_use]
    pub fn looks_at_source(&self) -> bool {
        !self.sources.is_empty() || self.not.iter().any(Self::looks_at_source)
    }

    /// Returns the first condition that a request does not meet. None when it meets all.
    pub(super) fn miss<'a>(&'a self, view: &View<'_>) -> Option<Miss<'a>> {
        if !self.hosts.is_empty() && !self.hosts.iter().any(|test| test.passes(view.host)) {
            return Some(Miss::Host(&self.hosts));
        }
        if let Some(path) = self.path().filter(|path| !path.pass(&view.path)) {
            return Some(Miss::Path(path));
        }
        if !self.methods.is_empty() && !self.methods.iter().any(|method| &**method == view.method()) {
            return Some(Miss::Method(&self.methods));
        }
        if !self.sources.is_empty() && !self.sources.iter().any(|range| range.contains(view.source())) {
            return Some(Miss::Source(&self.sources));
        }
        let header = |field: &&FieldMatcher| !field.fits(|test| view.headers().any(&field.name, test));
        if let Some(field) = self.headers.iter().find(header) {
            return Some(Miss::Header(field));
        }
        let parameter = |field: &&FieldMatcher| !field.fits(|test| view.any_parameter(&field.name, test));
        if let Some(field) = self.query.iter().find(parameter) {
            return Some(Miss::Parameter(field));
        }
        let excluded = self.not.iter().any(|not| not.miss(view).is_none());
        excluded.then_some(Miss::Not)
    }

    /// Returns the tests of the path, unless one of them says that every path will do.
    fn path(&self) -> Option<&TextTests> {
        let trivial =
            |test: &TextTest| matches!(test, TextTest::Prefix(prefix) if matches!(&**prefix, "" | "/"));
        self.path.as_ref().filter(|path| !path.any.iter().any(trivial))
    }
}

impl HostTest {
    fn passes(&self, host: &str) -> bool {
        match self {
            Self::Exact(wanted) => host.eq_ignore_ascii_case(wanted),
            Self::Below(domain) => host.len() > domain.len() && ends_with(host.as_bytes(), domain, true),
        }
    }
}

impl FieldMatcher {
    /// `any` tells whether a value of the field passes the test that it is given.
    fn fits(&self, any: impl Fn(&mut dyn FnMut(&[u8]) -> bool) -> bool) -> bool {
        match &self.test {
            FieldTest::Present => any(&mut |_| true),
            FieldTest::Absent => !any(&mut |_| true),
            FieldTest::Value(tests) => any(&mut |value| tests.pass(value)),
        }
    }
}

impl TextTests {
    fn pass(&self, text: &[u8]) -> bool {
        self.any.iter().any(|test| test.passes(text, self.ignore_case))
    }
}

impl TextTest {
    fn passes(&self, text: &[u8], ignore_case: bool) -> bool {
        match self {
            Self::Exact(wanted) => equal(text, wanted.as_bytes(), ignore_case),
            Self::Prefix(prefix) => {
                text.get(..prefix.len()).is_some_and(|start| equal(start, prefix.as_bytes(), ignore_case))
            }
            Self::Suffix(suffix) => ends_with(text, suffix, ignore_case),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

fn ends_with(text: &[u8], suffix: &str, ignore_case: bool) -> bool {
    let start = text.len().checked_sub(suffix.len());
    start.is_some_and(|start| equal(&text[start..], suffix.as_bytes(), ignore_case))
}

fn equal(a: &[u8], b: &[u8], ignore_case: bool) -> bool {
    if ignore_case { a.eq_ignore_ascii_case(b) } else { a == b }
}
