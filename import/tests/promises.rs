//! Promises about any text: no panic, whatever is read; and a large file is quick.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use plimsoll_import::{Import, Kind};
use proptest::prelude::*;

/// Words that a text must have to get far, in both languages.
const WORDS: &[&str] = &[
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "web",
    "app",
    "bind",
    ":80",
    "*:80",
    "[::]:80",
    "mode",
    "http",
    "tcp",
    "acl",
    "a",
    "b",
    "path_beg",
    "-i",
    "/x",
    "-m",
    "beg",
    "hdr(host)",
    "{",
    "}",
    "!",
    "!a",
    "or",
    "if",
    "unless",
    "use_backend",
    "default_backend",
    "server",
    "127.0.0.1:1",
    "check",
    "inter",
    "2s",
    "weight",
    "3",
    "cookie",
    "balance",
    "uri",
    "timeout",
    "client",
    "option",
    "httpchk",
    "forwardfor",
    "except",
    "10.0.0.0/8",
    "http-request",
    "deny",
    "redirect",
    "location",
    "https://a",
    "code",
    "301",
    "return",
    "string",
    "stats",
    "enable",
    "\n",
    "\n",
    "\n",
    "\n",
    "upstream",
    "server_name",
    "_",
    "*.a.org",
    "~",
    "^~",
    "=",
    "proxy_pass",
    "http://app",
    "listen",
    "ssl",
    ";",
    ";",
    ";",
    "{",
    "}",
    "location",
    "/",
    "/a/",
    "return",
    "$host",
    "${X}",
    "\"${X}\"",
    "\"",
    "'",
    "\\",
    "#",
    "spawn_checker{",
    "init_worker_by_lua_block",
    "upstream = \"app\"",
    "(",
    ")",
    "\u{1}",
    "\u{7f}",
    "\u{2028}",
    "é",
    "deny",
    "all",
    "stream",
];

fn both(text: &str) -> [Import; 2] {
    [plimsoll_import::haproxy("file", text), plimsoll_import::nginx("file", text)]
}

/// What holds for the result of any text.
fn check(text: &str) {
    for import in both(text) {
        let errors = import.notes.iter().any(|note| note.kind == Kind::Error);
        assert_eq!(import.failed(), errors);
        for note in &import.notes {
            assert_eq!(note.to_string().lines().count(), 1, "a note is one line: {note:?}");
        }
        let yaml = import.yaml.unwrap_or_default();
        let control = |c: char| c.is_control() && c != '\n';
        assert!(!yaml.contains(control), "the file has no control characters: {yaml:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn no_words_in_any_order_make_it_panic(words in prop::collection::vec(prop::sample::select(WORDS), 0..120)) {
        check(&words.join(" "));
    }

    #[test]
    fn a_file_that_is_cut_anywhere_does_not_make_it_panic(at in 0_usize..4000, file in 0_usize..2) {
        let text = [include_str!("corpus/haproxy/refusals.cfg"), include_str!("corpus/nginx/locations.conf")][file];
        let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        check(&text[..at]);
        check(&text[at..]);
    }
}

/// Far more than it takes, even on a busy machine without optimization; quadratic work would take minutes.
const PATIENCE: Duration = Duration::from_secs(20);

fn haproxy_with(backends: usize) -> String {
    let mut text = "defaults\n  mode http\n  timeout connect 1s\nfrontend web\n  bind :80\n".to_owned();
    for index in 0..backends {
        let _ = writeln!(text, "  use_backend b{index} if {{ path_beg /b{index}/ }}");
    }
    for index in 0..backends {
        let port = 1024 + index;
        let _ = writeln!(
            text,
            "backend b{index}\n  server s 127.0.0.1:{port} check\n  server t 127.0.0.2:{port}"
        );
    }
    text.push_str("backend all\n");
    for index in 0..backends {
        let _ = writeln!(text, "  server s{index} 127.0.0.3:{} check", 1024 + index);
    }
    text
}

fn nginx_with(backends: usize) -> String {
    let mut text = String::new();
    for index in 0..backends {
        let _ = writeln!(text, "upstream u{index} {{ server 127.0.0.1:{}; }}", 1024 + index);
    }
    text.push_str("server { listen 80;\n");
    for index in 0..backends {
        let _ = writeln!(text, "location /u{index}/ {{ proxy_pass http://u{index}; }}");
    }
    text.push_str("}\n");
    for index in 0..backends {
        let _ = writeln!(
            text,
            "server {{ server_name h{index}.org; location / {{ proxy_pass http://u{index}; }} }}"
        );
    }
    text
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the wall clock is what the promise is about")]
fn a_file_of_a_thousand_backends_is_quick() {
    let started = Instant::now();
    for import in [
        plimsoll_import::haproxy("big.cfg", &haproxy_with(1000)),
        plimsoll_import::nginx("big.conf", &nginx_with(1000)),
    ] {
        assert!(!import.failed());
        assert!(import.yaml.is_some_and(|yaml| yaml.len() > 100_000));
    }
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
}

#[test]
fn a_reference_to_a_backend_that_is_not_there_is_an_error_with_its_name_and_place() {
    let text = "defaults\n mode http\nfrontend web\n bind :80\n default_backend app\n";
    let import = plimsoll_import::haproxy("file", text);
    let error = import.notes.iter().find(|note| note.kind == Kind::Error).unwrap();
    assert_eq!((error.place.line, error.place.column), (5, 18));
    assert!(error.text.contains("`app`"), "{error}");
    assert!(import.yaml.is_none());
}
