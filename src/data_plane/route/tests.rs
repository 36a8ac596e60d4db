//! What routing promises.

use proptest::prelude::*;
use regex::bytes::Regex;

use super::*;
use crate::data_plane::http1::source::Network;
use crate::telemetry::Telemetry;

fn route(name: &str, matcher: Matcher) -> Route {
    Route {
        name: name.into(),
        listeners: Box::default(),
        matcher,
        idempotent: false,
        request_headers: None,
        response_headers: None,
        target: Target::Respond(FixedResponse { status: 200, headers: Box::default(), body: Box::default() }),
        series: Telemetry::new(1).route(name),
    }
}

fn table(routes: impl IntoIterator<Item = (&'static str, Matcher)>) -> RouteTable {
    RouteTable::new(routes.into_iter().map(|(name, matcher)| route(name, matcher)).collect())
}

fn texts(any: impl IntoIterator<Item = TextTest>) -> TextTests {
    TextTests { any: any.into_iter().collect(), ignore_case: false }
}

fn path(test: TextTest) -> Matcher {
    Matcher { path: Some(texts([test])), ..Matcher::default() }
}

fn exact(text: &str) -> TextTest {
    TextTest::Exact(text.into())
}

fn prefix(text: &str) -> TextTest {
    TextTest::Prefix(text.into())
}

/// A request as it is easiest to write.
struct Asked {
    method: &'static str,
    host: String,
    target: String,
    headers: Vec<(String, String)>,
    source: [u8; 4],
}

fn get(url: &str) -> Asked {
    let (host, target) = url.split_at(url.find('/').unwrap_or(url.len()));
    let (host, target) = (host.to_owned(), target.to_owned());
    Asked { method: "GET", host, target, headers: Vec::new(), source: [127, 0, 0, 1] }
}

impl Asked {
    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn with_facts<T>(&self, then: impl FnOnce(&RequestFacts<'_>) -> T) -> T {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let headers = &self.headers;
        then(&RequestFacts {
            listener: "web",
            source: self.source.into(),
            method: self.method,
            host: &self.host,
            path,
            query,
            headers,
        })
    }

    fn takes<'a>(&self, table: &'a RouteTable) -> Option<&'a str> {
        self.with_facts(|facts| table.find(facts).map(|route| &*route.name))
    }

    fn fits(&self, matcher: &Matcher) -> bool {
        self.takes(&table([("it", matcher.clone())])).is_some()
    }
}

#[test]
fn the_first_route_that_matches_decides() {
    let table =
        table([("api", path(prefix("/api"))), ("a", path(prefix("/a"))), ("rest", Matcher::default())]);
    assert_eq!(get("h/api/x").takes(&table), Some("api"));
    assert_eq!(get("h/about").takes(&table), Some("a"));
    assert_eq!(get("h/").takes(&table), Some("rest"));
}

#[test]
fn without_a_match_there_is_no_route() {
    assert_eq!(get("h/").takes(&table([("a", path(exact("/a")))])), None);
    assert_eq!(get("h/").takes(&table([])), None);
}

#[test]
fn a_host_matches_in_any_case_and_on_any_port() {
    let matcher = Matcher { hosts: [HostTest::Exact("example.org".into())].into(), ..Matcher::default() };
    assert!(get("example.org/").fits(&matcher));
    assert!(get("EXAMPLE.org:8443/").fits(&matcher));
    assert!(!get("www.example.org/").fits(&matcher));
    assert!(!get("/").fits(&matcher));
}

#[test]
fn a_wildcard_host_is_below_its_domain_at_any_depth() {
    let matcher = Matcher { hosts: [HostTest::Below(".example.org".into())].into(), ..Matcher::default() };
    assert!(get("www.example.org/").fits(&matcher));
    assert!(get("a.b.Example.org/").fits(&matcher));
    assert!(!get("example.org/").fits(&matcher));
    assert!(!get(".example.org/").fits(&matcher));
    assert!(!get("badexample.org/").fits(&matcher));
}

