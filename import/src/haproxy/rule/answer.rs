//! Answers that the balancer gives by itself: refusals, redirections, fixed texts.

use crate::condition::{Condition, Test};
use crate::lint;
use crate::model::{Action, PathTests, Response, Tests};
use crate::note::Notes;
use crate::word::Word;

/// An answer that refuses.
pub(crate) fn closed(status: u16) -> Action {
    Action::Respond(Response::status(status))
}

/// The condition of `monitor-uri`. None when the text is no path.
pub(crate) fn monitor(path: &str) -> Option<Condition> {
    let tests = Tests { exact: vec![path.to_owned()], ..Tests::default() };
    let condition = Condition::Test(Test::Path(PathTests { ignore_case: false, tests }));
    lint::path_start(path).then_some(condition)
}

/// `deny [status N] …` and its kin, which close the connection or keep it waiting; here all are answered.
pub(crate) fn deny(name: &str, line: &[Word], rest: &[Word], notes: &Notes) -> Option<Action> {
    let usual = if name == "tarpit" { 500 } else { 403 };
    let mut response = response(line, rest, usual, notes);
    if !(400..=599).contains(&response.status) {
        notes.not_supported(line, format!("a refusal has a status from 400 on; {usual} it is"));
        response.status = usual;
    }
    Some(Action::Respond(response))
}

/// `return [status N] [content-type T] [string S] [hdr NAME VALUE]…`
pub(crate) fn fixed(line: &[Word], rest: &[Word], notes: &Notes) -> Option<Action> {
    Some(Action::Respond(response(line, rest, 200, notes)))
}

fn response(line: &[Word], rest: &[Word], usual: u16, notes: &Notes) -> Response {
    let mut response = Response::status(usual);
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        let only = std::slice::from_ref(word);
        match word.text.as_str() {
            "status" | "deny_status" => match rest.next().and_then(|code| code.text.parse().ok()) {
                Some(code @ 200..=599) => response.status = code,
                _ => notes.error(only, "a status is a number from 200 to 599"),
            },
            "content-type" => {
                response
                    .headers
                    .extend(rest.next().map(|value| ("content-type".to_owned(), value.text.clone())));
            }
            "string" => response.body = rest.next().map(|text| text.text.clone()),
            "lf-string" => {
                let text = rest.next().map(|text| text.text.clone());
                if text.as_ref().is_some_and(|text| text.contains('%')) {
                    notes.not_supported(only, "the text is fixed: nothing of the request is put into it");
                }
                response.body = text;
            }
            "hdr" => match (rest.next(), rest.next()) {
                (Some(name), Some(value)) => {
                    response.headers.push((name.text.to_lowercase(), value.text.clone()))
                }
                _ => notes.error(only, "it needs a name and a value"),
            },
            "default-errorfiles" => {}
            "file" | "lf-file" | "errorfile" | "errorfiles" => {
                rest.next();
                notes.not_supported(only, "write the text into the route: `respond.body`");
            }
            _ => {
                notes.unknown(only, "word of an answer", ["status", "content-type", "string", "hdr", "file"])
            }
        }
    }
    let usable = |(name, value): &(String, String)| {
        lint::token(name)
            && lint::header_value(value)
            && !value.contains("%[")
            && lint::is_reserved(&name.to_ascii_lowercase()).is_none()
    };
    if !response.headers.iter().all(usable) {
        notes.not_supported(
            line,
            "a header of a fixed answer is a name and a fixed text, and none that frames it",
        );
        response.headers.retain(usable);
    }
    response
}

/// `redirect scheme|prefix|location TEXT [code N] [drop-query] …`
pub(crate) fn redirect(line: &[Word], words: &[Word], notes: &Notes) -> Option<Action> {
    let (mut target, mut status, mut drop_query) = (None, 302, false);
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let only = std::slice::from_ref(word);
        match word.text.as_str() {
            kind @ ("scheme" | "prefix" | "location") => {
                target = rest.next().map(|text| (kind, text.text.as_str()))
            }
            "code" => match rest.next().and_then(|code| code.text.parse().ok()) {
                Some(code @ (301 | 302 | 303 | 307 | 308)) => status = code,
                _ => notes.error(only, "the code of a redirection is 301, 302, 303, 307 or 308"),
            },
            "drop-query" => drop_query = true,
            "append-slash" | "ignore-empty" | "keep-query" => {
                notes.not_supported(only, "the target is a text with {host}, {path} and {query}");
            }
            "set-cookie" | "set-cookie-fmt" | "clear-cookie" => {
                rest.next();
                notes.not_supported(only, "a redirection sets no cookie");
            }
            _ => notes.unknown(
                only,
                "word of redirect",
                ["scheme", "prefix", "location", "code", "drop-query"],
            ),
        }
    }
    let Some((kind, text)) = target else {
        notes.error(line, "it needs scheme, prefix or location");
        return None;
    };
    let query = if drop_query { "" } else { "{query}" };
    let to = literal(text).map(|text| match kind {
        "scheme" => format!("{text}://{{authority}}{{path}}{query}"),
        // A prefix of `/` stands for none, or the path would have two.
        "prefix" => format!("{}{{path}}{query}", text.strip_suffix('/').unwrap_or(&text)),
        _ => text,
    });
    match to.filter(|to| lint::header_value(to) && !to.is_empty()) {
        Some(to) => Some(Action::Redirect { to, status }),
        None => {
            notes.not_supported(
                line,
                "a target is a text with {host}, {path} and {query}; the requests take the rules below",
            );
            None
        }
    }
}

/// A target with what HAProxy puts in, in plimsoll's form. None when there is something else in it.
fn literal(text: &str) -> Option<String> {
    const PARTS: [(&str, &str); 10] = [
        ("%[hdr(host)]", "{authority}"),
        ("%[req.hdr(host)]", "{authority}"),
        ("%[req.hdr(Host)]", "{authority}"),
        ("%[hdr(Host)]", "{authority}"),
        ("%[path]", "{path}"),
        ("%[capture.req.uri]", "{path}{query}"),
        ("%[url]", "{path}{query}"),
        ("%[pathq]", "{path}{query}"),
        ("%HU", "{path}{query}"),
        ("%HP", "{path}"),
    ];
    if text.contains(['{', '}']) {
        return None;
    }
    let mut out = text.to_owned();
    for (theirs, ours) in PARTS {
        out = out.replace(theirs, ours);
    }
    (!out.contains("%[")).then_some(out)
}
