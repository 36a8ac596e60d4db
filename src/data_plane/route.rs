//! Route: finds where a request goes, by what its head says.
//!
//! Apart from the exchange because it is pure: a table in, facts in, a route out. The same table answers
//! `plimsoll check --explain`, so what is explained is what happens.
//!
//! Routes are tried in file order and the first that matches decides. There is no ranking by length or kind that one
//! would have to know in order to read a configuration.
//!
//! # What is compared
//!
//! - **Host**: without its port and a final dot, and never by case (RFC 9110 section 4.2.3).
//! - **Path**: what was sent up to the `?`, with percent-encoded *unreserved* characters decoded (`/%7Euser` is
//!   `/~user`), because RFC 3986 section 6.2.2.2 makes the two the same resource. Nothing else is decoded: `%2F` is not
//!   `/`. The backend receives what was sent, untouched.
//! - **Prefix and suffix** are plain text, as in HAProxy's `path_beg`: `/static` begins `/static/x` and also
//!   `/staticfoo`. Write `/static/` to mean whole segments.
//! - **Source**: who connected; behind a source that the listener trusts, whom it forwards for.
//! - **Query**: parameters by name, values decoded like the path; a `+` stays a `+`.
//!
//! # Dot segments are refused
//!
//! To one program `/public/../admin` begins with `/public`, to the next it is `/admin`. Well-behaved clients remove
//! dot segments before they send (RFC 3986 section 5.2.4). So where any route looks at the path, a path with a `.` or
//! `..` segment, encoded or not, matches none. Where no route does, it is no matter of ours, and it is forwarded.

use std::sync::Arc;

use crate::telemetry::RouteSeries;
use crate::upstream::Upstream;

mod answer;
mod explain;
mod facts;
mod headers;
mod matcher;
mod template;

pub use answer::{FixedResponse, Redirect};
pub use explain::Verdict;
pub use facts::{Headers, RequestFacts};
pub use headers::HeaderRules;
pub use matcher::{FieldMatcher, FieldTest, HostTest, Matcher, TextTest, TextTests};
pub use template::{TextPart, name_backend};

use facts::View;
use matcher::Miss;

/// One route: which requests, and where they go.
#[derive(Debug, Clone)]
pub struct Route {
    /// The name: the `route` label.
    pub name: Box<str>,
    /// The listeners whose requests it looks at. Empty is all of them.
    pub listeners: Box<[Box<str>]>,
    /// What a request must look like.
    pub matcher: Matcher,
    /// Whether its requests may be sent to a backend again whatever their method.
    pub idempotent: bool,
    /// What happens to the header lines that a backend reads. None is nothing.
    pub request_headers: Option<HeaderRules>,
    /// What happens to the header lines of an answer. None is nothing.
    pub response_headers: Option<HeaderRules>,
    /// Where it goes.
    pub target: Target,
    /// What is counted of it.
    pub series: Arc<RouteSeries>,
}

/// Where a request goes.
#[derive(Debug, Clone)]
pub enum Target {
    /// A backend of this upstream answers.
    Upstream(Arc<Upstream>),
    /// The client is sent elsewhere.
    Redirect(Redirect),
    /// The balancer answers by itself.
    Respond(FixedResponse),
}

/// Routes in file order.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    routes: Box<[Route]>,
    /// Whether the first route takes every request, so that none need be looked at.
    first_takes_all: bool,
    /// Whether any route looks at the path.
    looks_at_paths: bool,
}

impl RouteTable {
    /// Makes a table of routes in file order.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        Self {
            first_takes_all: routes.first().is_some_and(Route::takes_all),
            looks_at_paths: routes.iter().any(|route| route.matcher.looks_at_path()),
            routes: routes.into(),
        }
    }

    /// Makes the table of one listener: the routes that look at its requests.
    #[must_use]
    pub fn for_listener(&self, listener: &str) -> Self {
        let own = self.routes.iter().filter(|route| route.serves(listener)).cloned();
        Self::new(own.map(|route| Route { listeners: Box::default(), ..route }).collect())
    }

    /// Finds the first route that matches a request. None when no route does.
    #[must_use]
    pub fn find(&self, facts: &RequestFacts<'_>) -> Option<&Route> {
        if self.first_takes_all {
            return self.routes.first();
        }
        let view = View::of(facts);
        if self.looks_at_paths && view.has_dot_segments() {
            return None;
        }
        self.routes.iter().find(|route| route.miss(&view).is_none())
    }

    /// Tells whether it can make a difference who sent a request.
    #[must_use]
    pub fn looks_at_sources(&self) -> bool {
        self.routes.iter().any(|route| route.matcher.looks_at_source())
    }

    /// Returns the routes in file order.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }
}

impl Route {
    /// Tells whether the route looks at requests of this listener.
    #[must_use]
    pub fn serves(&self, listener: &str) -> bool {
        self.listeners.is_empty() || self.listeners.iter().any(|served| &**served == listener)
    }

    fn takes_all(&self) -> bool {
        self.listeners.is_empty() && self.matcher.is_catch_all()
    }

    /// Returns the first condition that a request does not meet. None when the route matches.
    fn miss<'a>(&'a self, view: &View<'_>) -> Option<Miss<'a>> {
        if !self.serves(view.listener()) {
            return Some(Miss::Listener(&self.listeners));
        }
        self.matcher.miss(view)
    }
}

#[cfg(test)]
mod tests;
