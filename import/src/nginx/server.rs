//! Blocks `server` of `http`: what each does with requests, in the order in which it is decided.

use super::action;
use super::headers;
use super::listen::{self, Listen};
use super::location::{self, How, Location};
use super::lua;
use super::settings::Settings;
use super::tree::{Block, Directive};
use super::upstream::Groups;
use super::variable;
use super::words;
use crate::condition::{Condition, Test};
use crate::lint;
use crate::model::{Action, FieldTest, Headers, PathTests, Response, Tests};
use crate::note::Notes;
use crate::word::joined;

/// A server with what its block says.
#[derive(Debug)]
pub(crate) struct Server<'a> {
    pub(crate) directive: &'a Directive,
    pub(crate) listens: Vec<Listen>,
    /// What its names ask of the Host, the most particular first. Empty for a server that has no name.
    pub(crate) hosts: Vec<(Rank, Condition)>,
    pub(crate) name: Option<String>,
    pub(crate) settings: Settings,
    pub(crate) rules: Vec<Rule>,
    /// Whether backends are told of clients.
    pub(crate) tells_client: bool,
    /// Redirections of a path to the location that is the same but for a slash. They come before all but exact
    /// locations, with which they have no path in common.
    slashes: Vec<Rule>,
}

/// In which order nginx looks at names: exact ones, wildcards in front, wildcards behind, expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Exact,
    Front,
    Behind,
    Regex,
}

/// What becomes of requests that meet a condition.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) wanted: String,
    pub(crate) about: String,
    pub(crate) condition: Condition,
    pub(crate) action: Action,
    pub(crate) idempotent: bool,
    pub(crate) request_headers: Headers,
    pub(crate) response_headers: Headers,
}

impl<'a> Server<'a> {
    /// Reads what does not depend on other servers.
    pub(crate) fn read(directive: &'a Directive, outer: &Settings, notes: &Notes) -> Self {
        let block = directive.inner();
        let mut listens = Vec::new();
        let mut says_where = false;
        let mut server = Self {
            directive,
            listens: Vec::new(),
            hosts: Vec::new(),
            name: None,
            settings: outer.within(block, notes),
            rules: Vec::new(),
            tells_client: false,
            slashes: Vec::new(),
        };
        for directive in block {
            match directive.name() {
                "listen" => {
                    says_where = true;
                    listens.extend(listen::read(directive, notes));
                }
                "server_name" => server.names(directive, notes),
                "location" | "return" | "if" => {}
                name if Settings::knows(name) => {}
                _ => super::other(words::HTTP, directive, notes),
            }
        }
        if !says_where {
            listens.push(listen::usual(&directive.words));
        }
        server.listens = listen::without_tls(listens, notes);
        server
    }

    fn names(&mut self, directive: &Directive, notes: &Notes) {
        let mut exact = Vec::new();
        let mut front = Vec::new();
        for word in directive.arguments() {
            let text = word.text.as_str();
            if matches!(text, "_" | "" | "localhost." | "--") {
                continue;
            }
            if let Some(regex) = text.strip_prefix('~') {
                self.by_header(Rank::Regex, &format!("(?i){regex}"), word, notes);
            } else if let Some(domain) = text.strip_prefix('.') {
                exact.extend(lint::host_pattern(domain));
                front.extend(lint::host_pattern(&format!("*.{domain}")));
            } else if let Some(name) = text.strip_suffix(".*") {
                self.by_header(Rank::Behind, &format!("(?i)^{}\\.", regex::escape(name)), word, notes);
            } else {
                match lint::host_pattern(text) {
                    Some(host) if host.starts_with("*.") => front.push(host),
                    Some(host) => exact.push(host),
                    None => notes.not_supported(
                        std::slice::from_ref(word),
                        "this is no host that a request could ask for",
                    ),
                }
            }
        }
        self.name = self.name.take().or_else(|| exact.first().cloned());
        for (rank, hosts) in [(Rank::Exact, exact), (Rank::Front, front)] {
            if !hosts.is_empty() {
                self.hosts.push((rank, Condition::Test(Test::Host(hosts))));
            }
        }
        notes.mapped(&directive.words, "routes[].match.host, where several servers share a listener");
    }

    fn by_header(&mut self, rank: Rank, regex: &str, word: &crate::word::Word, notes: &Notes) {
        if lint::regex(regex) {
            let tests = Tests { regex: vec![regex.to_owned()], ..Tests::default() };
            self.hosts.push((rank, Condition::Test(Test::Header("host".to_owned(), FieldTest::Any(tests)))));
        } else {
            notes.not_supported(
                std::slice::from_ref(word),
                "plimsoll has no such expression: look-around and back references are missing",
            );
        }
    }

