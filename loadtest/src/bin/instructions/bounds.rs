//! The stored bounds, and what is said of a count that is held against one.

use crate::case::Case;
use anyhow::Context;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// By how many per cent a count may exceed its bound: what a new minor version of a library may cost without a word, and
/// more than two runs differ by.
const MARGIN: u64 = 3;

/// How many per cent below its bound a count must be for the bound to be called stale.
const STALE: u64 = 5;

/// Instructions per exchange, by case.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Bounds(BTreeMap<String, u64>);

/// How a count compares with its bound.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    Kept { bound: u64 },
    Below { bound: u64 },
    Above { bound: u64, percent: f64 },
    Unknown,
}

impl Bounds {
    pub(crate) fn set(&mut self, case: Case, count: u64) {
        self.0.insert(case.to_string(), count);
    }

    pub(crate) fn verdict(&self, case: Case, count: u64) -> Verdict {
        match self.0.get(&case.to_string()) {
            None => Verdict::Unknown,
            Some(&bound) if count * 100 > bound * (100 + MARGIN) => {
                Verdict::Above { bound, percent: (count as f64 / bound as f64 - 1.0) * 100.0 }
            }
            Some(&bound) if count * 100 < bound * (100 - STALE) => Verdict::Below { bound },
            Some(&bound) => Verdict::Kept { bound },
        }
    }

    pub(crate) fn read(path: &Path) -> anyhow::Result<Bounds> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}; write it with --bless", path.display()))?;
        Bounds::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Bounds> {
        let mut bounds = BTreeMap::new();
        for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
            let (case, count) = line.split_once(':').with_context(|| format!("line {}: no colon", n + 1))?;
            let count = count.trim().parse().with_context(|| format!("line {}: no number", n + 1))?;
            bounds.insert(case.to_owned(), count);
        }
        Ok(Bounds(bounds))
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        std::fs::write(path, self.to_string()).with_context(|| format!("cannot write {}", path.display()))
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "# User instructions per exchange, as `instructions --bless` counted them; see loadtest/README.md."
        )?;
        self.0.iter().try_for_each(|(case, count)| writeln!(f, "{case}: {count}"))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Kept { bound } => write!(f, "kept: the bound is {bound}"),
            Verdict::Below { bound } => {
                write!(f, "kept: well below the bound of {bound}; lower it with --bless")
            }
            Verdict::Above { bound, percent } => {
                write!(
                    f,
                    "EXCEEDED by {percent:.1} %: the bound is {bound}; if it is worth that, say why and --bless"
                )
            }
            Verdict::Unknown => f.write_str("has NO BOUND; write one with --bless"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_exceeded_by_more_than_the_margin_only() {
        let mut bounds = Bounds::default();
        bounds.set(Case::Get, 1000);
        assert_eq!(bounds.verdict(Case::Get, 1030), Verdict::Kept { bound: 1000 });
        assert!(matches!(bounds.verdict(Case::Get, 1031), Verdict::Above { bound: 1000, .. }));
        assert_eq!(bounds.verdict(Case::Get, 950), Verdict::Kept { bound: 1000 });
        assert_eq!(bounds.verdict(Case::Get, 949), Verdict::Below { bound: 1000 });
        assert_eq!(bounds.verdict(Case::Post, 1), Verdict::Unknown);
    }

    #[test]
    fn what_is_written_is_read_again_and_nonsense_is_refused_with_its_line() {
        let mut bounds = Bounds::default();
        bounds.set(Case::Get, 12_000);
        bounds.set(Case::Hash, 13_000);
        assert_eq!(Bounds::parse(&bounds.to_string()).unwrap(), bounds);
        assert!(format!("{:#}", Bounds::parse("# x\nget: many\n").unwrap_err()).contains("line 2"));
    }
}
