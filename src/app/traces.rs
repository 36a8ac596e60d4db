//! Traces: from the configuration to the thread that speaks to the collector.

use std::sync::Arc;
use std::time::Duration;

use super::App;
use crate::control_plane::config::Config;
use crate::control_plane::config::telemetry::traces::{TracesConfig, TracesProtocol};
use crate::telemetry::{SharedTraces, Telemetry, TraceProtocol, TraceSettings, Traces, TracesError};

/// Starts traces as the configuration wants them; none without it.
///
/// # Errors
/// When the collector cannot be spoken to in this way. It need not be there.
pub(super) fn start(
    config: Option<&TracesConfig>,
    telemetry: &Arc<Telemetry>,
) -> Result<Traces, TracesError> {
    config.map_or(Ok(Traces::default()), |config| Traces::to(&settings(config), telemetry))
}

/// Gives what is left to the collector. For the end of the process: blocks the calling thread, a second at most.
pub(super) fn flush(traces: &SharedTraces) {
    if !traces.load().flush(Duration::from_secs(1)) {
        tracing::warn!("some traces did not reach the collector in time");
    }
}

impl App {
    /// Starts traces anew if `config` wants them otherwise. None leaves them as they are: a share and a threshold are a matter
    /// of the data plane.
    pub(super) fn changed_traces(&self, config: &Config) -> Result<Option<Traces>, TracesError> {
        let [present, next] = [&self.config, config].map(|config| config.telemetry.traces.as_ref());
        let is_changed = present.map(settings) != next.map(settings);
        is_changed.then(|| start(next, &self.shared.telemetry)).transpose()
    }
}

fn settings(config: &TracesConfig) -> TraceSettings {
    TraceSettings {
        collector: config.collector.to_string(),
        protocol: match config.protocol {
            TracesProtocol::Grpc => TraceProtocol::Grpc,
            TracesProtocol::Http => TraceProtocol::Http,
        },
        headers: config
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.as_str().to_owned()))
            .collect(),
    }
}
