//! Blocks `location` in the order in which nginx would choose them.
//!
//! nginx takes an exact location, else finds the longest prefix, takes it if it is `^~`, else the first expression that
//! matches, else the prefix. plimsoll takes the first route that matches. So: exact ones; `^~` ones, without what a
//! longer prefix takes from them; expressions; prefixes, the longest first.

use super::tree::Directive;
use crate::condition::{Condition, Test};
use crate::lint;
use crate::model::{PathTests, Tests};
use crate::note::Notes;
use crate::word::Word;

/// How a location is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum How {
    Exact,
    Prefix,
    /// A prefix that expressions do not overrule.
    FinalPrefix,
    Regex {
        ignore_case: bool,
    },
}

/// A location with what chooses it.
#[derive(Debug)]
pub(crate) struct Location<'a> {
    pub(crate) how: How,
    pub(crate) text: String,
    pub(crate) directive: &'a Directive,
    /// The blocks around it, within its server, the outermost first.
    pub(crate) around: Vec<&'a Directive>,
}

/// All locations below a list of directives, with those that stand in others.
pub(crate) fn collect<'a>(
    directives: &'a [Directive],
    around: &[&'a Directive],
    notes: &Notes,
    found: &mut Vec<Location<'a>>,
) {
    for directive in directives.iter().filter(|directive| directive.name() == "location") {
        let (how, text) = match directive.arguments() {
            [text] if text.text.starts_with('@') => {
                notes.not_supported(
                    &directive.words,
                    "nothing leads to it: there are no error pages and no files to try",
                );
                continue;
            }
            [one] => glued(one),
            [how, text] => (
                match how.text.as_str() {
                    "=" => How::Exact,
                    "^~" => How::FinalPrefix,
                    "~" => How::Regex { ignore_case: false },
                    "~*" => How::Regex { ignore_case: true },
                    _ => {
                        notes.error(std::slice::from_ref(how), "a location is chosen by =, ~, ~* or ^~");
                        continue;
                    }
                },
                text.text.clone(),
            ),
            _ => {
                notes.error(&directive.words, "it needs a path");
                continue;
            }
        };
        let usable = match how {
            How::Exact | How::Prefix | How::FinalPrefix => lint::path_start(&text),
            How::Regex { .. } => lint::regex(&text),
        };
        if !usable {
            let why = match how {
                How::Regex { .. } => {
                    "plimsoll has no such expression: look-around and back references are missing; it is \
                        left out"
                }
                _ => "no path begins so; it is left out",
            };
            notes.not_supported(&directive.words, why);
            continue;
        }
        found.push(Location { how, text, directive, around: around.to_vec() });
        let inner: Vec<&Directive> = around.iter().copied().chain([directive]).collect();
        collect(directive.inner(), &inner, notes, found);
    }
}

/// `location =/a` and `location ~\.php$`, where nginx does not ask for the space.
fn glued(word: &Word) -> (How, String) {
    let text = word.text.as_str();
    for (prefix, how) in [
        ("=", How::Exact),
        ("^~", How::FinalPrefix),
        ("~*", How::Regex { ignore_case: true }),
        ("~", How::Regex { ignore_case: false }),
    ] {
        if let Some(rest) = text.strip_prefix(prefix) {
            return (how, rest.to_owned());
        }
    }
    (How::Prefix, text.to_owned())
}

/// The locations in the order of their routes, each with the condition that chooses it.
pub(crate) fn in_order<'a, 'b>(locations: &'b [Location<'a>]) -> Vec<(&'b Location<'a>, Condition)> {
    let of = |wanted: fn(&How) -> bool| locations.iter().filter(move |location| wanted(&location.how));
    let by_length = |mut list: Vec<&'b Location<'a>>| {
        list.sort_by_key(|location| std::cmp::Reverse(location.text.len()));
        list
    };
    let mut ordered: Vec<&Location<'a>> = of(|how| *how == How::Exact).collect();
    ordered.extend(by_length(of(|how| *how == How::FinalPrefix).collect()));
    ordered.extend(of(|how| matches!(how, How::Regex { .. })));
    ordered.extend(by_length(of(|how| *how == How::Prefix).collect()));
    // Sorted, so that what begins like a prefix stands together: a thousand locations are not compared with each other.
    let mut prefixes: Vec<&str> =
        of(|how| *how == How::Prefix).map(|location| location.text.as_str()).collect();
    prefixes.sort_unstable();
    ordered.into_iter().map(|location| (location, condition(location, &prefixes))).collect()
}

fn condition(location: &Location<'_>, prefixes: &[&str]) -> Condition {
    let text = || vec![location.text.clone()];
    let none = Tests::default();
    let path = |ignore_case, tests| Condition::Test(Test::Path(PathTests { ignore_case, tests }));
    match location.how {
        How::Prefix if location.text == "/" => Condition::Always,
        How::Exact => path(false, Tests { exact: text(), ..none }),
        How::Regex { ignore_case } => path(ignore_case, Tests { regex: text(), ..none }),
        How::Prefix => path(false, Tests { prefix: text(), ..none }),
        How::FinalPrefix => {
            let from = prefixes.partition_point(|other| *other <= location.text.as_str());
            let longer = prefixes[from..].iter().take_while(|other| other.starts_with(&location.text));
            let longer: Vec<String> = longer.map(|other| (*other).to_owned()).collect();
            let taken = match longer.is_empty() {
                true => Condition::Never,
                false => path(false, Tests { prefix: longer, ..Tests::default() }),
            };
            Condition::all([path(false, Tests { prefix: text(), ..none }), taken.negated()])
        }
    }
}
