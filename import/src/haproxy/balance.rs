//! `balance`, `hash-type` and `cookie`.

use crate::lint;
use crate::model::{HashKey, Sticky};
use crate::note::Notes;
use crate::span::Span;
use crate::word::Word;

/// How a server is picked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Way {
    /// A word of plimsoll.
    Word(&'static str),
    Hash(HashKey),
}

const WAYS: [&str; 12] = [
    "roundrobin",
    "static-rr",
    "leastconn",
    "first",
    "source",
    "uri",
    "url_param",
    "hdr",
    "random",
    "hash",
    "rdp-cookie",
    "sticky",
];

/// Reads `balance`. None, with a note, when plimsoll has no such way.
pub(crate) fn read(line: &[Word], rest: &[Word], notes: &Notes) -> Option<Way> {
    let Some(word) = rest.first() else {
        notes.error(line, "it needs the name of an algorithm");
        return None;
    };
    let (name, argument) = call(&word.text);
    let parameter = argument.or_else(|| rest.get(1).map(|word| word.text.as_str()));
    let (way, what) = match name {
        "roundrobin" | "static-rr" => ("round_robin", "round_robin, which is the default"),
        "leastconn" => ("least_requests", "least_requests"),
        "random" if argument == Some("1") => ("random", "random"),
        "random" => ("least_requests", "least_requests, the less busy of two, as HAProxy draws two"),
        "first" => {
            let why =
                "requests are spread: round_robin; `limits.in_flight: adaptive` finds what a backend bears";
            notes.not_supported(line, why);
            return Some(Way::Word("round_robin"));
        }
        _ => return by_hash(name, parameter, line, rest, notes).map(Way::Hash),
    };
    notes.mapped(line, format!("upstreams.*.balance: {what}"));
    Some(Way::Word(way))
}

fn by_hash(
    name: &str,
    parameter: Option<&str>,
    line: &[Word],
    rest: &[Word],
    notes: &Notes,
) -> Option<HashKey> {
    let needs = |what: &str| {
        notes.error(line, format!("it needs the name of a {what}"));
        None
    };
    let (key, what) = match name {
        "source" => (HashKey::Source, "source"),
        "uri" => {
            for word in rest.iter().skip(1).filter(|word| !word.is("path-only")) {
                notes
                    .not_supported(std::slice::from_ref(word), "the whole path is hashed, without its query");
            }
            (HashKey::Path, "path")
        }
        "url_param" => match parameter {
            Some(name) => (HashKey::Query(name.to_owned()), "query"),
            None => return needs("parameter"),
        },
        "hdr" => match parameter.filter(|name| lint::token(name)) {
            Some(name) => (HashKey::Header(name.to_lowercase()), "header"),
            None => return needs("header"),
        },
        "hash" => return by_expression(line, rest, notes),
        "rdp-cookie" | "sticky" => {
            let why = "`balance: {consistent_hash: {key: source}}` keeps a client with its backend";
            notes.not_supported(line, why);
            return None;
        }
        _ => {
            notes.unknown(rest, "algorithm", WAYS);
            return None;
        }
    };
    notes.mapped(line, format!("upstreams.*.balance.consistent_hash.key: {what}"));
    Some(key)
}

fn by_expression(line: &[Word], rest: &[Word], notes: &Notes) -> Option<HashKey> {
    let expression = rest.get(1).map_or("", |word| word.text.as_str());
    let (name, argument) = call(expression);
    let named = argument.filter(|name| lint::token(name)).map(str::to_owned);
    let key = match (name, named) {
        ("src", None) => Some(HashKey::Source),
        ("path" | "url" | "pathq", None) => Some(HashKey::Path),
        ("hdr" | "req.hdr" | "req.fhdr", Some(name)) => Some(HashKey::Header(name.to_lowercase())),
        ("cook" | "req.cook", Some(name)) => Some(HashKey::Cookie(name)),
        ("url_param" | "urlp", Some(name)) => Some(HashKey::Query(name)),
        _ => None,
    };
    match &key {
        Some(_) => notes.mapped(line, "upstreams.*.balance.consistent_hash.key"),
        None => notes.not_supported(
            line,
            "what can be hashed is source, path, a header, a cookie or a query parameter",
        ),
    }
    key
}

