//! The access log as the configuration wants it.

use std::sync::Arc;

use crate::control_plane::config::telemetry::{
    AccessLogConfig, AccessLogFormat, AccessLogMode, LogTarget as LogTargetConfig,
    SyslogAddress as SyslogAddressConfig,
};
use crate::telemetry::{
    AccessLog, AccessLogError, AccessLogSettings, LineFormat, LogTarget, Syslog, SyslogAddress, Telemetry,
};

/// Starts the access log.
///
/// # Errors
/// When its file cannot be opened, or its thread cannot be started.
pub(super) fn start(
    config: &AccessLogConfig,
    telemetry: &Arc<Telemetry>,
) -> Result<AccessLog, AccessLogError> {
    let share = match config.mode {
        AccessLogMode::Off => return Ok(AccessLog::off()),
        AccessLogMode::Sampled => config.sample.get(),
        AccessLogMode::On => 1.0,
    };
    let target = match &config.target {
        LogTargetConfig::Stdout => LogTarget::Stdout,
        LogTargetConfig::Stderr => LogTarget::Stderr,
        LogTargetConfig::File(path) => LogTarget::File(path.clone()),
        LogTargetConfig::Syslog(syslog) => LogTarget::Syslog(Syslog {
            address: match &syslog.address {
                SyslogAddressConfig::Socket(path) => SyslogAddress::Socket(path.clone()),
                SyslogAddressConfig::Udp(address) => SyslogAddress::Udp(address.to_string().into()),
            },
            facility: syslog.facility,
        }),
    };
    let format = match config.format {
        AccessLogFormat::Json => LineFormat::Json,
        AccessLogFormat::Logfmt => LineFormat::Logfmt,
        AccessLogFormat::Httplog => LineFormat::Httplog,
    };
    AccessLog::start(AccessLogSettings { target, format, share, nulls: !config.dontlognull }, telemetry)
}