    /// Reads what the server does with requests.
    pub(crate) fn decide(&mut self, groups: &mut Groups, notes: &Notes) {
        let tls = self.listens.iter().all(|listen| listen.tls) && !self.listens.is_empty();
        let label = self.label();
        let block = self.directive.inner();
        let name = self.name.clone();
        self.rules.extend(conditions(block, &Condition::Always, &label, name.as_deref(), tls, notes));
        if let Some(directive) = block.iter().find(|directive| directive.name() == "return")
            && let Some(action) = action::of_return(directive, name.as_deref(), notes)
        {
            self.rules.push(rule(format!("{label}-return"), directive, Condition::Always, action));
        }
        let before = self.rules.len();
        let mut locations = Vec::new();
        location::collect(block, &[], notes, &mut locations);
        let taken: Vec<&str> = locations.iter().map(|location| location.text.as_str()).collect();
        for (location, condition) in location::in_order(&locations) {
            self.location(location, condition, &taken, &label, tls, groups, notes);
        }
        let slashes = std::mem::take(&mut self.slashes);
        self.rules.splice(before..before, slashes);
        let ends = self.rules.iter().any(|rule| rule.condition == Condition::Always);
        if !ends {
            let about = "nginx looks for a file where no location is chosen".to_owned();
            let action = Action::Respond(Response::status(404));
            let wanted = format!("{label}-none");
            let none = rule(wanted, self.directive, Condition::Always, action);
            self.rules.push(Rule { about, ..none });
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "what a location is decided by, none of which belongs together"
    )]
    fn location(
        &mut self,
        location: &Location<'_>,
        condition: Condition,
        taken: &[&str],
        label: &str,
        tls: bool,
        groups: &mut Groups,
        notes: &Notes,
    ) {
        let block = location.directive.inner();
        // What is around it has been noted already, with the blocks themselves.
        let silent = Notes::default();
        let outer = location
            .around
            .iter()
            .fold(self.settings.clone(), |settings, around| settings.within(around.inner(), &silent));
        let settings = outer.within(block, notes);
        self.tells_client |= settings.tells_client();
        let wanted = format!("{label}-{}", location.text.trim_matches(['/', '^', '$', '\\']));
        let wanted = wanted.trim_end_matches('-').to_owned();
        let name = self.name.clone();
        let mut rules = conditions(block, &condition, &wanted, name.as_deref(), tls, notes);
        rules.extend(block.iter().filter(|directive| directive.name() == "limit_except").map(|directive| {
            notes.mapped(&directive.words, "a route that answers 403 to other methods");
            inside_limit(directive, notes);
            rule(
                format!("{wanted}-methods"),
                directive,
                Condition::all([condition.clone(), other_methods(directive)]),
                closed(),
            )
        }));
        others(block, notes);
        let refused = Condition::all([condition.clone(), settings.access.refused()]);
        let decides_before = block.iter().any(|directive| directive.name() == "return");
        if refused != Condition::Never && !decides_before {
            rules.push(rule(format!("{wanted}-deny"), location.directive, refused, closed()));
        }
        let action = if settings.access.refused() == Condition::Always && !decides_before {
            rules.pop();
            for passed in block.iter().filter(|directive| directive.name() == "proxy_pass") {
                notes.not_needed(&passed.words, "nobody is let in");
            }
            closed()
        } else {
            action::of_location(location.directive, &settings, groups, name.as_deref(), notes)
        };
        if matches!(action, Action::Upstream(_)) && !taken.contains(&location.text.trim_end_matches('/')) {
            self.slashes.extend(slash(location, &wanted, &settings, name.as_deref(), tls));
        }
        let mut last = rule(wanted, location.directive, condition, action);
        last.idempotent = settings.next.as_ref().is_some_and(|next| next.idempotent)
            && matches!(last.action, Action::Upstream(_));
        rules.push(last);
        rewrite(&mut rules, &settings, name.as_deref(), tls);
        self.rules.extend(rules);
    }

    fn label(&self) -> String {
        let listen = || {
            self.listens
                .first()
                .map(|listen| listen.address.rsplit(':').next().unwrap_or_default().to_owned())
        };
        self.name
            .clone()
            .or_else(|| listen().map(|port| format!("port-{port}")))
            .unwrap_or_else(|| "server".to_owned())
    }
}

/// The redirection of a path to the location that is the same but for a slash. None where there is no such path.
fn slash(
    location: &Location<'_>,
    wanted: &str,
    settings: &Settings,
    name: Option<&str>,
    tls: bool,
) -> Option<Rule> {
    let bare = location.text.strip_suffix('/')?.trim_end_matches('/');
    if bare.is_empty() || !matches!(location.how, How::Prefix | How::FinalPrefix) {
        return None;
    }
    let tests = Tests { exact: vec![bare.to_owned()], ..Tests::default() };
    let condition = Condition::Test(Test::Path(PathTests { ignore_case: false, tests }));
    let action = Action::Redirect { to: "{path}/{query}".to_owned(), status: 301 };
    let mut slash = [rule(format!("{wanted}-slash"), location.directive, condition, action)];
    rewrite(&mut slash, settings, name, tls);
    slash.into_iter().next()
}

