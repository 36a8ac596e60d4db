//! The import law: `main → cli → app → control_plane → data_plane → upstream → telemetry`.
//!
//! Left may use right, never the other way round: the data path cannot come to depend on what configures it, and the
//! model cannot come to depend on who drives it. The scanner reads tokens instead of a syntax tree, because a macro's
//! arguments have no syntax tree: a path inside `tokio::select! { … }` counts as much as one in a `use`.
//! The law also binds unit tests: a test that needs both sides is an integration test.

use proc_macro2::{Delimiter, Spacing, Span, TokenStream, TokenTree};

use crate::tree::{self, File, Violation};

/// The planes from left to right.
const LAW: [&str; 7] = ["main", "cli", "app", "control_plane", "data_plane", "upstream", "telemetry"];

#[test]
fn planes_use_only_what_is_to_their_right() {
    let files = tree::rust();
    let sources: Vec<&File> = files.iter().filter(|file| file.path.starts_with("src/")).collect();
    assert!(!sources.is_empty(), "the balancer has sources");
    tree::assert_kept("the import law is broken", sources.into_iter().flat_map(violations).collect());
}

fn violations(file: &File) -> Vec<Violation> {
    let module = module_of(&file.path);
    let Some(plane) = module.first() else { return Vec::new() }; // lib.rs only declares the planes
    if rank(plane).is_none() {
        let what = format!("`{plane}` is not a plane; the planes are {}", LAW.join(" → "));
        return vec![file.violation(1, what)];
    }
    match file.text.parse::<TokenStream>() {
        Ok(tokens) => {
            let mut scan = Scan { file, plane: plane.clone(), found: Vec::new() };
            scan.tokens(tokens, &module);
            scan.found
        }
        Err(error) => vec![file.violation(error.span().start().line, format!("cannot be read: {error}"))],
    }
}

/// `src/upstream/balance/hash.rs` is the module `upstream::balance::hash`; `src/lib.rs` is the crate's root.
fn module_of(path: &str) -> Vec<String> {
    let inside = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    let mut module: Vec<String> = inside.split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    module
}

fn rank(plane: &str) -> Option<usize> {
    LAW.iter().position(|name| *name == plane)
}

/// Walks one file's tokens and judges every path that leads to the crate's root.
struct Scan<'a> {
    file: &'a File,
    plane: String,
    found: Vec<Violation>,
}

impl Scan<'_> {
    fn tokens(&mut self, tokens: TokenStream, module: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at = self.token(&tokens, at, module);
        }
    }

    /// Judges what begins at `at`; returns where to go on.
    fn token(&mut self, tokens: &[TokenTree], at: usize, module: &[String]) -> usize {
        match &tokens[at] {
            TokenTree::Ident(ident) if !follows_path_separator(tokens, at) => {
                let start = match ident.to_string().as_str() {
                    "mod" => return self.inline_module(tokens, at, module),
                    "crate" => Vec::new(),
                    "plimsoll" if module == ["main"] => Vec::new(),
                    "self" => module.to_vec(),
                    "super" => parent(module),
                    _ => return at + 1,
                };
                self.path(tokens, at + 1, start, ident.span())
            }
            TokenTree::Group(group) => {
                self.tokens(group.stream(), module);
                at + 1
            }
            _ => at + 1,
        }
    }

    /// `mod name { … }`: inside it, `super` means this module.
    fn inline_module(&mut self, tokens: &[TokenTree], at: usize, module: &[String]) -> usize {
        let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) =
            (tokens.get(at + 1), tokens.get(at + 2))
        else {
            return at + 1;
        };
        let inner: Vec<String> = module.iter().cloned().chain([name.to_string()]).collect();
        self.tokens(body.stream(), &inner);
        at + 3
    }

    /// Follows a path whose tokens so far lead to `module`. A path that stays inside its plane ends the search.
    fn path(&mut self, tokens: &[TokenTree], mut at: usize, mut module: Vec<String>, start: Span) -> usize {
        while is_path_separator(tokens, at) {
            match tokens.get(at + 2) {
                Some(TokenTree::Ident(ident)) if *ident == "super" => {
                    module = parent(&module);
                    at += 3;
                }
                Some(TokenTree::Ident(ident)) if module.is_empty() => {
                    self.judge(&ident.to_string(), ident.span());
                    return at + 3;
                }
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    self.branches(group.stream(), &module);
                    return at + 3;
                }
                Some(TokenTree::Punct(star)) if star.as_char() == '*' && module.is_empty() => {
                    self.report(star.span(), "takes everything from the crate's root; name the plane");
                    return at + 3;
                }
                _ => return at + 2,
            }
        }
        if module.is_empty() && matches!(tokens.get(at), Some(TokenTree::Ident(ident)) if *ident == "as") {
            self.report(start, "gives the crate's root another name; name the plane");
        }
        at
    }

    /// The branches of `use a::{b, c::d}`, each of which goes on from `module`.
    fn branches(&mut self, group: TokenStream, module: &[String]) {
        let tokens: Vec<TokenTree> = group.into_iter().collect();
        for branch in tokens.split(|token| matches!(token, TokenTree::Punct(comma) if comma.as_char() == ','))
        {
            match branch.first() {
                Some(TokenTree::Ident(ident)) if *ident == "super" => {
                    self.path(branch, 1, parent(module), ident.span());
                }
                Some(TokenTree::Ident(ident)) if *ident == "self" => {
                    self.path(branch, 1, module.to_vec(), ident.span());
                }
                Some(TokenTree::Ident(ident)) if module.is_empty() => {
                    self.judge(&ident.to_string(), ident.span())
                }
                Some(TokenTree::Group(inner)) => self.branches(inner.stream(), module),
                Some(TokenTree::Punct(star)) if star.as_char() == '*' && module.is_empty() => {
                    self.report(star.span(), "takes everything from the crate's root; name the plane");
                }
                _ => {}
            }
        }
    }

    fn judge(&mut self, target: &str, span: Span) {
        match (rank(&self.plane), rank(target)) {
            (Some(own), Some(other)) if own <= other => {}
            (_, Some(_)) => {
                self.report(span, &format!("uses `{target}`, which is to the left of `{}`", self.plane))
            }
            (_, None) => self.report(span, &format!("uses `crate::{target}`, which is in no plane")),
        }
    }

    fn report(&mut self, span: Span, what: &str) {
        self.found.push(self.file.violation(span.start().line, format!("`{}` {what}", self.plane)));
    }
}

