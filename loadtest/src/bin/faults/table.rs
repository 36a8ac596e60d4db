//! Prints the runs as the Markdown table that people compare.

use crate::fault::Fault;
use crate::run::Run;
use crate::verdict::Verdict;
use std::fmt::Write as _;

/// One row per fault, one column per program, in the order in which they came; medians where there were rounds.
pub(crate) fn markdown(command_line: &str, runs: &[Run]) -> Result<String, std::fmt::Error> {
    let mut programs: Vec<&str> = Vec::new();
    for run in runs {
        if !programs.contains(&run.program.as_str()) {
            programs.push(&run.program);
        }
    }
    let mut out = String::new();
    writeln!(out, "    {command_line}\n")?;
    writeln!(
        out,
        "Each cell: failed GET / failed POST (of these received by a backend) / GET later than 100 ms / longest gap of \
         the client in turn / time until the backend has a quarter of the traffic again.\n"
    )?;
    writeln!(out, "| fault on one backend | {} |", programs.join(" | "))?;
    writeln!(out, "|---|{}", "--:|".repeat(programs.len()))?;
    for fault in Fault::ALL.into_iter().filter(|fault| runs.iter().any(|run| run.fault == *fault)) {
        let cells = programs.iter().map(|program| {
            let verdicts: Vec<&Verdict> = (runs.iter())
                .filter(|run| run.fault == fault && run.program == **program)
                .map(|run| &run.verdict)
                .collect();
            cell(&verdicts)
        });
        writeln!(out, "| {} | {} |", fault.title(), cells.collect::<Vec<_>>().join(" | "))?;
    }
    Ok(out)
}

fn cell(verdicts: &[&Verdict]) -> String {
    if verdicts.is_empty() {
        return "–".to_owned();
    }
    let count = |of: fn(&Verdict) -> u64| median(verdicts.iter().map(|verdict| of(verdict) as f64)).round();
    let gap = median(verdicts.iter().map(|verdict| verdict.gap_ms));
    let back = median(verdicts.iter().map(|verdict| verdict.back_after_s.unwrap_or(f64::INFINITY)));
    let back = if back.is_finite() { format!("{back:.1} s") } else { "never".to_owned() };
    let mut cell = format!(
        "{} / {} ({}) / {} / {gap:.0} ms / {back}",
        count(|v| v.failed_get),
        count(|v| v.failed_post),
        count(|v| v.failed_post_received),
        count(|v| v.slow_get),
    );
    let twice: u64 = verdicts.iter().map(|verdict| verdict.posts_executed_twice).sum();
    if twice > 0 {
        cell.push_str(&format!(" / **{twice} POSTs executed twice**"));
    }
    cell
}

/// The middle value, or of two the lower one: a figure that was really seen.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}
