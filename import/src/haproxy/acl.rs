//! Tests of a request: `acl` lines, and tests between braces.

mod fetch;

use std::collections::HashMap;

use crate::condition::Condition;
use crate::note::{Notes, similar};
use crate::word::Word;

/// The tests of a section by name. Lines of the same name are alternatives.
#[derive(Debug, Default)]
pub(crate) struct Acls {
    named: HashMap<String, Vec<Condition>>,
    /// What `ssl_fc` says.
    tls: bool,
}

/// A condition of a rule, and whether words of it were wrong.
pub(crate) type Parsed = Result<Condition, ()>;

impl Acls {
    /// No tests yet; `tls` tells whether clients of the section reach it through TLS.
    pub(crate) fn new(tls: bool) -> Self {
        Self { named: HashMap::new(), tls }
    }

    /// Reads `acl NAME CRITERION …`.
    pub(crate) fn define(&mut self, line: &[Word], notes: &Notes) {
        let [_, name, test @ ..] = line else {
            return notes.error(line, "it needs a name and a test");
        };
        if test.is_empty() {
            return notes.error(line, "it needs a test");
        }
        let condition = fetch::condition(test, self.tls);
        match condition.unknown() {
            Some(what) => notes.not_supported(
                line,
                format!("{what} cannot be asked of a request; rules that use it say what becomes of them"),
            ),
            None if condition == Condition::Never => notes.mapped(line, "nothing: it never holds here"),
            None => notes.mapped(line, "routes[].match, where rules use it"),
        }
        self.named.entry(name.text.clone()).or_default().push(condition);
    }

    /// Reads what follows a rule's action: `if` or `unless` and tests, or nothing.
    pub(crate) fn condition(&self, words: &[Word], notes: &Notes) -> Parsed {
        let [keyword, tests @ ..] = words else { return Ok(Condition::Always) };
        let negated = match keyword.text.as_str() {
            "if" => false,
            "unless" => true,
            _ => {
                notes.unknown(words, "word of a rule", ["if", "unless"]);
                return Err(());
            }
        };
        if tests.is_empty() {
            notes.error(words, "it needs a test");
            return Err(());
        }
        let condition = self.alternatives(tests, notes)?;
        Ok(if negated { condition.negated() } else { condition })
    }

    fn alternatives(&self, words: &[Word], notes: &Notes) -> Parsed {
        let is_or = |word: &Word| word.is("or") || word.is("||");
        // Within braces `or` is a value.
        let (mut parts, mut part, mut depth) = (Vec::new(), Vec::new(), 0_usize);
        for word in words {
            match word.text.as_str() {
                "{" | "!{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                _ if depth == 0 && is_or(word) => {
                    parts.push(std::mem::take(&mut part));
                    continue;
                }
                _ => {}
            }
            part.push(word.clone());
        }
        parts.push(part);
        let parts: Result<Vec<_>, ()> = parts.iter().map(|part| self.conjunction(part, notes)).collect();
        Ok(Condition::any(parts?))
    }

    fn conjunction(&self, words: &[Word], notes: &Notes) -> Parsed {
        let (mut tests, mut at, mut negated) = (Vec::new(), 0, false);
        while let Some(word) = words.get(at) {
            at += 1;
            let text = word.text.trim_start_matches('!');
            negated ^= (word.text.len() - text.len()) % 2 == 1;
            if text.is_empty() {
                continue;
            }
            let test = if text == "{" {
                let length = words[at..].iter().take_while(|word| !word.is("}")).count();
                let inner = &words[at..at + length];
                at += length + 1;
                if inner.is_empty() {
                    notes.error(std::slice::from_ref(word), "there is no test between the braces");
                    return Err(());
                }
                fetch::condition(inner, self.tls)
            } else {
                self.named(word, text, notes)?
            };
            tests.push(if std::mem::take(&mut negated) { test.negated() } else { test });
        }
        Ok(Condition::all(tests))
    }

    fn named(&self, word: &Word, name: &str, notes: &Notes) -> Parsed {
        if let Some(alternatives) = self.named.get(name) {
            return Ok(Condition::any(alternatives.iter().cloned()));
        }
        if let Some(condition) = fetch::predefined(name) {
            return Ok(condition);
        }
        let meant = similar(name, self.named.keys().map(String::as_str));
        let hint = meant.map(|meant| format!("; is `{meant}` meant?")).unwrap_or_default();
        notes.error(std::slice::from_ref(word), format!("there is no acl `{name}` in this section{hint}"));
        Err(())
    }
}