fn parent(module: &[String]) -> Vec<String> {
    module[..module.len().saturating_sub(1)].to_vec()
}

/// True when `::` is at `at`.
fn is_path_separator(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |at: usize| match tokens.get(at) {
        Some(TokenTree::Punct(punct)) if punct.as_char() == ':' => Some(punct.spacing()),
        _ => None,
    };
    colon(at) == Some(Spacing::Joint) && colon(at + 1).is_some()
}

fn follows_path_separator(tokens: &[TokenTree], at: usize) -> bool {
    at >= 2 && is_path_separator(tokens, at - 2)
}

mod planted {
    //! A scanner that finds nothing proves nothing: each kind of violation is planted, and found.

    use super::{File, violations};

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let file = File { path: path.to_owned(), text: text.to_owned() };
        violations(&file).into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn a_use_to_the_left_is_found_with_its_line() {
        assert_eq!(lines("src/upstream/retry.rs", "//! x\nuse crate::control_plane::config::Config;"), [2]);
    }

    #[test]
    fn the_message_names_both_planes() {
        let file = File {
            path: "src/telemetry/mod.rs".to_owned(),
            text: "use crate::upstream::Backend;".to_owned(),
        };
        let found = violations(&file);
        assert_eq!(found.len(), 1);
        assert!(
            found[0]
                .to_string()
                .ends_with("`telemetry` uses `upstream`, which is to the left of `telemetry`")
        );
    }

    #[test]
    fn a_use_to_the_right_or_within_the_plane_is_lawful() {
        let text = "use crate::telemetry::Counter;\nuse crate::upstream::Fleet;\nuse super::balance::Pick;";
        assert!(lines("src/upstream/fleet.rs", text).is_empty());
        assert!(
            lines("src/main.rs", "use plimsoll::cli;\nfn main() { plimsoll::telemetry::x(); }").is_empty()
        );
    }

    #[test]
    fn each_branch_of_a_grouped_use_is_judged() {
        let text = "use crate::{\n  telemetry::Counter,\n  app::{self, App},\n  upstream,\n};";
        assert_eq!(lines("src/data_plane/mod.rs", text), [3]);
    }

    #[test]
    fn super_that_leaves_the_plane_is_followed() {
        assert_eq!(lines("src/upstream/retry.rs", "use super::super::app::App;"), [1]);
        assert_eq!(lines("src/upstream/retry.rs", "use super::{super::app::App, balance};"), [1]);
        assert_eq!(lines("src/app.rs", "use super::cli::run;"), [1]);
        assert!(lines("src/upstream/balance/hash.rs", "use super::super::retry::Rules;").is_empty());
    }

    #[test]
    fn an_inline_module_is_one_level_deeper() {
        assert!(
            lines("src/app.rs", "mod tests { use super::*; use super::super::telemetry::x; }").is_empty()
        );
        assert_eq!(lines("src/app.rs", "mod tests {\n use super::super::cli::x; }"), [2]);
    }

    #[test]
    fn a_path_in_a_body_or_a_macro_is_found() {
        assert_eq!(lines("src/upstream/mod.rs", "fn f() {\n let x = crate::data_plane::f();\n}"), [2]);
        assert_eq!(
            lines("src/upstream/mod.rs", "fn f() { tokio::select! {\n _ = crate::app::f() => {} } }"),
            [2]
        );
        assert_eq!(lines("src/upstream/mod.rs", "macro_rules! m { () => {\n $crate::app::f() } }"), [2]);
        assert_eq!(lines("src/upstream/mod.rs", "pub(in crate::app) fn f() {}"), [1]);
    }

    #[test]
    fn names_that_hide_the_plane_are_found() {
        assert_eq!(lines("src/upstream/mod.rs", "use crate as root;"), [1]);
        assert_eq!(lines("src/upstream/mod.rs", "use crate::*;"), [1]);
        assert_eq!(lines("src/app.rs", "use super::*;"), [1]);
        assert_eq!(lines("src/upstream/mod.rs", "use crate::Shortcut;"), [1]);
    }

    #[test]
    fn a_module_outside_the_law_is_found() {
        assert_eq!(lines("src/misc.rs", "//! x"), [1]);
    }

    #[test]
    fn visibility_and_methods_are_not_paths() {
        let text = "pub(crate) fn f() {}\npub(super) fn g() {}\nimpl X { fn h(&self) { self.app(); } }";
        assert!(lines("src/upstream/mod.rs", text).is_empty());
    }
}