#[test]
fn a_prefix_is_plain_text() {
    assert!(get("h/static/x").fits(&path(prefix("/static"))));
    assert!(get("h/staticfoo").fits(&path(prefix("/static"))));
    assert!(!get("h/staticfoo").fits(&path(prefix("/static/"))));
    assert!(!get("h/Static").fits(&path(prefix("/static"))));
}

#[test]
fn a_path_is_tested_without_its_query() {
    assert!(get("h/a?b=/c.png").fits(&path(exact("/a"))));
    assert!(!get("h/a?b=/c.png").fits(&path(TextTest::Suffix(".png".into()))));
    assert!(get("h/a.png").fits(&path(TextTest::Suffix(".png".into()))));
    let digits = TextTest::Regex(Regex::new("^/[0-9]+$").expect("a constant pattern"));
    assert!(get("h/123").fits(&path(digits.clone())) && !get("h/12a").fits(&path(digits)));
}

#[test]
fn case_is_ignored_where_the_configuration_says_so() {
    let tests = TextTests { ignore_case: true, ..texts([prefix("/api"), TextTest::Suffix(".png".into())]) };
    let matcher = Matcher { path: Some(tests), ..Matcher::default() };
    assert!(get("h/API/x").fits(&matcher) && get("h/x.PNG").fits(&matcher) && !get("h/ap").fits(&matcher));
}

#[test]
fn every_field_must_match_but_one_value_suffices() {
    let matcher = Matcher { methods: ["GET".into(), "HEAD".into()].into(), ..path(exact("/a")) };
    assert!(get("h/a").fits(&matcher));
    assert!(!get("h/b").fits(&matcher));
    assert!(!Asked { method: "POST", ..get("h/a") }.fits(&matcher));
    assert!(!Asked { method: "get", ..get("h/a") }.fits(&matcher), "methods are case-sensitive");
}

fn header(test: FieldTest) -> Matcher {
    let field = FieldMatcher { name: "x-tenant".into(), test };
    Matcher { headers: [field].into(), ..Matcher::default() }
}

#[test]
fn one_of_several_values_of_a_header_suffices() {
    let blue = header(FieldTest::Value(texts([exact("blue")])));
    assert!(get("h/").header("X-Tenant", "red").header("x-tenant", "blue").fits(&blue));
    assert!(!get("h/").header("x-tenant", "red").fits(&blue));
    assert!(!get("h/").fits(&blue));
}

#[test]
fn a_header_can_be_asked_to_be_there_or_not() {
    let empty = get("h/").header("x-tenant", "");
    assert!(empty.fits(&header(FieldTest::Present)) && !get("h/").fits(&header(FieldTest::Present)));
    assert!(!empty.fits(&header(FieldTest::Absent)) && get("h/").fits(&header(FieldTest::Absent)));
}

#[test]
fn query_parameters_match_by_name_and_value() {
    let field = FieldMatcher { name: "v".into(), test: FieldTest::Value(texts([exact("2~")])) };
    let matcher = Matcher { query: [field].into(), ..Matcher::default() };
    assert!(get("h/?v=1&v=2%7E").fits(&matcher));
    assert!(get("h/?a&%76=2~").fits(&matcher));
    assert!(!get("h/?vv=2~&v=1").fits(&matcher) && !get("h/").fits(&matcher));
    let present = FieldMatcher { name: "".into(), test: FieldTest::Present };
    assert!(
        !get("h/").fits(&Matcher { query: [present].into(), ..Matcher::default() }),
        "no query, no parameter"
    );
}

#[test]
fn not_excludes_what_fits_it() {
    let matcher = Matcher { not: [path(prefix("/admin"))].into(), ..Matcher::default() };
    assert!(get("h/").fits(&matcher) && !get("h/admin/x").fits(&matcher));
    let all = Matcher { not: [Matcher::default()].into(), ..Matcher::default() };
    assert!(!get("h/").fits(&all));
}

#[test]
fn not_excludes_what_fits_one_of_several() {
    let matcher = Matcher { not: [path(prefix("/a")), path(prefix("/b"))].into(), ..Matcher::default() };
    assert!(get("h/c").fits(&matcher) && !get("h/a").fits(&matcher) && !get("h/b").fits(&matcher));
    assert!(matcher.looks_at_path());
}

