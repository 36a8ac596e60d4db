//! `http-request` and `http-response` that change header fields.

use crate::condition::Condition;
use crate::lint;
use crate::model::Headers;
use crate::note::Notes;
use crate::word::Word;

/// A rule that changes header fields.
#[derive(Debug)]
pub(crate) struct HeaderRule {
    pub(crate) line: Vec<Word>,
    pub(crate) condition: Condition,
    pub(crate) change: Change,
}

/// What is done to a field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    Set(String, String),
    Add(String, String),
    Remove(String),
}

impl Change {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Set(name, _) | Self::Add(name, _) | Self::Remove(name) => name,
        }
    }

    /// Does it to what came of the rules before it.
    pub(crate) fn apply(&self, headers: &mut Headers) {
        match self {
            Self::Set(name, value) => headers.set(name, value),
            Self::Add(name, value) => headers.add.push((name.clone(), value.clone())),
            Self::Remove(name) => headers.remove(name),
        }
    }
}

/// Which values the texts of a rule may hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Side {
    Request,
    Answer,
}

/// Reads `set-header`, `add-header` and `del-header`. None, with a note, when plimsoll cannot do it.
pub(crate) fn change(
    action: &str,
    line: &[Word],
    rest: &[Word],
    side: Side,
    notes: &Notes,
) -> Option<Change> {
    let Some(name) = rest.first().map(|name| name.text.to_ascii_lowercase()) else {
        notes.error(line, "it needs the name of a header");
        return None;
    };
    if !lint::token(&name) {
        notes.not_supported(line, "the name of a header is a fixed text");
        return None;
    }
    if let Some(why) = lint::is_reserved(&name) {
        notes.not_supported(line, why);
        return None;
    }
    if action == "del-header" {
        let exact = match rest.get(1).map(|word| word.text.as_str()) {
            None => true,
            Some("-m") => rest.get(2).is_some_and(|how| how.text == "str"),
            Some(_) => false,
        };
        if !exact {
            notes.not_supported(line, "fields are removed by their whole name: write a line for each");
            return None;
        }
        return Some(Change::Remove(name));
    }
    let Some(text) = rest.get(1) else {
        notes.error(line, "it needs a name and a value");
        return None;
    };
    let value = value(&text.text, side).filter(|value| lint::header_value(value));
    match value {
        Some(value) if action == "set-header" => Some(Change::Set(name, value)),
        Some(value) => Some(Change::Add(name, value)),
        None if name == "x-request-id" => {
            notes.not_needed(line, "each request gets an x-request-id");
            None
        }
        None => {
            notes.not_supported(
                line,
                "a value is a text with {host}, {authority}, {path}, {query}, {client} and, in answers, {backend}: \
                 let the application write it",
            );
            None
        }
    }
}

/// A text in HAProxy's log format in plimsoll's form. None when something in it has no counterpart.
fn value(text: &str, side: Side) -> Option<String> {
    if text.contains(['{', '}']) {
        return None;
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        if let Some(tail) = after.strip_prefix('%') {
            out.push('%');
            rest = tail;
            continue;
        }
        let (part, tail) = match after.strip_prefix('[') {
            Some(sample) => {
                let (sample, tail) = sample.split_once(']')?;
                (of_sample(sample, side)?, tail)
            }
            None => {
                let length = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
                let (name, tail) = after.split_at(length);
                (of_alias(name, side)?, tail)
            }
        };
        out.push_str(part);
        rest = tail;
    }
    out.push_str(rest);
    Some(out)
}

fn of_sample(sample: &str, side: Side) -> Option<&'static str> {
    Some(match sample.to_ascii_lowercase().as_str() {
        "src" => "{client}",
        "hdr(host)" | "req.hdr(host)" | "req.fhdr(host)" => "{authority}",
        "hdr(host),field(1,:)"
        | "req.hdr(host),field(1,:)"
        | "req.hdr(host),host_only"
        | "hdr(host),host_only" => "{host}",
        "path" | "capture.req.path" => "{path}",
        "url" | "pathq" | "capture.req.uri" => "{path}{query}",
        "srv_name" if side == Side::Answer => "{backend}",
        _ => return None,
    })
}

fn of_alias(name: &str, side: Side) -> Option<&'static str> {
    Some(match name {
        "ci" => "{client}",
        "HP" => "{path}",
        "HU" | "HPO" => "{path}{query}",
        "s" if side == Side::Answer => "{backend}",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_what_they_put_in() {
        for (theirs, ours) in [
            ("plain text", Some("plain text")),
            ("100%%", Some("100%")),
            ("%[src]", Some("{client}")),
            ("%ci:x", Some("{client}:x")),
            ("https://%[hdr(Host)]%[path]", Some("https://{authority}{path}")),
            ("%[unique-id]", None),
            ("%[src", None),
            ("%s", None),
            ("{host}", None),
        ] {
            assert_eq!(value(theirs, Side::Request).as_deref(), ours, "{theirs}");
        }
        assert_eq!(value("%s", Side::Answer).as_deref(), Some("{backend}"));
    }
}
