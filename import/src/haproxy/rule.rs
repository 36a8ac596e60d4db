//! Rules of a section, in their order: what is refused, redirected or answered, and which backend gets the rest.

mod answer;
mod headers;

pub(crate) use headers::{Change, HeaderRule};

use super::acl::Acls;
use crate::condition::Condition;
use crate::model::Action;
use crate::note::Notes;
use crate::table;
use crate::word::Word;

/// A rule that decides about requests.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) line: Vec<Word>,
    pub(crate) condition: Condition,
    pub(crate) what: What,
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    /// The balancer answers by itself.
    Answer(Action),
    /// The backend of this name answers.
    Backend(Word),
}

/// Rules while they are read.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// In the order in which HAProxy looks at them: requests first, then old redirections, then backends.
    pub(crate) request: Vec<Rule>,
    pub(crate) redirect: Vec<Rule>,
    pub(crate) backend: Vec<Rule>,
    /// What changes header fields of requests and of answers, in their order.
    pub(crate) request_headers: Vec<HeaderRule>,
    pub(crate) response_headers: Vec<HeaderRule>,
    /// What `http-request allow` took out of the rules below it.
    allowed: Vec<Condition>,
    /// Whether it shows metrics to Prometheus.
    pub(crate) shows_metrics: bool,
    /// The Host that backends read.
    pub(crate) host_header: Option<String>,
}

