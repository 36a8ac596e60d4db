//! What a block does with a request: answer, redirect, pass on.

use super::lua;
use super::settings::Settings;
use super::tree::{Block, Directive};
use super::upstream::{Groups, Use, is_name, target};
use super::variable::redirect_target;
use crate::lint;
use crate::model::{Action, Response};
use crate::note::Notes;
use crate::word::Word;

/// Directives that serve what plimsoll does not.
const HANDLERS: [&str; 8] =
    ["root", "alias", "try_files", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass"];

/// The action of `return CODE [TEXT]` or `return URL`. None, with a note, when plimsoll has none.
pub(crate) fn of_return(directive: &Directive, name: Option<&str>, notes: &Notes) -> Option<Action> {
    let line = &directive.words;
    let [first, rest @ ..] = directive.arguments() else {
        notes.error(line, "it needs a code or a URL");
        return None;
    };
    let text = rest.first().map(|word| word.text.as_str());
    let (code, text) = match first.text.parse::<u16>() {
        Ok(code) => (code, text),
        Err(_) => (302, Some(first.text.as_str())),
    };
    if let (301 | 302 | 303 | 307 | 308, Some(text)) = (code, text) {
        let Some(to) = redirect_target(text, name) else {
            notes.not_supported(
                line,
                "a target is a text with {host}, {path} and {query}: the route answers 501",
            );
            return Some(Action::Respond(Response::status(501)));
        };
        notes.mapped(line, "a route that redirects");
        return Some(Action::Redirect { to, status: code });
    }
    if code == 444 {
        notes.not_supported(line, "a connection is answered: the route answers 403");
        return Some(Action::Respond(Response::status(403)));
    }
    if !(200..=599).contains(&code) {
        notes.error(line, format!("`{code}` is no status of an answer"));
        return None;
    }
    let mut response = Response::status(code);
    if let Some(text) = text {
        if text.contains('$') {
            notes.not_supported(line, "the text is fixed: nothing of the request is put into it");
        }
        response.body = Some(text.to_owned());
        response.headers.push(("content-type".to_owned(), "text/plain".to_owned()));
    }
    notes.mapped(line, format!("a route that answers {code}"));
    Some(Action::Respond(response))
}

/// What a location does at its end, when none of its conditions has decided.
pub(crate) fn of_location(
    location: &Directive,
    settings: &Settings,
    groups: &mut Groups,
    name: Option<&str>,
    notes: &Notes,
) -> Action {
    let find = |name: &str| location.inner().iter().find(|directive| directive.name() == name);
    if let Some(directive) = find("return")
        && let Some(action) = of_return(directive, name, notes)
    {
        return action;
    }
    if let Some(status) = settings.closed {
        return Action::Respond(Response::status(status));
    }
    if let Some(directive) = find("proxy_pass") {
        return of_proxy_pass(directive, location, settings, groups, notes);
    }
    let shows = |directive: &Directive| matches!(&directive.block, Block::Lua(lua) if lua::shows_status(lua));
    if location.inner().iter().any(shows) || find("stub_status").is_some() || find("check_status").is_some() {
        return Action::Respond(Response::status(404));
    }
    let handler = HANDLERS.iter().find_map(|handler| find(handler));
    let what = handler.map_or("nothing that plimsoll does", |directive| directive.name());
    notes.not_supported(
        &location.words,
        format!("{what} answers here: the route answers 501 until you give it an upstream"),
    );
    Action::Respond(Response::status(501))
}

fn of_proxy_pass(
    directive: &Directive,
    location: &Directive,
    settings: &Settings,
    groups: &mut Groups,
    notes: &Notes,
) -> Action {
    let line = &directive.words;
    let bad_gateway = Action::Respond(Response::status(502));
    let url = directive.argument(0);
    let Some((scheme, rest)) = url.split_once("://") else {
        notes.error(line, "it needs a URL: http://NAME");
        return bad_gateway;
    };
    if scheme.eq_ignore_ascii_case("https") {
        notes.not_supported(
            line,
            "TLS is not spoken to backends, and what was encrypted shall not go in \
            clear: the route answers 502 until you give it an upstream without TLS",
        );
        return bad_gateway;
    }
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if url.contains('$') || host.starts_with("unix:") {
        notes.not_supported(
            line,
            "a backend has a fixed address with a port: the route answers 502 until you give it an upstream",
        );
        return bad_gateway;
    }
    let taken = location.arguments().last().map_or("/", |word| word.text.as_str());
    if !path.is_empty() && path != taken {
        notes.not_supported(
            line,
            format!(
                "paths are passed on as they came, not with `{path}` for \
            `{taken}`: let the application take them so"
            ),
        );
    }
    if groups.find(host).is_none() {
        match target(host, 80) {
            Ok(address) => groups.define_single(host, address, directive.place().line),
            Err(why) => {
                let named = Word { text: host.to_owned(), place: line[0].place };
                let known = if is_name(&named) { "" } else { "this is no host; " };
                notes.error(line, format!("there is no upstream `{host}` in this file; {known}{why}"));
                return bad_gateway;
            }
        }
    }
    let wanted = Use {
        connect: settings.connect,
        response: settings.read,
        host_header: host_header(settings, host, notes),
        retries: Some(settings.retries()),
        ..Use::default()
    };
    match groups.upstream(host, &wanted) {
        Some(upstream) => {
            notes.mapped(line, format!("a route to the upstream `{upstream}`"));
            Action::Upstream(upstream)
        }
        None => bad_gateway,
    }
}

/// The Host that backends read. nginx sends what stands in `proxy_pass` where nothing else is said.
fn host_header(settings: &Settings, host: &str, notes: &Notes) -> Option<String> {
    let bare = host.strip_suffix(":80").unwrap_or(host);
    let wanted = match settings.header_value("host") {
        Some("$host" | "$http_host" | "$host:$server_port") => return None,
        None | Some("$proxy_host") => bare,
        Some(text) => text,
    };
    if !wanted.contains('$') && lint::header_value(wanted) && !wanted.is_empty() {
        return Some(wanted.to_owned());
    }
    if let Some((_, word)) = settings.headers.iter().rev().find(|(name, _)| name == "host") {
        notes.not_supported(
            std::slice::from_ref(word),
            "backends read the client's Host, the backend's address, or a fixed text",
        );
    }
    None
}
