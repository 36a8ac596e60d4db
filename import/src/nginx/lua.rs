//! The health checks of lua-resty-upstream-healthcheck: calls of `spawn_checker` with a table of options.

use super::upstream::Groups;
use crate::lint;
use crate::model::{Check, Health, HttpCheck};
use crate::note::{Kind, Notes};
use crate::span::Span;
use crate::word::{Place, Word};

/// The library's defaults.
const INTERVAL: u64 = 1000;
const TIMEOUT: u64 = 1000;
const FALL: u64 = 5;
const RISE: u64 = 2;

/// An option of the table.
#[derive(Debug, PartialEq)]
struct Choice {
    key: Word,
    value: Value,
}

#[derive(Debug, PartialEq)]
enum Value {
    Text(String),
    Number(u64),
    List(Vec<u64>),
    Other,
}

/// Whether a block of Lua shows the states of backends, as `/check` of plimsoll does.
pub(crate) fn shows_status(lua: &Word) -> bool {
    lua.text.contains("status_page")
}

/// Gives the checks that a block starts to their upstreams. False when it starts none.
pub(crate) fn checks(lua: &Word, groups: &mut Groups, notes: &Notes) -> bool {
    let code = Code::new(lua);
    let mut found = false;
    let mut from = 0;
    while let Some(at) = code.find("spawn_checker", from) {
        from = at + "spawn_checker".len();
        let Some(choices) = code.table(from) else { continue };
        found = true;
        let place = code.place(at);
        checker(&choices, place, groups, notes);
    }
    found
}

/// A call while its options are read.
struct Checker {
    group: Option<(Word, String)>,
    is_http: bool,
    http: HttpCheck,
    /// In milliseconds.
    interval: u64,
    timeout: u64,
    rise: u64,
    fall: u64,
}

impl Checker {
    fn choose(&mut self, Choice { key, value }: &Choice, notes: &Notes) {
        let only = std::slice::from_ref(key);
        let mapped = |name: &str| notes.mapped(only, format!("upstreams.*.health.{name}"));
        match (key.text.as_str(), value) {
            ("upstream", Value::Text(name)) => {
                mapped("http, of this upstream");
                self.group = Some((key.clone(), name.clone()));
            }
            ("type", Value::Text(kind)) => match kind.as_str() {
                "http" => mapped("http"),
                "tcp" => {
                    mapped("tcp");
                    self.is_http = false;
                }
                _ => {
                    self.is_http = false;
                    notes.not_supported(only, "TLS is not spoken to backends: a check connects and closes");
                }
            },
            ("http_req", Value::Text(text)) => {
                mapped("http");
                let status = std::mem::take(&mut self.http.status);
                self.http = HttpCheck { status, ..request(text, only, notes) };
            }
            (name @ ("interval" | "timeout" | "fall" | "rise"), Value::Number(number)) => {
                mapped(name);
                match name {
                    "interval" => self.interval = *number,
                    "timeout" => self.timeout = *number,
                    "fall" => self.fall = *number,
                    _ => self.rise = *number,
                }
            }
            ("valid_statuses", Value::List(codes)) => {
                mapped("http.status");
                let codes = codes.iter().filter(|code| (200..=599).contains(*code));
                self.http.status = codes.map(u64::to_string).collect();
            }
            ("port", Value::Number(_)) => {
                notes.not_supported(only, "checks go to the address of the traffic");
            }
            ("shm" | "concurrency" | "ssl_verify" | "ssl_reuse_session" | "host" | "port", _) => {
                notes.not_needed(only, "each backend is checked by itself, within the process");
            }
            _ => notes.unknown(only, "option of spawn_checker", ["upstream", "type", "http_req", "interval"]),
        }
    }

    fn health(mut self) -> Health {
        // Without a list of codes any answer will do.
        if self.http.status.is_empty() {
            self.http.status.push("200-599".to_owned());
        }
        let interval = self.interval.max(2);
        Health {
            check: if self.is_http { Check::Http(self.http) } else { Check::Tcp },
            interval: Some(Span::milliseconds(interval)),
            timeout: Some(Span::milliseconds(self.timeout.clamp(1, interval))),
            rise: Some(self.rise.clamp(1, 1000)),
            fall: Some(self.fall.clamp(1, 1000)),
            ..Health::default()
        }
    }
}

fn checker(choices: &[Choice], place: Place, groups: &mut Groups, notes: &Notes) {
    let http = HttpCheck::default();
    let mut checker = Checker {
        group: None,
        is_http: true,
        http,
        interval: INTERVAL,
        timeout: TIMEOUT,
        rise: RISE,
        fall: FALL,
    };
    choices.iter().for_each(|choice| checker.choose(choice, notes));
    let Some((key, name)) = checker.group.take() else {
        return notes.add_at(place, Kind::Error, "spawn_checker", "it names no upstream");
    };
    match groups.find(&name) {
        Some(group) => {
            group.health = Some(checker.health());
            notes.add_at(place, Kind::Mapped, "spawn_checker", format!("upstreams.{name}.health"));
        }
        None => {
            let what = format!("there is no upstream `{name}` in this file");
            notes.error(std::slice::from_ref(&key), what);
        }
    }
}

