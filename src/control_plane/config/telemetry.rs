//! What the process writes about itself. Metrics have no keys: they are always on.

use std::path::PathBuf;

use super::read::{one_of, text};
use super::section::Section;
use super::value::Invalid;
use super::value::quantity::Ratio;

/// What the process writes about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct TelemetryConfig {
    /// One JSON line per exchange.
    pub access_log: AccessLogConfig,
    /// The program's own log.
    pub log: LogConfig,
}

/// The access log.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLogConfig {
    /// Which exchanges are written.
    pub mode: AccessLogMode,
    /// The share of exchanges that is written in the mode `sampled`.
    pub sample: Ratio,
    /// Where lines go.
    pub path: LogTarget,
}

/// Which exchanges the access log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLogMode {
    /// None.
    Off,
    /// A random share.
    Sampled,
    /// All.
    On,
}

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, appended to.
    File(PathBuf),
}

/// The program's own log, on standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// The least important lines that are written.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
}

/// How important a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// What an operator must see to.
    Error,
    /// What an operator should know.
    Warn,
    /// Changes.
    Info,
    /// Each connection.
    Debug,
    /// Everything.
    Trace,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// For programs: one JSON object per line.
    Json,
}

impl TelemetryConfig {
    pub(super) fn decode(section: &Section<'_>) -> Self {
        let access_log = section.section("access_log");
        let log = section.section("log");
        Self {
            access_log: AccessLogConfig {
                mode: access_log.value("mode", one_of(&ACCESS_LOG_MODES)),
                sample: access_log.value("sample", text(Ratio::parse)),
                path: access_log.value("path", text(LogTarget::parse)),
            },
            log: LogConfig {
                level: log.value("level", one_of(&LOG_LEVELS)),
                format: log.value("format", one_of(&LOG_FORMATS)),
            },
        }
    }
}

const ACCESS_LOG_MODES: [(&str, AccessLogMode); 3] =
    [("off", AccessLogMode::Off), ("sampled", AccessLogMode::Sampled), ("on", AccessLogMode::On)];

const LOG_LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

const LOG_FORMATS: [(&str, LogFormat); 2] = [("human", LogFormat::Human), ("json", LogFormat::Json)];

impl LogTarget {
    fn parse(text: &str) -> Result<Self, Invalid> {
        match text {
            "stdout" => Ok(Self::Stdout),
            "stderr" => Ok(Self::Stderr),
            path if path.contains('/') => Ok(Self::File(path.into())),
            _ => Err(Invalid::new(format!(
                "`{}` is neither `stdout`, `stderr` nor a path",
                text.escape_debug()
            ))
            .hint(format!("for a file in the working directory write `./{}`", text.escape_debug()))),
        }
    }
}
