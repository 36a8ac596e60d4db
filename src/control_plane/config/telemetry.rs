//! What the process writes about itself. Metrics have no keys: they are always on.

use std::time::Duration;

use super::read::{one_of, span};
use super::section::Section;

pub mod access_log;
pub mod traces;

pub use access_log::{AccessLogConfig, AccessLogFormat, AccessLogMode, LogTarget, SyslogAddress};
use traces::TracesConfig;

/// What the process writes about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct TelemetryConfig {
    /// One line per exchange.
    pub access_log: AccessLogConfig,
    /// Traces of exchanges. None when nobody wants any.
    pub traces: Option<TracesConfig>,
    /// The program's own log.
    pub log: LogConfig,
    /// After how long without the head of its answer an exchange is slow.
    pub slow: Duration,
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
        let log = section.section("log");
        Self {
            access_log: AccessLogConfig::decode(&section.section("access_log")),
            traces: TracesConfig::decode(section),
            log: LogConfig {
                level: log.value("level", one_of(&LOG_LEVELS)),
                format: log.value("format", one_of(&LOG_FORMATS)),
            },
            slow: section.value("slow", span),
        }
    }
}

const LOG_LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

const LOG_FORMATS: [(&str, LogFormat); 2] = [("human", LogFormat::Human), ("json", LogFormat::Json)];