/// `GET /status HTTP/1.0\r\nHost: foo\r\n\r\n`
fn request(text: &str, only: &[Word], notes: &Notes) -> HttpCheck {
    let mut check = HttpCheck::default();
    let mut lines = text.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    check.method = words.next().filter(|method| lint::method(method)).map(str::to_owned);
    check.path = words.next().filter(|path| lint::check_path(path)).map(str::to_owned);
    for header in lines.filter(|line| !line.is_empty()) {
        match header.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("host") && lint::check_host(value.trim()) => {
                check.host = Some(value.trim().to_owned());
            }
            Some((name, _)) if name.eq_ignore_ascii_case("connection") => {}
            _ => notes.not_supported(only, "a check sends no headers but Host"),
        }
    }
    check
}

/// A block of Lua with its comments blanked out, so that what is left stands where it stood.
struct Code {
    text: Vec<char>,
    start: Place,
}

impl Code {
    fn new(lua: &Word) -> Self {
        let mut text: Vec<char> = lua.text.chars().collect();
        let mut at = 0;
        while at < text.len() {
            match text[at] {
                quote @ ('"' | '\'') => {
                    at += 1;
                    while at < text.len() && text[at] != quote {
                        at += if text[at] == '\\' { 2 } else { 1 };
                    }
                    at += 1;
                }
                '-' if text.get(at + 1) == Some(&'-') => {
                    while at < text.len() && text[at] != '\n' {
                        text[at] = ' ';
                        at += 1;
                    }
                }
                _ => at += 1,
            }
        }
        Self { text, start: lua.place }
    }

    fn find(&self, word: &str, from: usize) -> Option<usize> {
        let word: Vec<char> = word.chars().collect();
        let rest = self.text.get(from..)?;
        rest.windows(word.len()).position(|window| window == word).map(|at| from + at)
    }

    fn place(&self, at: usize) -> Place {
        let before = &self.text[..at.min(self.text.len())];
        let lines = before.iter().filter(|c| **c == '\n').count();
        let column = before.iter().rev().take_while(|c| **c != '\n').count();
        if lines == 0 {
            Place { line: self.start.line, column: self.start.column + column }
        } else {
            Place { line: self.start.line + lines, column: column + 1 }
        }
    }

    fn skip(&self, mut at: usize, what: &str) -> usize {
        while self.text.get(at).is_some_and(|c| c.is_whitespace() || what.contains(*c)) {
            at += 1;
        }
        at
    }

    /// Reads `{ key = value, … }`. None when there is none.
    fn table(&self, from: usize) -> Option<Vec<Choice>> {
        let mut at = self.skip(from, "(");
        if self.text.get(at) != Some(&'{') {
            return None;
        }
        at += 1;
        let mut choices = Vec::new();
        loop {
            at = self.skip(at, ",;");
            let start = at;
            while self.text.get(at).is_some_and(|c| c.is_ascii_alphanumeric() || *c == '_') {
                at += 1;
            }
            if at == start {
                return Some(choices);
            }
            let text: String = self.text[start..at].iter().collect();
            let key = Word { text, place: self.place(start) };
            at = self.skip(at, "");
            if self.text.get(at) != Some(&'=') {
                return Some(choices);
            }
            let (value, after) = self.value(self.skip(at + 1, ""));
            choices.push(Choice { key, value });
            at = after;
        }
    }

    fn value(&self, at: usize) -> (Value, usize) {
        match self.text.get(at) {
            Some(quote @ ('"' | '\'')) => self.string(at + 1, *quote),
            Some('{') => {
                let end = (at..self.text.len()).find(|at| self.text[*at] == '}').unwrap_or(self.text.len());
                let inner: String = self.text[at + 1..end].iter().collect();
                let numbers = inner.split(',').filter_map(|part| part.trim().parse().ok()).collect();
                (Value::List(numbers), end + 1)
            }
            _ => {
                let ends = |c: &char| matches!(c, ',' | ';' | '}' | '\n');
                let end = (at..self.text.len()).find(|at| ends(&self.text[*at])).unwrap_or(self.text.len());
                let text: String = self.text[at.min(end)..end].iter().collect();
                (text.trim().parse().map_or(Value::Other, Value::Number), end)
            }
        }
    }

    fn string(&self, mut at: usize, quote: char) -> (Value, usize) {
        let mut text = String::new();
        while let Some(c) = self.text.get(at).filter(|c| **c != quote) {
            at += 1;
            if *c != '\\' {
                text.push(*c);
                continue;
            }
            text.extend(self.text.get(at).map(|escaped| match escaped {
                'r' => '\r',
                'n' => '\n',
                't' => '\t',
                other => *other,
            }));
            at += 1;
        }
        (Value::Text(text), at + 1)
    }
}