impl Rules {
    /// All rules in the order in which they decide.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = &Rule> {
        self.request.iter().chain(&self.redirect).chain(&self.backend)
    }

    /// Reads `use_backend NAME [if|unless …]`.
    pub(crate) fn use_backend(&mut self, line: &[Word], acls: &Acls, notes: &Notes) {
        let [_, name, condition @ ..] = line else {
            return notes.error(line, "it needs the name of a backend");
        };
        let Ok(condition) = acls.condition(condition, notes) else { return };
        if name.text.contains("%[") {
            let why = "a name made from a request is not looked up; write a route for each name";
            return notes.not_supported(line, why);
        }
        self.backend.push(Rule { line: line.to_vec(), condition, what: What::Backend(name.clone()) });
    }

    /// Reads `redirect …`, as it was written before `http-request`.
    pub(crate) fn redirect(&mut self, line: &[Word], acls: &Acls, notes: &Notes) {
        let (words, condition) = parted(&line[1..]);
        let Ok(condition) = acls.condition(condition, notes) else { return };
        if let Some(action) = answer::redirect(line, words, notes) {
            self.redirect.push(Rule { line: line.to_vec(), condition, what: What::Answer(action) });
        }
    }

    /// Reads `monitor-uri PATH`, which answers before all rules.
    pub(crate) fn monitor_uri(&mut self, line: &[Word], notes: &Notes) {
        match line.get(1).and_then(|path| answer::monitor(&path.text)) {
            Some(condition) => {
                let what = What::Answer(Action::Respond(crate::model::Response::status(200)));
                self.request.insert(0, Rule { line: line.to_vec(), condition, what });
            }
            None => notes.error(line, "it needs a path"),
        }
    }

    /// Reads `http-request ACTION … [if|unless …]`.
    pub(crate) fn http_request(&mut self, line: &[Word], acls: &Acls, notes: &Notes) {
        let (words, condition) = parted(&line[1..]);
        let [action, rest @ ..] = words else {
            return notes.error(line, "it needs an action");
        };
        let (name, _) = super::balance::call(&action.text);
        let Ok(condition) = acls.condition(condition, notes) else { return };
        let answer = match name {
            "allow" => {
                self.allow(line, condition, notes);
                return;
            }
            "deny" | "tarpit" | "reject" | "silent-drop" => answer::deny(name, line, rest, notes),
            "auth" => {
                notes.not_supported(line, "plimsoll asks nobody for a password; let the application ask");
                Some(answer::closed(401))
            }
            "redirect" => answer::redirect(line, rest, notes),
            "return" => answer::fixed(line, rest, notes),
            "use-service" => {
                self.shows_metrics = true;
                notes.not_needed(line, "/metrics is at `admin.address`");
                None
            }
            "set-header" | "add-header" | "del-header" => {
                self.header(name, line, rest, condition, notes);
                return;
            }
            _ => {
                other(name, line, words, notes);
                None
            }
        };
        let Some(action) = answer else { return };
        let Some(condition) = kept_closed(line, condition, &action, notes) else { return };
        let allowed = self.allowed.iter().cloned().map(Condition::negated);
        let condition = Condition::all(std::iter::once(condition).chain(allowed));
        self.request.push(Rule { line: line.to_vec(), condition, what: What::Answer(action) });
    }

    /// Reads `tcp-request connection|content|session accept|reject …`: who is refused stays refused.
    pub(crate) fn tcp_request(&mut self, line: &[Word], acls: &Acls, notes: &Notes) {
        let action = match line {
            [_, when, action, ..] if ["connection", "content", "session"].contains(&when.text.as_str()) => {
                match action.text.as_str() {
                    "accept" => "allow",
                    "reject" | "silent-drop" => "deny",
                    _ => "",
                }
            }
            _ => "",
        };
        if action.is_empty() {
            table::tell(super::words::PROXY, line, notes);
            return;
        }
        let action = Word { text: action.to_owned(), place: line[0].place };
        let words: Vec<Word> = line[..1].iter().chain([&action]).chain(&line[3..]).cloned().collect();
        self.http_request(&words, acls, notes);
    }

    /// Whether a rule refuses, so that nothing may be relayed past it.
    pub(crate) fn refuses(&self) -> bool {
        let is_refusal = |rule: &Rule| matches!(&rule.what, What::Answer(Action::Respond(response)) if response.status >= 400);
        self.request.iter().any(is_refusal)
    }

    fn allow(&mut self, line: &[Word], condition: Condition, notes: &Notes) {
        match condition.unknown() {
            Some(what) => notes.not_supported(
                line,
                format!("{what} cannot be asked of a request: nobody is let past the rules below"),
            ),
            None => notes.mapped(line, "routes[].match.not of the rules below"),
        }
        self.allowed.push(condition.closed());
    }

    /// Reads `http-response ACTION …`.
    pub(crate) fn http_response(&mut self, line: &[Word], notes: &Notes) {
        let (words, condition) = parted(&line[1..]);
        match words {
            [] => notes.error(line, "it needs an action"),
            [action, rest @ ..]
                if ["set-header", "add-header", "del-header"].contains(&action.text.as_str()) =>
            {
                if !condition.is_empty() {
                    let why = "what is done to an answer depends on its route alone: write a route for the condition";
                    return notes.not_supported(line, why);
                }
                if let Some(change) = headers::change(&action.text, line, rest, headers::Side::Answer, notes)
                {
                    let condition = Condition::Always;
                    notes.mapped(line, format!("routes[].response_headers.{}", change.key()));
                    self.response_headers.push(HeaderRule { line: line.to_vec(), condition, change });
                }
            }
            _ => notes.not_supported(
                line,
                "answers are passed on as they come, but for header fields that are set, added or removed",
            ),
        }
    }

    fn header(&mut self, action: &str, line: &[Word], rest: &[Word], condition: Condition, notes: &Notes) {
        let fixed_host = |value: &&Word| !value.text.contains('%') && crate::lint::header_value(&value.text);
        let is_host = rest.first().is_some_and(|name| name.text.eq_ignore_ascii_case("host"));
        let host = rest.get(1).filter(fixed_host).filter(|_| is_host && action == "set-header");
        if let (Some(host), Condition::Always) = (host, &condition) {
            self.host_header = Some(host.text.clone());
            return notes.mapped(line, "upstreams.*.host_header");
        }
        if let Some(what) = condition.unknown() {
            let text = format!("{what} cannot be asked of a request: the header is left as it is");
            return notes.not_supported(line, text);
        }
        let Some(change) = headers::change(action, line, rest, headers::Side::Request, notes) else { return };
        let allowed = self.allowed.iter().cloned().map(Condition::negated);
        let condition = Condition::all(std::iter::once(condition).chain(allowed));
        if condition == Condition::Never {
            return notes.not_needed(line, "its condition never holds here");
        }
        notes.mapped(line, format!("routes[].request_headers.{}", change.key()));
        self.request_headers.push(HeaderRule { line: line.to_vec(), condition, change });
    }
}

