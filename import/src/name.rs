//! Names: what plimsoll takes as one, each given once.

use std::collections::HashMap;

/// The longest name that plimsoll takes.
const LONGEST: usize = 64;

/// Names that have been given within one namespace.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// How often each was wanted, so that the thousandth of its kind is found as fast as the first.
    given: HashMap<String, usize>,
}

impl Names {
    /// A name like the wanted one that plimsoll takes and that has not been given yet.
    pub(crate) fn give(&mut self, wanted: &str) -> String {
        let base = usable(wanted);
        if self.take(&base) {
            return base;
        }
        loop {
            let count = self.given.entry(base.clone()).or_default();
            *count += 1;
            let suffix = format!("-{count}");
            let room = LONGEST - suffix.len();
            let name = format!("{}{suffix}", &base[..base.len().min(room)]);
            if self.take(&name) {
                return name;
            }
        }
    }

    fn take(&mut self, name: &str) -> bool {
        let is_new = !self.given.contains_key(name);
        if is_new {
            self.given.insert(name.to_owned(), 1);
        }
        is_new
    }
}

/// The text with all that no name of plimsoll has replaced by `-`.
pub(crate) fn usable(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name: String = text.chars().take(LONGEST).map(|c| if allowed(c) { c } else { '-' }).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let name = name.trim_end_matches('-');
    if name.is_empty() { "unnamed".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_where_it_can_be_and_never_given_twice() {
        let mut names = Names::default();
        assert_eq!(names.give("app"), "app");
        assert_eq!(names.give("app"), "app-2");
        assert_eq!(names.give("app-2"), "app-2-2");
        assert_eq!(names.give("app"), "app-3");
        assert_eq!(names.give("bk:web"), "bk-web");
        assert_eq!(names.give("_x_"), "x_");
        assert_eq!(names.give("приложение"), "unnamed");
    }

    #[test]
    fn a_long_name_stays_within_what_plimsoll_takes() {
        let mut names = Names::default();
        let long = "a".repeat(100);
        assert_eq!(names.give(&long).len(), 64);
        assert_eq!(names.give(&long).len(), 64);
    }
}
