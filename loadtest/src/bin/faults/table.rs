//! Prints the runs as the Markdown tables that people compare.

use crate::fault::Fault;
use crate::run::Run;
use crate::verdict::Verdict;
use std::fmt::{Result, Write as _};

const FIGURES: &str = "Each cell: failed GET / failed POST (of these, sent to a backend before) / GET answered later than \
    100 ms / longest gap of the client in turn / time until the backend has a quarter of the traffic again.";

const LATE: &str = "Clients' requests sent to the failed backend later than 2 s after it failed; `?` where they cannot be \
    told from checks:";

const DISTURBED: &str = "Disturbed: the machine was so busy that a request was sent so late, or that so many GETs were slow \
    before the fault; slow answers and gaps say little:";

/// The command line, then the figures and the requests that came late: one row per fault, one column per program, in
/// the order of the runs; medians where there were rounds.
pub(crate) fn markdown(command_line: &str, runs: &[Run]) -> std::result::Result<String, std::fmt::Error> {
    let mut out = format!("    {command_line}\n\n{FIGURES}\n\n");
    grid(&mut out, runs, &Fault::ALL, figures)?;
    let late = [Fault::Kill, Fault::VanishLink, Fault::VanishDrop, Fault::Hang, Fault::Errors];
    if runs.iter().any(|run| late.contains(&run.fault)) {
        write!(out, "\n{LATE}\n\n")?;
        grid(&mut out, runs, &late, late_requests)?;
    }
    list(&mut out, "Missed:", runs.iter().filter_map(missed).collect())?;
    list(&mut out, DISTURBED, runs.iter().filter_map(disturbed).collect())?;
    Ok(out)
}

fn list(out: &mut String, title: &str, lines: Vec<String>) -> Result {
    if lines.is_empty() { Ok(()) } else { write!(out, "\n{title}\n\n{}", lines.concat()) }
}

fn grid(out: &mut String, runs: &[Run], faults: &[Fault], cell: impl Fn(&[&Verdict]) -> String) -> Result {
    let mut programs: Vec<&str> = Vec::new();
    for run in runs {
        if !programs.contains(&run.program.as_str()) {
            programs.push(&run.program);
        }
    }
    writeln!(out, "| fault on one backend | {} |", programs.join(" | "))?;
    writeln!(out, "|---|{}", "--:|".repeat(programs.len()))?;
    for fault in faults.iter().filter(|fault| runs.iter().any(|run| run.fault == **fault)) {
        write!(out, "| {} |", fault.title())?;
        for program in &programs {
            let own = runs.iter().filter(|run| run.fault == *fault && run.program == *program);
            let verdicts: Vec<&Verdict> = own.map(|run| &run.verdict).collect();
            let text = if verdicts.is_empty() { "–".to_owned() } else { cell(&verdicts) };
            write!(out, " {text} |")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn figures(verdicts: &[&Verdict]) -> String {
    let count = |of: fn(&Verdict) -> u64| median(verdicts.iter().map(|verdict| of(verdict) as f64));
    let gap = median(verdicts.iter().map(|verdict| verdict.gap_ms));
    let back = median(verdicts.iter().map(|verdict| verdict.back_after_s.unwrap_or(f64::INFINITY)));
    let back = if back.is_finite() { format!("{back:.1} s") } else { "never".to_owned() };
    let mut text = format!(
        "{} / {} ({}) / {} / {gap:.0} ms / {back}",
        count(|verdict| verdict.failed_get),
        count(|verdict| verdict.failed_post),
        count(|verdict| verdict.failed_post_sent),
        count(|verdict| verdict.slow_get),
    );
    // Rare and grave, so the sum of the rounds.
    let twice: u64 = verdicts.iter().map(|verdict| verdict.posts_executed_twice).sum();
    if twice > 0 {
        text.push_str(&format!(" / **{twice} POSTs executed twice**"));
    }
    text
}

fn late_requests(verdicts: &[&Verdict]) -> String {
    let late: Option<Vec<u64>> = verdicts.iter().map(|verdict| verdict.late_requests).collect();
    late.map_or_else(|| "?".to_owned(), |late| median(late.iter().map(|count| *count as f64)).to_string())
}

fn missed(run: &Run) -> Option<String> {
    (!run.misses.is_empty())
        .then(|| format!("- {}, {}: {}\n", run.program, run.fault.title(), run.misses.join("; ")))
}

fn disturbed(run: &Run) -> Option<String> {
    let (late, slow) = (run.sent_late_max_ms, run.verdict.slow_before);
    run.is_disturbed()
        .then(|| format!("- {}, {}: {late:.0} ms, {slow} GETs\n", run.program, run.fault.title()))
}

/// The middle value, or of two the lower one: a figure that was really seen.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(program: &str, fault: Fault, failed_get: u64) -> Run {
        let verdict = Verdict { failed_get, gap_ms: 19.4, back_after_s: Some(0.4), ..Verdict::default() };
        Run { program: program.to_owned(), fault, verdict, misses: Vec::new(), sent_late_max_ms: 1.0 }
    }

    #[test]
    fn every_program_has_a_column_and_every_fault_that_was_run_a_row() {
        let mut runs = vec![run("a 1.0", Fault::Slow, 3), run("b 2.0", Fault::Kill, 0)];
        runs[1].verdict.posts_executed_twice = 2;
        runs[1].verdict.back_after_s = None;
        let table = markdown("faults --only a,b", &runs).unwrap();
        assert!(table.starts_with("    faults --only a,b\n"), "{table}");
        for line in [
            "| fault on one backend | a 1.0 | b 2.0 |",
            "| kill -9 (RST) | – | 0 / 0 (0) / 0 / 19 ms / never / **2 POSTs executed twice** |",
            "| 100 × slower, round robin | 3 / 0 (0) / 0 / 19 ms / 0.4 s | – |",
            "| kill -9 (RST) | – | ? |",
        ] {
            assert!(table.lines().any(|found| found == line), "{line} is not in\n{table}");
        }
        assert!(!table.contains("Missed"), "{table}");
    }

    #[test]
    fn rounds_are_summed_up_by_their_median_and_what_is_missed_is_listed() {
        let mut runs: Vec<Run> = [5, 0, 1].map(|failed| run("a", Fault::Kill, failed)).into();
        runs[2].sent_late_max_ms = 70.2;
        runs[0].misses = vec!["failed GET: 5, at most 0".to_owned()];
        let table = markdown("faults", &runs).unwrap();
        assert!(table.contains("| kill -9 (RST) | 1 / 0 (0) / 0 / 19 ms / 0.4 s |"), "{table}");
        assert!(table.contains("- a, kill -9 (RST): failed GET: 5, at most 0\n"), "{table}");
        assert!(table.ends_with("say little:\n\n- a, kill -9 (RST): 70 ms, 0 GETs\n"), "{table}");
    }
}