#[test]
fn a_source_lies_in_one_of_the_ranges() {
    let network = |address: [u8; 4], prefix| Network { address: address.into(), prefix };
    let sources = [network([10, 0, 0, 0], 8), network([192, 0, 2, 7], 32)].into();
    let matcher = Matcher { sources, ..Matcher::default() };
    let from = |source| Asked { source, ..get("h/") };
    assert!(from([10, 255, 0, 1]).fits(&matcher) && from([192, 0, 2, 7]).fits(&matcher));
    assert!(!from([192, 0, 2, 8]).fits(&matcher) && !from([127, 0, 0, 1]).fits(&matcher));
    let table = table([
        ("inside", matcher.clone()),
        ("outside", Matcher { not: [matcher].into(), ..Matcher::default() }),
    ]);
    assert!(table.looks_at_sources());
    assert_eq!(from([10, 0, 0, 1]).takes(&table), Some("inside"));
    assert_eq!(from([11, 0, 0, 1]).takes(&table), Some("outside"));
    let why = from([11, 0, 0, 1]).with_facts(|facts| table.explain(facts)[0].why.clone());
    assert_eq!(why, "source is not in `10.0.0.0/8` or `192.0.2.7`");
}

#[test]
fn an_encoded_spelling_of_a_path_takes_the_same_route() {
    let admin = path(prefix("/admin"));
    assert!(get("h/%61dmi%6E").fits(&admin));
    assert!(!get("h/%2Fadmin").fits(&admin), "an encoded slash is not a slash");
}

#[test]
fn no_spelling_of_a_dot_segment_gets_past_a_route_that_looks_at_paths() {
    let table = table([("public", path(prefix("/public"))), ("rest", Matcher::default())]);
    for target in
        ["/public/../admin", "/public/%2e%2E/admin", "/public/.%2e", "/./x", "/public/..\\admin", "/.."]
    {
        assert_eq!(get(&format!("h{target}")).takes(&table), None, "{target}");
    }
    assert_eq!(get("h/public/.hidden/a..b/...").takes(&table), Some("public"));
}

#[test]
fn where_no_route_looks_at_paths_dot_segments_are_left_to_the_backend() {
    for matcher in [
        Matcher::default(),
        path(prefix("/")),
        Matcher { methods: ["GET".into()].into(), ..Matcher::default() },
    ] {
        assert!(get("h/a/../b").fits(&matcher));
    }
}

#[test]
fn the_prefix_of_all_paths_matches_every_request() {
    assert!(path(prefix("/")).is_catch_all());
    assert!(Asked { method: "OPTIONS", ..get("h*") }.fits(&path(prefix("/"))));
}

#[test]
fn a_listener_sees_only_its_routes() {
    let mut inside = route("inside", Matcher::default());
    inside.listeners = ["admin".into()].into();
    let all = RouteTable::new(vec![inside, route("rest", Matcher::default())]);
    assert_eq!(get("h/").takes(&all), Some("rest"));
    assert_eq!(get("h/").takes(&all.for_listener("web")), Some("rest"));
    assert_eq!(get("h/").takes(&all.for_listener("admin")), Some("inside"));
}

#[test]
fn an_explanation_names_the_first_condition_that_failed() {
    let hosts = [HostTest::Exact("a.org".into()), HostTest::Below(".b.org".into())].into();
    let table = table([
        ("host", Matcher { hosts, ..path(exact("/x")) }),
        ("path", path(prefix("/y"))),
        ("header", header(FieldTest::Present)),
        ("rest", Matcher::default()),
        ("late", Matcher::default()),
    ]);
    let verdicts = get("h/x").with_facts(|facts| {
        let verdicts = table.explain(facts).into_iter();
        verdicts.map(|verdict| (verdict.taken, verdict.why)).collect::<Vec<_>>()
    });
    let expected = [
        (false, "host is not `a.org` or `*.b.org`"),
        (false, "path does not begin with `/y`"),
        (false, "header `x-tenant` is absent"),
        (true, "matches"),
        (false, "would match, but `rest` comes first"),
    ];
    assert_eq!(verdicts, expected.map(|(taken, why)| (taken, why.to_owned())));
}

