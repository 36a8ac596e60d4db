//! What is wrong with a configuration file, and how that is shown.
//!
//! A report holds everything that was found, in the order of the file, so that one run of `plimsoll check` is
//! enough to mend it.

use std::cell::RefCell;
use std::fmt;

use super::value::Invalid;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, and likely does not do what its writer meant.
    Warning,
}

/// A place in the file, counted from 1; 0 is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
    /// How many characters to underline, on this line.
    pub length: usize,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Where it is.
    pub place: Place,
    /// What it is.
    pub message: String,
    /// What to do about it. None when the message says all there is to say.
    pub hint: Option<String>,
}

/// Everything that is wrong with a file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    findings: Findings,
}

/// What is doubtful in a file that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warnings {
    findings: Findings,
}

/// Problems, in file order, with the lines they are about.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Findings {
    file: String,
    problems: Vec<(Problem, String)>,
}

/// Where problems are noted while work goes on. Shared by reference, so that every step of decoding can note one.
#[derive(Debug, Default)]
pub(super) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// Notes an error.
    pub(super) fn error(&self, place: Place, message: impl Into<String>, hint: Option<String>) {
        self.note(Severity::Error, place, message.into(), hint);
    }

    /// Notes a warning.
    pub(super) fn warning(&self, place: Place, message: impl Into<String>, hint: impl Into<String>) {
        self.note(Severity::Warning, place, message.into(), Some(hint.into()));
    }

    /// Notes a value that could not be read.
    pub(super) fn invalid(&self, place: Place, invalid: Invalid) {
        self.note(Severity::Error, place, invalid.message, invalid.hint);
    }

    /// Whether an error was noted.
    pub(super) fn has_errors(&self) -> bool {
        self.0.borrow().iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Everything that was noted.
    pub(super) fn into_vec(self) -> Vec<Problem> {
        self.0.into_inner()
    }

    fn note(&self, severity: Severity, place: Place, message: String, hint: Option<String>) {
        self.0.borrow_mut().push(Problem { severity, place, message, hint });
    }
}

/// The widest piece of a source line that is shown, in characters.
const SHOWN: usize = 100;

/// The most problems that are told at once: a file that repeats a mistake a thousand times needs to hear of it less often.
const TOLD: usize = 100;

impl Report {
    pub(super) fn new(file: &str, text: &str, problems: Vec<Problem>) -> Self {
        Self { findings: Findings::new(file, text, problems) }
    }

    /// Everything that was found, errors and warnings, in file order.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.findings.problems.iter().map(|(problem, _)| problem)
    }
}

impl Warnings {
    pub(super) fn new(file: &str, text: &str, problems: Vec<Problem>) -> Self {
        Self { findings: Findings::new(file, text, problems) }
    }

    /// The warnings in file order.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.findings.problems.iter().map(|(problem, _)| problem)
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.findings.problems.is_empty()
    }
}

impl Findings {
    fn new(file: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.place);
        let lines: Vec<&str> = text.lines().collect();
        let line_of = |problem: &Problem| {
            let index = problem.place.line.checked_sub(1);
            index.and_then(|index| lines.get(index)).copied().unwrap_or_default().to_owned()
        };
        let problems = problems
            .into_iter()
            .map(|problem| {
                let line = line_of(&problem);
                (problem, line)
            })
            .collect();
        Self { file: file.to_owned(), problems }
    }
}

impl std::error::Error for Report {}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.findings.fmt(f)
    }
}

impl fmt::Display for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.findings.fmt(f)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_error = |(problem, _): &&(Problem, String)| problem.severity == Severity::Error;
        // Where not all fit, no warning takes the place of an error.
        let crowded = self.problems.len() > TOLD && self.problems.iter().any(|one| is_error(&one));
        let told = self.problems.iter().filter(|one| !crowded || is_error(one)).take(TOLD);
        let mut left = self.problems.len();
        for (index, (problem, line)) in told.enumerate() {
            left -= 1;
            if index > 0 {
                writeln!(f)?;
            }
            let Problem { severity, place, message, hint } = problem;
            match place.line {
                0 => writeln!(f, "{}: {severity}: {message}", self.file)?,
                _ => {
                    writeln!(f, "{}:{}:{}: {severity}: {message}", self.file, place.line, place.column)?;
                    excerpt(f, *place, line)?;
                }
            }
            if let Some(hint) = hint {
                writeln!(f, "      = hint: {hint}")?;
            }
        }
        match left {
            0 => Ok(()),
            _ => writeln!(f, "\n{}: {left} more problems, which are told when these are mended", self.file),
        }
    }
}

/// Shows a line with its place underlined. Of a long line only the part around the place is shown; characters that
/// a terminal would act upon are shown as `·`.
fn excerpt(f: &mut fmt::Formatter<'_>, place: Place, line: &str) -> fmt::Result {
    if line.trim().is_empty() {
        return Ok(());
    }
    let column = place.column.saturating_sub(1);
    let skipped = (column + 20).saturating_sub(SHOWN);
    let shown: String = line
        .chars()
        .skip(skipped)
        .take(SHOWN)
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() => '·',
            c => c,
        })
        .collect();
    let room = SHOWN.saturating_sub(column - skipped).max(1);
    let underline = "^".repeat(place.length.clamp(1, room));
    writeln!(f, "{:>5} | {}", place.line, shown.trim_end())?;
    writeln!(f, "      | {:indent$}{underline}", "", indent = column - skipped)
}
