//! The report as Markdown, for a pull request or a wiki: the same summary, and the graphs as pictures beside it.

use super::Story;
use super::graph::GraphKind;
use super::page::{COMPARED, Moment, began, exact_moments, key_numbers, lasted};
use super::words::{self, span};
use std::fmt::Write as _;

/// Writes the report. `mark` is a comment in its first line; `pictures` are the files of the graphs beside it, and
/// `page` is the one with everything in it.
pub(super) fn write(story: &Story, mark: &str, page: &str, picture: impl Fn(GraphKind) -> String) -> String {
    let mut text = format!(
        "<!-- {mark} -->\n# {}\n\n{}\n\n",
        escaped(&words::headline(story)),
        escaped(&words::lead(story))
    );
    for (name, value) in key_numbers(story) {
        let _ = writeln!(text, "- {name}: {value}");
    }
    text += "\n## In numbers\n";
    for (title, value) in COMPARED {
        let _ = write!(text, "\n| {title} |");
        for phase in &story.summary.phases {
            let _ = write!(text, " {} ({}) |", phase.name, lasted(phase));
        }
        let _ = writeln!(text, "\n|---|{}", "---:|".repeat(story.summary.phases.len()));
        for name in story.names() {
            let _ = write!(text, "| {} |", escaped(name));
            for phase in &story.summary.phases {
                let _ = write!(text, " {} |", value(phase, name).unwrap_or_else(|| "–".to_owned()));
            }
            text.push('\n');
        }
    }
    text += "\n## Graphs\n\n";
    let _ = writeln!(text, "All in one page, on one time axis: [{page}]({page})\n");
    for kind in GraphKind::ALL {
        let description = escaped(&kind.description(story)).replace(['[', ']'], "");
        let _ = writeln!(text, "![{} ({}). {description}]({})\n", kind.title(), kind.unit(), picture(kind));
    }
    let moments = exact_moments(story);
    if !moments.is_empty() {
        text += "## What happened when\n\n| time | UTC | backend | event |\n|---|---|---|---|\n";
        for Moment { at, utc, backend, kind, meaning } in moments {
            let _ = writeln!(text, "| {at} | {utc} | {} | {kind}: {meaning} |", escaped(&backend));
        }
        text.push('\n');
    }
    let (command, length) = (story.command.replace('`', "'"), span(story.seconds));
    let source = escaped(&story.source);
    let _ = writeln!(
        text,
        "Made by `{command}`. The load began on {} and lasted {length}. {source}",
        began(story)
    );
    text.replace('\u{a0}', " ")
}

/// Text in which nothing is Markdown: names come from configurations.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '`' | '*' | '<' | '>' | '|' | '[' | ']' | '#')
            || (c == '_' && text.contains("__"))
        {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