/// The condition of an answer: one that refuses stays closed where a test cannot be asked, since it would reach nobody
/// else. None, with a note, when nobody is left whom it could refuse.
fn kept_closed(line: &[Word], condition: Condition, action: &Action, notes: &Notes) -> Option<Condition> {
    let refuses = matches!(action, Action::Respond(response) if response.status >= 400);
    let Some(what) = condition.unknown().filter(|_| refuses).map(str::to_owned) else {
        return Some(condition);
    };
    let closed = condition.closed();
    let effect = match &closed {
        Condition::Never => "nobody is refused by it: let a firewall do it",
        Condition::Always => {
            "everybody is refused by it, so that nothing is opened: remove the route when a firewall or the \
             application decides"
        }
        _ => {
            "whoever meets its other tests is refused by it, so that nothing is opened: remove the route when a \
             firewall or the application decides"
        }
    };
    notes.not_supported(line, format!("{what} cannot be asked of a request; {effect}"));
    (closed != Condition::Never).then_some(closed)
}

/// Parts a rule into its action and its condition.
fn parted(words: &[Word]) -> (&[Word], &[Word]) {
    let at = words.iter().position(|word| word.is("if") || word.is("unless")).unwrap_or(words.len());
    words.split_at(at)
}

const ACTIONS: [&str; 24] = [
    "allow",
    "deny",
    "tarpit",
    "reject",
    "silent-drop",
    "auth",
    "redirect",
    "return",
    "use-service",
    "set-header",
    "add-header",
    "del-header",
    "replace-header",
    "replace-value",
    "set-path",
    "replace-path",
    "set-uri",
    "replace-uri",
    "set-query",
    "set-method",
    "set-var",
    "track-sc0",
    "capture",
    "lua",
];

/// What to do instead of actions that begin like this.
#[rustfmt::skip] // one line per row, so that it reads as the table it is
const OTHERS: &[(&str, &str)] = &[
    ("replace-header replace-value set-cookie early-hint", "header fields are set, added and removed, not edited; let the application do it"),
    ("set-path replace-path set-pathq replace-pathq set-uri replace-uri set-query set-method normalize-uri", "requests are passed on as they came; let the application take the path as it is"),
    ("track-sc sc-", "nothing is counted per client; use nftables or the application"),
    ("set-log-level capture", "the access log has its fields: `telemetry.access_log`"),
    ("set-src set-dst", "the client is whoever connects, or whom a proxy of `forwarded.trust` names"),
    ("lua. set-var unset-var add-acl del-acl set-map del-map do-resolve do-log cache-use send-spoe-group strict-mode", "there is no such action; do it in the application"),
    ("set-priority set-nice set-tos set-mark set-fc set-bc set-timeout set-bandwidth-limit set-retries wait-for disable-l7-retry pause", "there is no such action; keys of the upstream say it for all its requests"),
];

/// Notes an action that decides nothing about where a request goes.
fn other(name: &str, line: &[Word], words: &[Word], notes: &Notes) {
    let begins = |beginnings: &str| beginnings.split(' ').any(|beginning| name.starts_with(beginning));
    match OTHERS.iter().find(|(beginnings, _)| begins(beginnings)) {
        Some((_, why)) => notes.not_supported(line, *why),
        None => notes.unknown(words, "action of http-request", ACTIONS),
    }
}