/// Notes what `hash-type` asks for: consistent hashing is the only one here.
pub(crate) fn hash_type(line: &[Word], rest: &[Word], notes: &Notes) {
    if rest.first().is_some_and(|word| word.is("consistent")) {
        notes.mapped(line, "upstreams.*.balance.consistent_hash; its hash function is plimsoll's own");
    } else {
        notes.not_needed(line, "hashing is consistent always: few keys move when a backend comes or goes");
    }
}

/// Reads `cookie`. None, with a note, when there is no usable name.
pub(crate) fn cookie(line: &[Word], rest: &[Word], notes: &Notes) -> Option<Sticky> {
    let [name, words @ ..] = rest else {
        notes.error(line, "it needs the name of a cookie");
        return None;
    };
    if !lint::token(&name.text) {
        notes.error(line, format!("`{}` is not the name of a cookie", name.text));
        return None;
    }
    let mut sticky = Sticky { cookie: name.text.clone(), ..Sticky::default() };
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let only = std::slice::from_ref(word);
        match word.text.as_str() {
            "insert" | "httponly" => {}
            "indirect" => notes.not_needed(only, "backends see the cookie, which names one of them"),
            "nocache" => notes.not_supported(only, "let the application say `cache-control: private`"),
            "postonly" => notes.not_supported(only, "the cookie is set by the first answer"),
            "preserve" => notes.not_supported(only, "the cookie is the balancer's alone"),
            "dynamic" => notes.not_needed(only, "the cookie's values are made from the backends' names"),
            "rewrite" | "prefix" => {
                let why = "the cookie is the balancer's own: give `sticky.cookie` a name that the \
                    application does not use";
                notes.not_supported(only, why);
            }
            "secure" => sticky.secure = true,
            "maxlife" => {
                sticky.max_age = rest.next().and_then(|span| Span::haproxy(&span.text)).map(in_seconds)
            }
            "maxidle" => {
                rest.next();
                notes.not_supported(only, "the cookie ends with the browser, or after `sticky.max_age`");
            }
            "domain" => {
                rest.next();
                notes.not_supported(only, "the cookie is for the host that set it");
            }
            "attr" => attribute(&mut sticky, only, rest.next(), notes),
            _ => notes.unknown(
                only,
                "word of cookie",
                ["insert", "indirect", "nocache", "prefix", "rewrite", "domain"],
            ),
        }
    }
    notes.mapped(line, "upstreams.*.sticky; clients get a new cookie once");
    Some(sticky)
}

/// HAProxy counts `maxlife` in seconds where it has no unit, unlike its timeouts.
fn in_seconds(span: Span) -> Span {
    if span.0 < 1_000_000 { Span(span.0.saturating_mul(1_000)) } else { span }
}

fn attribute(sticky: &mut Sticky, only: &[Word], value: Option<&Word>, notes: &Notes) {
    let value = value.map(|word| word.text.to_ascii_lowercase()).unwrap_or_default();
    match value.as_str() {
        "samesite=lax" => sticky.same_site = Some("lax"),
        "samesite=strict" => sticky.same_site = Some("strict"),
        "samesite=none" => {
            sticky.same_site = Some("none");
            sticky.secure = true;
        }
        _ => notes.not_supported(only, "the attributes of the cookie are the keys of `upstreams.*.sticky`"),
    }
}

/// Parts `name(argument)`. Without parentheses there is no argument.
pub(crate) fn call(text: &str) -> (&str, Option<&str>) {
    match text.split_once('(') {
        Some((name, rest)) => (name, Some(rest.trim_end_matches(')'))),
        None => (text, None),
    }
}
