//! `plimsoll run`: serve a configuration.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::app;
use crate::control_plane::config;
use crate::control_plane::config::telemetry::{LogConfig, LogFormat, LogLevel};
use crate::telemetry::{LOG_VARIABLE, LogForm, SharedTraces, start_log};

/// Flags of `plimsoll run`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  plimsoll run -c plimsoll.yaml\n  plimsoll ctl reload           # or kill -HUP $(pidof plimsoll)"
)]
pub(super) struct Arguments {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = "plimsoll.yaml")]
    config: PathBuf,
    /// How the program's log on standard error looks; overrides the file.
    #[arg(long, value_enum)]
    log_format: Option<FormatArgument>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FormatArgument {
    /// For people.
    Human,
    /// One JSON object per line.
    Json,
}

/// Serves until a signal ends the process. Exits with 1 when it cannot begin to.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let (config, warnings) = match config::load(&arguments.config) {
        Ok(loaded) => loaded,
        Err(report) => return fail(&report),
    };
    let traces = SharedTraces::default();
    let log = &config.telemetry.log;
    if let Err(error) = start_program_log(log, arguments.log_format, SharedTraces::clone(&traces)) {
        return fail(&error);
    }
    if !warnings.is_empty() {
        tracing::warn!("{}", warnings.to_string().trim_end());
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}; check the limit of open files")),
    };
    match runtime.block_on(app::run(&arguments.config, config, traces)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn start_program_log(
    config: &LogConfig,
    format: Option<FormatArgument>,
    traces: SharedTraces,
) -> Result<(), crate::telemetry::LogError> {
    let form = match format {
        Some(FormatArgument::Json) => LogForm::Json,
        Some(FormatArgument::Human) => LogForm::Human,
        None if config.format == LogFormat::Json => LogForm::Json,
        None => LogForm::Human,
    };
    let level = match config.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let variable = std::env::var(LOG_VARIABLE).ok();
    start_log(form, Some(variable.as_deref().unwrap_or(level)), traces)
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "{error}");
    ExitCode::FAILURE
}
