//! How a backend is picked, and how a client stays with one.

use std::time::Duration;

use super::super::read::{boolean, duration, one_of, or_word, text};
use super::super::report::Problems;
use super::super::section::Section;
use super::super::tree::{Content, Node};
use super::super::value::Invalid;
use super::super::value::http::{HeaderName, is_token};

/// How a backend is picked.
#[derive(Debug, Clone, PartialEq)]
pub enum Balance {
    /// Smooth weighted round robin: even over any stretch of requests.
    RoundRobin,
    /// The less busy of two backends, one by turn and one by lot: best when exchanges differ much in cost.
    LeastRequests,
    /// The cheaper of two backends, one by turn and one by lot, by a decaying peak of their latency.
    PeakEwma,
    /// Any backend, by weight.
    Random,
    /// The backend that a key of the request hashes to.
    ConsistentHash(ConsistentHash),
}

/// Picking by the hash of a key.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsistentHash {
    /// What is hashed.
    pub key: HashKey,
    /// The most load of one backend relative to the average, at least 1; beyond it the key's next choice is picked.
    /// None is no bound.
    pub load_bound: Option<f64>,
}

/// What of a request is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    /// The client's IP address.
    Source,
    /// The path, without its query.
    Path,
    /// The value of a header. Requests without it are given out by turns.
    Header(HeaderName),
    /// The value of a cookie. Requests without it are given out by turns.
    Cookie(String),
    /// The value of a query parameter. Requests without it are given out by turns.
    Query(String),
}

/// A cookie that names the backend which answered a client first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StickyConfig {
    /// The cookie's name.
    pub cookie: String,
    /// The `Path` attribute.
    pub path: String,
    /// Whether the cookie has the `Secure` attribute.
    pub secure: bool,
    /// Whether the cookie has the `HttpOnly` attribute: scripts of the page cannot read it.
    pub http_only: bool,
    /// The `SameSite` attribute.
    pub same_site: SameSite,
    /// The `Max-Age` attribute, in whole seconds. None ends with the browser.
    pub max_age: Option<Duration>,
}

/// The `SameSite` attribute of a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// Sent with requests from the same site, and when a link leads to it.
    Lax,
    /// Sent with requests from the same site only.
    Strict,
    /// Always sent; browsers ask for `Secure` with it.
    None,
}

/// The words for `balance`. None is the one that has keys of its own.
const WORDS: [(&str, Option<Balance>); 5] = [
    ("round_robin", Some(Balance::RoundRobin)),
    ("least_requests", Some(Balance::LeastRequests)),
    ("peak_ewma", Some(Balance::PeakEwma)),
    ("random", Some(Balance::Random)),
    ("consistent_hash", None),
];

const SAME_SITES: [(&str, SameSite); 3] =
    [("lax", SameSite::Lax), ("strict", SameSite::Strict), ("none", SameSite::None)];

impl Balance {
    /// Decodes the key `balance` of an upstream: a word, or a section for what has keys of its own.
    pub(super) fn decode(upstream: &Section<'_>) -> Self {
        let section = match upstream.given("balance").map(|node| &node.content) {
            Some(Content::Map(_)) => {
                let section = upstream.section("balance");
                if !section.has("consistent_hash") {
                    section.missing(
                        "`balance` names no way to balance",
                        "only `consistent_hash` has keys of its own",
                    );
                }
                section
            }
            _ => match upstream.value("balance", one_of(&WORDS)) {
                Some(balance) => return balance,
                None => upstream.absent("balance"),
            },
        };
        let hash = section.section("consistent_hash");
        Self::ConsistentHash(ConsistentHash {
            key: hash.value("key", HashKey::read),
            load_bound: hash.value("load_bound", or_word("unlimited", text(load_bound))),
        })
    }
}

fn load_bound(text: &str) -> Result<f64, Invalid> {
    match text.parse::<f64>() {
        Ok(bound) if (1.0..=100.0).contains(&bound) => Ok(bound),
        _ => Err(Invalid::new(format!("`{}` is no bound on load", text.escape_debug()))
            .hint("write a factor of the average load from 1 to 100, such as `1.25`, or `unlimited`")),
    }
}

impl HashKey {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        if !matches!(node.content, Content::Map(_)) {
            return text(Self::word)(node, problems);
        }
        let section = Section::open("upstreams.*.balance.consistent_hash.key", node, problems);
        let header = section.optional("header", text(HeaderName::parse)).map(Self::Header);
        let cookie = section.optional("cookie", text(cookie_name)).map(Self::Cookie);
        let query = section.optional("query", text(|name| Ok(name.to_owned()))).map(Self::Query);
        let mut keys = [header, cookie, query].into_iter().flatten();
        match (keys.next(), keys.next(), node.entries().len()) {
            (Some(key), None, 1) => Some(key),
            (_, _, 1) => None,
            _ => {
                let hint = "write exactly one of `header`, `cookie` and `query`";
                problems.error(node.place, "the key to hash is not clear", Some(hint.to_owned()));
                None
            }
        }
    }

    fn word(text: &str) -> Result<Self, Invalid> {
        match text {
            "source" => Ok(Self::Source),
            "path" => Ok(Self::Path),
            _ => Err(Invalid::new(format!("`{}` cannot be hashed", text.escape_debug())).hint(
                "write `source` or `path`, or with a name `{header: NAME}`, `{cookie: NAME}` or `{query: NAME}`",
            )),
        }
    }
}

impl StickyConfig {
    /// Decodes the section `sticky`.
    pub(super) fn decode(section: &Section<'_>) -> Self {
        Self {
            cookie: section.value("cookie", text(cookie_name)),
            path: section.value("path", text(cookie_path)),
            secure: section.value("secure", boolean),
            http_only: section.value("http_only", boolean),
            same_site: section.value("same_site", one_of(&SAME_SITES)),
            max_age: section.value("max_age", or_word("session", duration)),
        }
    }
}

/// A cookie's name is a token (RFC 6265 section 4.1.1).
fn cookie_name(text: &str) -> Result<String, Invalid> {
    if is_token(text) {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(format!("`{}` is not the name of a cookie", text.escape_debug()))
            .hint("a name has letters, digits, `-` and `_`"))
    }
}

/// A cookie's path begins with `/` and has no `;`, which would begin another attribute.
fn cookie_path(text: &str) -> Result<String, Invalid> {
    if text.starts_with('/') && text.bytes().all(|b| (b'!'..=b'~').contains(&b) && b != b';') {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(format!("`{}` is not the path of a cookie", text.escape_debug())).hint("write `/`"))
    }
}
