//! Routes: which request goes where.

use super::read::{boolean, list_of, string, text};
use super::report::Problems;
use super::section::Section;
use super::tree::{Content, Node};
use super::value::Invalid;
use super::value::http::{HeaderName, HeaderValue, status};
use super::value::text::Name;
use headers::{HeaderRules, settable};
use matcher::Matcher;
use template::TextPart;

pub mod headers;
pub mod matcher;
pub mod template;

/// One route. The first route in file order that matches a request decides.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteConfig {
    /// The route's name: the `route` label in metrics. Unnamed routes are called `route-1`, `route-2` … by position.
    pub name: Name,
    /// The listeners whose requests the route looks at. Empty is all of them.
    pub listeners: Vec<Name>,
    /// What a request must look like. Empty matches every request.
    pub matcher: Matcher,
    /// Whether its requests may be sent to a backend again whatever their method: the route's writer vouches that doing
    /// them twice does no harm.
    pub idempotent: bool,
    /// What happens to the header fields that a backend reads.
    pub request_headers: HeaderRules,
    /// What happens to those of an answer: a backend's, or the route's own.
    pub response_headers: HeaderRules,
    /// What happens to the request.
    pub action: RouteAction,
}

/// What happens to a request that a route matched.
#[derive(Debug, Clone, PartialEq)]
pub enum RouteAction {
    /// A backend of this upstream answers.
    Upstream(Name),
    /// The client is sent elsewhere.
    Redirect(Redirect),
    /// The balancer answers by itself.
    Respond(FixedResponse),
}

/// A redirection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The value of `Location`, in parts.
    pub to: Vec<TextPart>,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// An answer written in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedResponse {
    /// The status code, 200 to 599.
    pub status: u16,
    /// Header fields, in file order. `content-length` is added by the balancer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body. Empty for none.
    pub body: String,
}

impl RouteConfig {
    /// Decodes a route of the list. What is wrong is noted, and replaced so that decoding can go on.
    pub(super) fn decode(position: usize, node: &Node, problems: &Problems) -> Self {
        let section = Section::open("routes[]", node, problems);
        let unnamed = || Name::parse(&format!("route-{position}")).expect("invariant: this is a name");
        let action = RouteAction::decode(&section);
        let in_answer = match action {
            RouteAction::Upstream(_) => TextPart::IN_ANSWER,
            RouteAction::Redirect(_) | RouteAction::Respond(_) => TextPart::IN_REQUEST,
        };
        Self {
            name: section.optional("name", text(Name::parse)).unwrap_or_else(unnamed),
            listeners: section.optional("listener", list_of(text(Name::parse))).unwrap_or_default(),
            matcher: Matcher::decode(&section.section("match")),
            idempotent: section.value("idempotent", boolean),
            request_headers: HeaderRules::decode(&section.section("request_headers"), TextPart::IN_REQUEST),
            response_headers: HeaderRules::decode(&section.section("response_headers"), in_answer),
            action,
        }
    }
}

impl RouteAction {
    fn decode(route: &Section<'_>) -> Self {
        let given: Vec<_> =
            ["upstream", "redirect", "respond"].into_iter().filter(|key| route.has(key)).collect();
        match given[..] {
            ["upstream"] => {
                route.optional("upstream", text(Name::parse)).map_or_else(Self::placeholder, Self::Upstream)
            }
            ["redirect"] => Self::Redirect(Redirect::decode(route)),
            ["respond"] => Self::Respond(FixedResponse::decode(route)),
            _ => {
                let what = if given.is_empty() { "goes nowhere" } else { "goes to several places" };
                let hint = "give exactly one of `upstream`, `redirect` and `respond`";
                route.missing(format!("the route {what}"), hint);
                Self::placeholder()
            }
        }
    }

    /// What stands in for an action that could not be read.
    fn placeholder() -> Self {
        Self::Respond(FixedResponse { status: 500, headers: Vec::new(), body: String::new() })
    }
}

impl Redirect {
    fn decode(route: &Section<'_>) -> Self {
        let (section, to) = match route.given("redirect") {
            Some(node @ Node { content: Content::Scalar(_), .. }) => {
                (route.absent("redirect"), text(location)(node, route.problems))
            }
            _ => {
                let section = route.section("redirect");
                let to = section.required("to", text(location));
                (section, to)
            }
        };
        Self { to: to.unwrap_or_default(), status: section.value("status", text(redirect_status)) }
    }
}

fn location(text: &str) -> Result<Vec<TextPart>, Invalid> {
    let parts = TextPart::parse_all(text, TextPart::IN_LOCATION)?;
    if parts.is_empty() { Err(Invalid::new("a redirection needs a target")) } else { Ok(parts) }
}

fn redirect_status(text: &str) -> Result<u16, Invalid> {
    match text {
        "301" => Ok(301),
        "302" => Ok(302),
        "303" => Ok(303),
        "307" => Ok(307),
        "308" => Ok(308),
        _ => Err(Invalid::new(format!("`{}` is not the status of a redirection", text.escape_debug()))
            .hint("write 301 or 308 for good, 302 or 307 for now, or 303")),
    }
}

impl FixedResponse {
    fn decode(route: &Section<'_>) -> Self {
        let (section, code) = match route.given("respond") {
            Some(node @ Node { content: Content::Scalar(_), .. }) => {
                (route.absent("respond"), text(status)(node, route.problems))
            }
            _ => (route.section("respond"), None),
        };
        let headers = section.named("headers").iter().filter_map(|entry| {
            let name = HeaderName::parse(&entry.key).and_then(settable);
            let name = name.map_err(|invalid| route.problems.invalid(entry.place, invalid)).ok()?;
            Some((name, text(HeaderValue::parse)(&entry.value, route.problems)?))
        });
        Self {
            headers: headers.collect(),
            status: code.unwrap_or_else(|| section.value("status", text(status))),
            body: section.optional("body", string).unwrap_or_default(),
        }
    }
}
