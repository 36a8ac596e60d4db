//! The program's own log: what `tracing` events look like and where they go.
//!
//! To standard error, so that standard output stays free for results (`check`, `demo --json`, an access log). For
//! people by default, with colours only on a terminal that wants them; as JSON lines for machines by choice.

use std::io::IsTerminal;

use tracing::Subscriber;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::{EnvFilter, Registry};

use super::traces::{self, SharedTraces};

/// The environment variable that says what is logged, as `info` or `plimsoll::control_plane=debug,warn`.
pub const LOG_VARIABLE: &str = "PLIMSOLL_LOG";

/// What is logged when nobody says otherwise: changes that an operator cares about.
const USUALLY: &str = "info";

/// The form of a line of the program's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogForm {
    /// For people.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
}

/// Why the program's log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be understood.
    #[error(
        "cannot read the log filter `{filter}`: {source}; write a level (error, warn, info, debug, trace) or module=level,…"
    )]
    Filter {
        /// The text.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Another log was started before.
    #[error("the log is already started")]
    Started(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Starts the program's log. `filter` is what a flag or [`LOG_VARIABLE`] says; `None` means `info`. What the program does, and
/// logs meanwhile, also goes to `traces` while they are on.
///
/// # Errors
/// When the filter cannot be understood, or a log runs already.
pub fn start_log(form: LogForm, filter: Option<&str>, traces: SharedTraces) -> Result<(), LogError> {
    let colours =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    tracing::subscriber::set_global_default(subscriber(form, filter, colours, std::io::stderr, traces)?)?;
    Ok(())
}

fn subscriber<W>(
    form: LogForm,
    filter: Option<&str>,
    colours: bool,
    writer: W,
    traces: SharedTraces,
) -> Result<Box<dyn Subscriber + Send + Sync>, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let text = filter.map(str::trim).filter(|text| !text.is_empty()).unwrap_or(USUALLY);
    let filter =
        EnvFilter::try_new(text).map_err(|source| LogError::Filter { filter: text.to_owned(), source })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours);
    let lines = match form {
        LogForm::Human => lines.with_target(false).boxed(),
        LogForm::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    // A line tells what happened; during which operation is for traces.
    let lines = lines.with_filter(filter).with_filter(filter_fn(|metadata| metadata.is_event()));
    Ok(Box::new(Registry::default().with(lines).with(traces::layer(traces))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// Returns what is written when one event of each level happens.
    fn logged(form: LogForm, filter: Option<&str>, colours: bool) -> String {
        let written = Arc::new(Mutex::new(Vec::new()));
        let target = Arc::clone(&written);
        let writer = move || Shared(Arc::clone(&target));
        tracing::subscriber::with_default(
            subscriber(form, filter, colours, writer, SharedTraces::default()).expect("a good filter"),
            || {
                // A line is the same during an operation that traces tell of.
                let _during = tracing::info_span!("operation").entered();
                tracing::info!(backend = "backend-1", cause = "check", "backend is down");
                tracing::debug!("connection accepted");
            },
        );
        let bytes = written.lock().expect("no test panics with the lock").clone();
        String::from_utf8(bytes).expect("a log is UTF-8")
    }

    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no test panics with the lock").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn json_is_one_object_per_line_with_the_fields_beside_the_message() {
        let line = logged(LogForm::Json, None, false);
        let object: serde_json::Value = serde_json::from_str(line.trim()).expect("one line of JSON");
        assert_eq!(object["message"], "backend is down");
        assert_eq!(object["backend"], "backend-1");
        assert_eq!(object["level"], "INFO");
        assert_eq!((&object["span"], &object["spans"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    }

    #[test]
    fn people_get_colours_only_where_they_are_wanted() {
        let plain = logged(LogForm::Human, None, false);
        assert!(plain.contains("backend is down backend=\"backend-1\" cause=\"check\""), "{plain}");
        assert!(!plain.contains('\x1b'));
        assert!(logged(LogForm::Human, None, true).contains('\x1b'));
    }

    #[test]
    fn the_filter_says_what_is_logged() {
        assert_eq!(logged(LogForm::Human, None, false).lines().count(), 1);
        assert_eq!(logged(LogForm::Human, Some("debug"), false).lines().count(), 2);
        assert_eq!(logged(LogForm::Human, Some(" "), false).lines().count(), 1);
        assert_eq!(logged(LogForm::Human, Some("error"), false), "");
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_an_error_that_shows_it() {
        let traces = SharedTraces::default();
        let error = subscriber(LogForm::Human, Some("plimsoll=loud"), false, std::io::sink, traces)
            .err()
            .expect("an error");
        assert!(error.to_string().contains("plimsoll=loud"), "{error}");
    }
}
