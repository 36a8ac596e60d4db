//! The section `global`.

use super::settings::number;
use super::tree::Section;
use super::words;
use crate::note::Notes;
use crate::span::Span;
use crate::table;

/// What concerns the whole process.
#[derive(Debug, Default)]
pub(crate) struct Global {
    pub(crate) maxconn: Option<u64>,
    pub(crate) threads: Option<u64>,
    pub(crate) hard_stop: Option<Span>,
    /// By how many percent checks vary.
    pub(crate) spread_checks: Option<u64>,
}

impl Global {
    pub(crate) fn read(&mut self, section: &Section, notes: &Notes) {
        for line in &section.lines {
            let [keyword, rest @ ..] = &line[..] else { continue };
            match keyword.text.as_str() {
                "maxconn" => {
                    self.maxconn = number(line, rest, notes);
                    notes.mapped(line, "listeners.*.max_connections, at most this each");
                }
                "nbthread" => {
                    self.threads = number(line, rest, notes).filter(|threads| (1..=256).contains(threads));
                    notes.mapped(line, "workers");
                }
                "hard-stop-after" => match rest.first().and_then(|span| Span::haproxy(&span.text)) {
                    Some(span) if !span.is_zero() => {
                        self.hard_stop = Some(span);
                        notes.mapped(line, "drain.timeout");
                    }
                    _ => notes.error(line, "it needs a span of time"),
                },
                "spread-checks" => {
                    self.spread_checks = number(line, rest, notes).map(|percent| percent.min(100));
                    notes.mapped(line, "upstreams.*.health.jitter");
                }
                "log" => notes.mapped(
                    line,
                    "telemetry: the program's log goes to standard error and the access log to standard \
                        output, where journald or a log collector takes them",
                ),
                _ => {
                    if !table::tell(words::GLOBAL, line, notes) {
                        let more = ["maxconn", "nbthread", "hard-stop-after", "spread-checks", "log"];
                        let known = words::GLOBAL.iter().map(|(word, ..)| word.trim_end_matches('*'));
                        notes.unknown(line, "word of global", known.chain(more));
                    }
                }
            }
        }
    }
}
