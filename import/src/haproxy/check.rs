//! Health checks: `option httpchk`, `http-check`, and the options for other protocols.

use crate::lint;
use crate::model::{Check, HttpCheck};
use crate::note::Notes;
use crate::word::Word;

/// What a check does, as the section says.
#[derive(Debug, Clone, Default)]
pub(crate) struct CheckSettings {
    /// Whether a check sends a request, rather than connects only.
    by_http: bool,
    http: HttpCheck,
}

impl CheckSettings {
    pub(crate) fn check(&self) -> Check {
        if self.by_http { Check::Http(self.http.clone()) } else { Check::Tcp }
    }

    pub(crate) fn is_http(&self) -> bool {
        self.by_http
    }

    /// Reads one of the options that say what a check does.
    pub(crate) fn option(&mut self, line: &[Word], rest: &[Word], off: bool, notes: &Notes) {
        let [name, arguments @ ..] = rest else { return };
        match name.text.as_str() {
            _ if off => {
                self.by_http = false;
                notes.mapped(line, "upstreams.*.health.tcp");
            }
            "httpchk" => self.httpchk(line, arguments, notes),
            "tcp-check" => {
                self.by_http = false;
                notes.mapped(line, "upstreams.*.health.tcp: a check connects and closes");
            }
            _ => {
                self.by_http = false;
                notes.not_supported(
                    line,
                    "a check connects and closes: upstreams.*.health.tcp; the protocol is not spoken",
                );
            }
        }
    }

    /// `option httpchk`: nothing, a path, a method and a path, or these and a version. Old files hide headers in it.
    fn httpchk(&mut self, line: &[Word], arguments: &[Word], notes: &Notes) {
        let (method, path, version) = match arguments {
            [] => (None, None, None),
            [path] => (None, Some(path), None),
            [method, path, rest @ ..] => (Some(method), Some(path), Some(joined_raw(rest))),
        };
        let mut check = std::mem::take(&mut self.http);
        check.method = Some(method.map_or("OPTIONS", |word| word.text.as_str()).to_owned());
        check.path = path.map(|word| word.text.clone());
        let headers = version.unwrap_or_default();
        for header in headers.split("\r\n").skip(1).filter(|header| !header.is_empty()) {
            match header.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("host") => {
                    check.host = Some(value.trim().to_owned());
                }
                _ => notes
                    .not_supported(line, "a check sends no headers but Host: upstreams.*.health.http.host"),
            }
        }
        notes.mapped(line, "upstreams.*.health.http");
        self.http = checked(check, line, notes);
        self.by_http = true;
    }

    pub(crate) fn http_check(&mut self, line: &[Word], rest: &[Word], notes: &Notes) {
        let [action, words @ ..] = rest else {
            return notes.error(line, "it needs an action: send, expect …");
        };
        match action.text.as_str() {
            "send" => self.send(line, words, notes),
            "expect" => self.expect(line, words, notes),
            "disable-on-404" => {
                notes.not_supported(
                    line,
                    "a check that is answered 503 with Retry-After drains the \
                    backend, and 404 means unhealthy only",
                );
            }
            "send-state" => notes.not_needed(line, "backends are not told of each other"),
            "comment" => notes.not_needed(line, "say it in a comment"),
            "connect" | "set-var" | "set-var-fmt" | "unset-var" => {
                notes.not_supported(line, "a check is one request to the address of the backend");
            }
            _ => notes.unknown(
                rest,
                "action of http-check",
                ["send", "expect", "connect", "disable-on-404", "send-state"],
            ),
        }
    }

    /// `http-check send [meth M] [uri U] [ver V] [hdr NAME VALUE]… [body …]`
    fn send(&mut self, line: &[Word], words: &[Word], notes: &Notes) {
        let mut check = std::mem::take(&mut self.http);
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let only = std::slice::from_ref(word);
            match word.text.as_str() {
                "meth" => check.method = rest.next().map(|word| word.text.clone()),
                "uri" => check.path = rest.next().map(|word| word.text.clone()),
                "ver" => {
                    rest.next();
                }
                "hdr" => match (rest.next(), rest.next()) {
                    (Some(name), Some(value)) if name.text.eq_ignore_ascii_case("host") => {
                        check.host = Some(value.text.clone());
                    }
                    _ => notes.not_supported(
                        only,
                        "a check sends no headers but Host: upstreams.*.health.http.host",
                    ),
                },
                "uri-lf" | "body" | "body-lf" => {
                    rest.next();
                    notes.not_supported(only, "a check sends a fixed path and no body");
                }
                _ => notes.unknown(only, "word of http-check send", ["meth", "uri", "ver", "hdr", "body"]),
            }
        }
        notes.mapped(line, "upstreams.*.health.http");
        self.http = checked(check, line, notes);
    }

    /// `http-check expect [options] [!] status|rstatus|string|rstring|hdr|fhdr PATTERN`
    fn expect(&mut self, line: &[Word], words: &[Word], notes: &Notes) {
        let options = [
            "min-recv",
            "ok-status",
            "error-status",
            "tout-status",
            "on-success",
            "on-error",
            "status-code",
            "comment",
        ];
        let mut words = words;
        while let [name, _, rest @ ..] = words
            && options.contains(&name.text.as_str())
        {
            notes.not_needed(
                std::slice::from_ref(name),
                "the reason of a failed check is told in plimsoll's own words",
            );
            words = rest;
        }
        let negated = words.first().is_some_and(|word| word.is("!"));
        let words = if negated { &words[1..] } else { words };
        let pattern = joined_raw(words.get(1..).unwrap_or_default());
        let kind = words.first().map_or("", |word| word.text.as_str());
        let codes = if negated { None } else { codes(kind, &pattern) };
        let check = &mut self.http;
        match (kind, codes) {
            ("status" | "rstatus", Some(codes)) => {
                check.status = codes;
                notes.mapped(line, "upstreams.*.health.http.status");
            }
            ("string", _) if !negated && !pattern.is_empty() => {
                check.body = Some(pattern);
                notes.mapped(line, "upstreams.*.health.http.body");
            }
            ("status" | "rstatus" | "string" | "rstring" | "hdr" | "fhdr", _) => {
                notes.not_supported(
                    line,
                    "an answer is judged by codes and a text in its body: \
                    upstreams.*.health.http.status and .body",
                );
            }
            _ => notes.unknown(words, "thing to expect", ["status", "rstatus", "string", "rstring"]),
        }
    }
}

