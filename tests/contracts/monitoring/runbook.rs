//! The runbook: a section for each alert and for nothing else, with every question answered and queries that work.

use std::collections::BTreeSet;

use super::expression;
use super::rules::Rules;
use crate::tree::{self, File, Violation};

/// What whoever was woken asks, in this order.
const QUESTIONS: [&str; 5] = [
    "**What it means.** ",
    "**What clients notice.** ",
    "**How to tell the cause.** ",
    "**What to do.** ",
    "**When it is a false alarm.** ",
];

/// The runbook.
pub(crate) fn file() -> File {
    tree::read("monitoring/RUNBOOK.md")
}

/// The blocks of a file in one language, each with its first line.
pub(crate) fn blocks(file: &File, language: &str) -> Vec<(usize, String)> {
    let fence = format!("```{language}");
    let mut blocks = Vec::new();
    let mut open: Option<(usize, Vec<&str>)> = None;
    for (line, text) in file.lines() {
        match &mut open {
            None if text == fence => open = Some((line + 1, Vec::new())),
            Some(_) if text == "```" => {
                blocks.extend(open.take().map(|(line, texts)| (line, texts.join("\n"))))
            }
            Some((_, texts)) => texts.push(text),
            None => {}
        }
    }
    blocks
}

#[test]
fn every_alert_has_a_section_and_every_section_an_alert() {
    let rules = Rules::load();
    let alerts: BTreeSet<_> = rules.alerts().map(|(name, ..)| name).collect();
    let file = file();
    let sections: BTreeSet<_> = file.lines().filter_map(|(_, text)| text.strip_prefix("## ")).collect();
    assert_eq!(sections, alerts, "the headings of the runbook are the alerts");
}

#[test]
fn every_section_answers_every_question() {
    let file = file();
    let mut found = Vec::new();
    let headings: Vec<usize> =
        file.lines().filter(|(_, text)| text.starts_with("## ")).map(|(line, _)| line).collect();
    for (nth, heading) in headings.iter().enumerate() {
        let end = headings.get(nth + 1).copied().unwrap_or(usize::MAX);
        let section = file.lines().filter(|(line, _)| (*heading..end).contains(line));
        let asked: Vec<_> = section
            .filter_map(|(_, text)| QUESTIONS.iter().copied().find(|question| text.starts_with(question)))
            .collect();
        if asked != QUESTIONS {
            found.push(file.violation(*heading, format!("answers {asked:?}, not {QUESTIONS:?}")));
        }
    }
    tree::assert_kept("a section of the runbook leaves a question open", found);
}

#[test]
fn every_query_asks_for_what_exists() {
    let (rules, file) = (Rules::load(), file());
    let queries = blocks(&file, "promql");
    assert!(queries.len() > 20, "the queries are found");
    let problems = queries.iter().flat_map(|(line, query)| {
        let problems = expression::read(query, &rules.series).problems;
        problems.into_iter().map(|problem| file.violation(*line, problem)).collect::<Vec<Violation>>()
    });
    tree::assert_kept("a query of the runbook has no answer", problems.collect());
}
