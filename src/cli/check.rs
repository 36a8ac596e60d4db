//! `plimsoll check`: say whether a configuration is valid, and where it sends a request.

mod explain;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::control_plane::changes::{Kept, KeptError};
use crate::control_plane::config::report::{Problem, Severity};
use crate::control_plane::config::{self, Config};
use crate::control_plane::discovery::{Discovery, News, hosts};
use explain::Question;

/// Flags of `plimsoll check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  plimsoll check -c plimsoll.yaml\n  \
                        plimsoll check --explain \"GET http://example.org/img/logo.png\"\n  \
                        plimsoll check --explain \"GET http://example.org/\" -H \"x-canary: 1\"\n  \
                        plimsoll check --explain \"GET http://example.org/ from 192.0.2.7\"")]
pub(super) struct Arguments {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = "plimsoll.yaml")]
    config: PathBuf,
    /// Shows which route a request takes, and why not those before it.
    #[arg(long, value_name = "METHOD URL [from ADDRESS]", value_parser = Question::parse)]
    explain: Option<Question>,
    /// A header of the request to explain. May be given several times.
    #[arg(short = 'H', long, value_name = "NAME: VALUE", requires = "explain", value_parser = explain::header)]
    header: Vec<(String, String)>,
}

/// Checks a file. Exits with 0 when it is valid, else with 1 and all its problems on standard error.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let question = arguments.explain.clone().map(|question| question.with_headers(arguments.header.clone()));
    let (mut out, mut problems) = (io::stdout().lock(), io::stderr().lock());
    let checked = check(&arguments.config, question.as_ref(), unresolved, &mut out, &mut problems);
    // Nobody is left to tell when an output is closed.
    if checked.unwrap_or(false) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Writes what there is to say about a file; `unresolved` finds the host names that have no address here. Returns whether
/// the file is valid.
fn check(
    path: &Path,
    question: Option<&Question>,
    unresolved: impl Fn(&Config) -> Vec<News>,
    out: &mut impl Write,
    problems: &mut impl Write,
) -> io::Result<bool> {
    let (config, warnings) = match config::load(path) {
        Ok(loaded) => loaded,
        Err(report) => {
            writeln!(problems, "{report}")?;
            writeln!(problems, "{}: {}", path.display(), tally(report.problems()))?;
            return Ok(false);
        }
    };
    if !warnings.is_empty() {
        writeln!(problems, "{warnings}")?;
    }
    let unresolved = unresolved(&config);
    for News { host, error, .. } in &unresolved {
        let (path, error) = (path.display(), error.as_deref().unwrap_or_default());
        writeln!(problems, "{path}: warning: cannot resolve `{host}`: {error}")?;
        writeln!(problems, "      = hint: its backends are down until it has an address; check the name")?;
    }
    let warnings = warnings.problems().count() + unresolved.len();
    let changes = match changes(&config) {
        Ok(changes) => changes,
        Err(error) => {
            writeln!(problems, "{error}")?;
            return Ok(false);
        }
    };
    writeln!(out, "{}: ok: {}{changes}", path.display(), summary(&config, warnings))?;
    if let Some(question) = question {
        explain::explain(&config, question, out)?;
    }
    Ok(true)
}

/// Looks up the host names of backends. Returns those that have no address, in the order of the file.
fn unresolved(config: &Config) -> Vec<News> {
    // Without an event loop nothing can be looked up; `run` would say so.
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    let mut discovery = Discovery::new();
    runtime.block_on(discovery.look_up_all(config));
    let mut failed: Vec<News> =
        discovery.take_news().into_iter().filter(|news| news.error.is_some()).collect();
    failed.sort_by_key(|news| hosts(config).position(|(host, _)| *host == *news.host));
    failed
}

/// Says how many changes by operators a start would apply. Empty where none are kept.
///
/// # Errors
/// When the file that keeps them cannot be used: a start would fail as well.
fn changes(config: &Config) -> Result<String, KeptError> {
    let Some(kept) = config.admin.changes.as_deref().map(Kept::at) else { return Ok(String::new()) };
    let mut changes = kept.read()?;
    let left_out = changes.settle(config).len();
    let left_out = if left_out == 0 { String::new() } else { format!(", {left_out} left out") };
    Ok(format!("; {} at run time{left_out}", counted(changes.len(), "change")))
}

fn summary(config: &Config, warnings: usize) -> String {
    let backends = config.upstreams.iter().map(|upstream| upstream.backends.len()).sum();
    let parts = [
        counted(config.listeners.len(), "listener"),
        counted(config.routes.len(), "route"),
        counted(config.upstreams.len(), "upstream"),
        counted(backends, "backend"),
        counted(warnings, "warning"),
    ];
    parts.join(", ")
}

fn tally<'a>(problems: impl Iterator<Item = &'a Problem>) -> String {
    let (errors, warnings): (Vec<_>, Vec<_>) =
        problems.partition(|problem| problem.severity == Severity::Error);
    let errors = counted(errors.len(), "error");
    if warnings.is_empty() { errors } else { format!("{errors}, {}", counted(warnings.len(), "warning")) }
}

fn counted(count: usize, noun: impl Display) -> String {
    match count {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests;