/// Gives rules what the settings say of header fields.
fn rewrite(rules: &mut [Rule], settings: &Settings, name: Option<&str>, tls: bool) {
    let name = name.unwrap_or_default();
    for rule in rules {
        if matches!(rule.action, Action::Upstream(_)) {
            rule.request_headers = headers::of_requests(&settings.headers, name, tls);
        }
        rule.response_headers =
            headers::of_answers(&settings.added, &settings.hidden, name, tls, &rule.action);
    }
}

fn closed() -> Action {
    Action::Respond(Response::status(403))
}

fn rule(wanted: String, directive: &Directive, condition: Condition, action: Action) -> Rule {
    let about = format!("line {}: {}", directive.place().line, joined(&directive.words));
    let (request_headers, response_headers) = Default::default();
    Rule { wanted, about, condition, action, idempotent: false, request_headers, response_headers }
}

/// The rules of blocks `if` that only return.
fn conditions(
    block: &[Directive],
    around: &Condition,
    wanted: &str,
    name: Option<&str>,
    tls: bool,
    notes: &Notes,
) -> Vec<Rule> {
    let mut rules = Vec::new();
    for directive in block.iter().filter(|directive| directive.name() == "if") {
        let [inner] = directive.inner() else {
            notes.not_supported(
                &directive.words,
                "a condition leads to one `return`; write routes for the rest",
            );
            inside(directive, notes);
            continue;
        };
        if inner.name() != "return" {
            notes.not_supported(&directive.words, "a condition leads to a `return`; write a route for it");
            inside(directive, notes);
            continue;
        }
        let Some(condition) = decidable(directive, inner, tls, notes) else { continue };
        let Some(action) = action::of_return(inner, name, notes) else { continue };
        let both = Condition::all([around.clone(), condition]);
        rules.push(rule(format!("{wanted}-if"), directive, both, action));
    }
    rules
}

/// The condition of a block `if` that returns. None, with a note, when it is left out.
fn decidable(directive: &Directive, inner: &Directive, tls: bool, notes: &Notes) -> Option<Condition> {
    let condition = variable::condition(directive.arguments(), tls);
    let Some(what) = condition.unknown().map(str::to_owned) else {
        notes.mapped(&directive.words, "routes[].match");
        return Some(condition);
    };
    let refuses = inner.argument(0).parse().is_ok_and(|code: u16| code >= 400);
    let closed = if refuses { condition.closed() } else { Condition::Never };
    let is_kept = closed != Condition::Never;
    let effect = if is_kept { "everybody is refused, so that nothing is opened" } else { "it is left out" };
    notes.not_supported(&directive.words, format!("{what} cannot be asked of a request; {effect}"));
    if !is_kept {
        inside(directive, notes);
    }
    is_kept.then_some(closed)
}

/// All methods but those that `limit_except` names; GET brings HEAD with it.
fn other_methods(directive: &Directive) -> Condition {
    let mut methods: Vec<String> = directive
        .arguments()
        .iter()
        .map(|word| word.text.to_ascii_uppercase())
        .filter(|text| lint::method(text))
        .collect();
    if methods.iter().any(|method| method == "GET") {
        methods.push("HEAD".to_owned());
    }
    if methods.is_empty() { Condition::Always } else { Condition::Test(Test::Method(methods)).negated() }
}

/// Notes what stands in `limit_except`: what is not `deny all` refuses some, and here it refuses all.
fn inside_limit(directive: &Directive, notes: &Notes) {
    for inner in directive.inner() {
        if inner.name() == "deny" && inner.argument(0) == "all" {
            notes.mapped(&inner.words, "a route that answers 403 to other methods");
        } else {
            let what = "other methods are refused for everybody, so that nothing is opened";
            notes.not_supported(&inner.words, what);
        }
    }
}

/// Notes what stands in a block that is told as a whole.
pub(crate) fn inside(directive: &Directive, notes: &Notes) {
    for inner in directive.inner() {
        notes.not_supported(&inner.words, format!("it is of `{}` above, and goes with it", directive.name()));
        inside(inner, notes);
    }
}

/// Notes the directives of a location that nothing else reads.
fn others(block: &[Directive], notes: &Notes) {
    for directive in block {
        match (directive.name(), &directive.block) {
            ("location" | "return" | "if" | "limit_except" | "proxy_pass", _) => {}
            (_, Block::Lua(lua)) if lua::shows_status(lua) => {
                notes.not_needed(
                    &directive.words,
                    "/check and /metrics are at `admin.address`: the route here answers 404",
                );
            }
            (name, _) if Settings::knows(name) => {}
            _ => super::other(words::HTTP, directive, notes),
        }
    }
}
