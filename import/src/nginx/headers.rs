//! `proxy_set_header`, `add_header` and `proxy_hide_header` as keys of routes.

use super::tree::Directive;
use super::variable::text;
use crate::lint;
use crate::model::{Action, Headers};
use crate::note::Notes;
use crate::word::Word;

/// The statuses of answers to which `add_header` adds without `always`.
const ADDED_TO: [u16; 10] = [200, 201, 204, 206, 301, 302, 303, 304, 307, 308];

/// A field that `add_header` adds.
#[derive(Debug, Clone)]
pub(crate) struct Added {
    name: String,
    value: String,
    always: bool,
}

/// Reads `proxy_set_header`, and says what becomes of it.
pub(crate) fn set(directive: &Directive, notes: &Notes) -> Option<(String, Word)> {
    let line = &directive.words;
    let [name, value, ..] = directive.arguments() else {
        notes.error(line, "it needs a name and a value");
        return None;
    };
    let lower = name.text.to_ascii_lowercase();
    let same = format!("$http_{}", lower.replace('-', "_"));
    match lower.as_str() {
        "host" => notes.mapped(line, "upstreams.*.host_header"),
        "connection" | "upgrade" => {
            notes.not_needed(line, "connections are kept, and `Upgrade` becomes a tunnel");
        }
        "x-forwarded-for" if value.text == "$proxy_add_x_forwarded_for" => notes.mapped(
            line,
            "listeners.*.forwarded.x_forwarded; a client's own are removed, unless the client is in `trust`",
        ),
        _ if lint::is_reserved(&lower).is_some() => {
            notes.not_supported(line, lint::is_reserved(&lower).unwrap_or_default());
        }
        _ if !lint::token(&lower) => notes.error(line, "this is no name of a header"),
        _ if value.text.is_empty() => notes.mapped(line, "routes[].request_headers.remove"),
        _ if value.text == same => notes.not_needed(line, "what the client sends is passed on as it comes"),
        _ if text(&value.text, "", false, true).is_some() => {
            notes.mapped(line, "routes[].request_headers.set");
        }
        "x-request-id" => notes.not_needed(line, "each request gets an x-request-id"),
        _ => notes.not_supported(
            line,
            "a value is a text with {host}, {authority}, {path}, {query} and {client}: let the application or its \
             web server write it",
        ),
    }
    Some((lower, value.clone()))
}

/// Reads `add_header`, and says what becomes of it.
pub(crate) fn add(directive: &Directive, notes: &Notes) -> Option<Added> {
    let line = &directive.words;
    let [name, value, rest @ ..] = directive.arguments() else {
        notes.error(line, "it needs a name and a value");
        return None;
    };
    let lower = name.text.to_ascii_lowercase();
    if let Some(why) = lint::is_reserved(&lower) {
        notes.not_supported(line, why);
        return None;
    }
    let is_text = text(&value.text, "", false, true).is_some();
    if !lint::token(&lower) || !is_text || value.text.is_empty() {
        notes.not_supported(
            line,
            "a value is a text with {host}, {authority}, {path}, {query} and {client}: let the application write it",
        );
        return None;
    }
    let always = rest.iter().any(|word| word.is("always"));
    notes.mapped(
        line,
        if always {
            "routes[].response_headers.add"
        } else {
            "routes[].response_headers.add, to answers of backends whatever their status"
        },
    );
    Some(Added { name: lower, value: value.text.clone(), always })
}

/// What a route does to the fields that backends read.
pub(crate) fn of_requests(set: &[(String, Word)], server_name: &str, tls: bool) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in set.iter().filter(|(name, _)| lint::token(name) && lint::is_reserved(name).is_none())
    {
        if value.text.is_empty() {
            headers.remove(name);
        } else if let Some(value) = text(&value.text, server_name, tls, true) {
            headers.set(name, &value);
        }
    }
    headers
}

/// What a route with this action does to the fields of answers.
pub(crate) fn of_answers(
    added: &[Added],
    hidden: &[String],
    server_name: &str,
    tls: bool,
    action: &Action,
) -> Headers {
    let (own, status) = match action {
        Action::Upstream(_) => (false, None),
        Action::Redirect { status, .. } => (true, Some(*status)),
        Action::Respond(response) => (true, Some(response.status)),
    };
    let takes = |added: &&Added| added.always || status.is_none_or(|status| ADDED_TO.contains(&status));
    let value = |added: &Added| Some((added.name.clone(), text(&added.value, server_name, tls, true)?));
    Headers {
        add: added.iter().filter(takes).filter_map(value).collect(),
        remove: if own { Vec::new() } else { hidden.to_vec() },
        ..Headers::default()
    }
}