/// The codes that a list or a simple expression means, as plimsoll writes them: `2..` is 200-299.
fn codes(kind: &str, pattern: &str) -> Option<Vec<String>> {
    let final_code = |text: &str| text.parse::<u16>().ok().filter(|code| (200..=599).contains(code));
    if kind == "status" {
        let one = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            (final_code(first)? <= final_code(last)?).then(|| part.to_owned())
        };
        return pattern.split(',').map(str::trim).map(one).collect();
    }
    let bare = pattern.trim_start_matches('^').trim_end_matches('$');
    let bare = bare.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(bare);
    let one = |part: &str| match part.as_bytes() {
        [class @ b'2'..=b'5', rest @ ..]
            if [&b".."[..], b"[0-9][0-9]", b"[0-9]{2}", b"\\d\\d", b"xx", b""].contains(&rest) =>
        {
            Some(format!("{0}00-{0}99", char::from(*class)))
        }
        _ => final_code(part).map(|code| code.to_string()),
    };
    bare.split('|').map(one).collect()
}

/// A check with what plimsoll would refuse taken out of it.
fn checked(mut check: HttpCheck, line: &[Word], notes: &Notes) -> HttpCheck {
    if check.path.as_ref().is_some_and(|path| !lint::check_path(path)) {
        notes.not_supported(line, "the path of a check begins with `/` and has no spaces; `/` is asked for");
        check.path = None;
    }
    if check.host.as_ref().is_some_and(|host| !lint::check_host(host)) {
        notes.not_supported(line, "the Host of a check is a fixed name; the backend's address is sent");
        check.host = None;
    }
    if check.method.as_ref().is_some_and(|method| !lint::method(method)) {
        notes.not_supported(line, "this is no method; GET is sent");
        check.method = None;
    }
    check
}

fn joined_raw(words: &[Word]) -> String {
    words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
}