#[test]
fn a_redirection_puts_the_request_into_its_location() {
    let parts = [TextPart::Literal("https://".into()), TextPart::Host, TextPart::Path, TextPart::Query];
    let redirect = Redirect { status: 308, to: parts.into() };
    let location = |url: &str| get(url).with_facts(|facts| redirect.location(facts));
    assert_eq!(location("example.org:80/a%20b?c=d"), "https://example.org/a%20b?c=d");
    assert_eq!(location("example.org/"), "https://example.org/");
}

/// Header rules in file form: names to remove, and lines to put in.
fn rules(removed: &[&'static str], lines: Vec<(&'static str, Vec<TextPart>)>) -> HeaderRules {
    HeaderRules::new(removed.iter().copied(), lines)
}

fn applied(rules: &HeaderRules, url: &str, lines: &str) -> String {
    let mut out = format!("GET / HTTP/1.1\r\n{lines}").into_bytes();
    get(url).with_facts(|facts| rules.apply(facts, 16, &mut out));
    String::from_utf8(out).expect("text").split_off(16)
}

#[test]
fn header_lines_are_taken_out_whatever_their_case_and_number() {
    let rules = rules(&["x-a", "x-c"], Vec::new());
    assert_eq!(applied(&rules, "h/", "X-A: 1\r\nx-b: 2\r\nx-a:\r\nX-C: 4\r\n"), "x-b: 2\r\n");
    assert_eq!(applied(&rules, "h/", "x-aa: 1\r\nx-: x-a: 2\r\n"), "x-aa: 1\r\nx-: x-a: 2\r\n");
    assert_eq!(applied(&rules, "h/", ""), "");
}

#[test]
fn header_lines_come_in_with_parts_of_the_request() {
    let literal = |text: &str| TextPart::Literal(text.into());
    let lines = vec![
        ("x-place", vec![TextPart::Host, literal(" "), TextPart::Authority, TextPart::Path, TextPart::Query]),
        ("x-empty", Vec::new()),
        ("x-client", vec![literal("<"), TextPart::Client, literal(">")]),
    ];
    let rules = rules(&["x-client"], lines);
    assert_eq!(
        applied(&rules, "Example.org:80/a%20b?c=d", "X-Client: nobody\r\nx-b: 2\r\n"),
        "x-b: 2\r\nx-place: Example.org Example.org:80/a%20b?c=d\r\nx-empty: \r\nx-client: <127.0.0.1>\r\n"
    );
    assert_eq!(rules.lines.len(), 11, "neighbouring texts are one part");
}

#[test]
fn the_name_of_the_backend_is_put_in_when_it_is_known() {
    let rules = rules(&[], vec![("x-by", vec![TextPart::Backend, TextPart::Backend]), ("x-a", Vec::new())]);
    let lines = applied(&rules, "h/", "");
    let mut named = Vec::new();
    name_backend(lines.as_bytes(), "backend-1", &mut named);
    assert_eq!(String::from_utf8_lossy(&named), "x-by: backend-1backend-1\r\nx-a: \r\n");
}

#[test]
fn a_redirection_to_a_path_stays_on_this_host() {
    let redirect = Redirect { status: 302, to: [TextPart::Path].into() };
    for target in ["h//evil.example/", "h/\\evil.example/", "h///\\/evil.example/"] {
        assert_eq!(get(target).with_facts(|facts| redirect.location(facts)), "/evil.example/");
    }
}

proptest! {
    #[test]
    fn explaining_and_finding_agree(
        host in "[a-c.:\\[\\]0-9]{0,8}",
        target in "[/a-c.%\\\\2ef?=&]{0,16}",
        tested in "[/a-c.]{0,4}",
    ) {
        let table = table([
            ("exact", path(exact(&tested))),
            ("suffix", path(TextTest::Suffix(tested.clone().into()))),
            ("not", Matcher { not: [path(prefix(&tested))].into(), ..Matcher::default() }),
        ]);
        let asked = Asked { host, target, ..get("") };
        let explained = asked.with_facts(|facts| {
            table.explain(facts).into_iter().find(|verdict| verdict.taken).map(|verdict| verdict.route.to_owned())
        });
        prop_assert_eq!(explained.as_deref(), asked.takes(&table));
    }
}
