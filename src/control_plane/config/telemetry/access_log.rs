//! The access log: which exchanges it holds, how its lines look, and where they go.

use std::path::PathBuf;

use super::super::read::{boolean, one_of, text};
use super::super::section::Section;
use super::super::tree::{Content, Node};
use super::super::value::Invalid;
use super::super::value::address::BackendAddress;
use super::super::value::quantity::Ratio;

/// The access log.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLogConfig {
    /// Which exchanges are written.
    pub mode: AccessLogMode,
    /// The share of exchanges that is written in the mode `sampled`.
    pub sample: Ratio,
    /// How a line looks.
    pub format: AccessLogFormat,
    /// Where lines go.
    pub target: LogTarget,
    /// Whether connections on which nothing came have no line.
    pub dontlognull: bool,
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

/// How a line of the access log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// One JSON object.
    Json,
    /// `key=value` pairs.
    Logfmt,
    /// The line of HAProxy's `option httplog`.
    Httplog,
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
    /// A syslog daemon.
    Syslog(SyslogConfig),
}

/// A syslog daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogConfig {
    /// Where it listens.
    pub address: SyslogAddress,
    /// The number of the facility (RFC 5424 §6.2.1).
    pub facility: u8,
}

/// Where a syslog daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogAddress {
    /// A datagram socket of this host.
    Socket(PathBuf),
    /// A port of UDP.
    Udp(BackendAddress),
}

impl AccessLogConfig {
    pub(super) fn decode(section: &Section<'_>) -> Self {
        let syslog = SyslogConfig::decode(section);
        // Whoever says where the daemon is wants the lines to go there, unless the path says otherwise.
        let is_implied = section.has("syslog") && !section.has("path");
        let target = match section.value("path", text(Path::parse)) {
            Path::Syslog => LogTarget::Syslog(syslog),
            _ if is_implied => LogTarget::Syslog(syslog),
            Path::Stdout => LogTarget::Stdout,
            Path::Stderr => LogTarget::Stderr,
            Path::File(path) => LogTarget::File(path),
        };
        Self {
            mode: section.value("mode", one_of(&MODES)),
            sample: section.value("sample", text(Ratio::parse)),
            format: section.value("format", one_of(&FORMATS)),
            target,
            dontlognull: section.value("dontlognull", boolean),
        }
    }
}

const MODES: [(&str, AccessLogMode); 3] =
    [("off", AccessLogMode::Off), ("sampled", AccessLogMode::Sampled), ("on", AccessLogMode::On)];

const FORMATS: [(&str, AccessLogFormat); 3] = [
    ("json", AccessLogFormat::Json),
    ("logfmt", AccessLogFormat::Logfmt),
    ("httplog", AccessLogFormat::Httplog),
];

/// The facilities of programs that are no part of the system, with their numbers.
const FACILITIES: [(&str, u8); 10] = [
    ("user", 1),
    ("daemon", 3),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// What the key `path` may say.
enum Path {
    Stdout,
    Stderr,
    Syslog,
    File(PathBuf),
}

impl Path {
    fn parse(text: &str) -> Result<Self, Invalid> {
        match text {
            "stdout" => Ok(Self::Stdout),
            "stderr" => Ok(Self::Stderr),
            "syslog" => Ok(Self::Syslog),
            path if path.contains('/') => Ok(Self::File(path.into())),
            _ => Err(Invalid::new(format!(
                "`{}` is neither `stdout`, `stderr`, `syslog` nor a path",
                text.escape_debug()
            ))
            .hint(format!("for a file in the working directory write `./{}`", text.escape_debug()))),
        }
    }
}

impl SyslogConfig {
    /// Decodes the key `syslog`: an address, or a section.
    fn decode(access_log: &Section<'_>) -> Self {
        let (section, given) = match access_log.given("syslog") {
            Some(node @ Node { content: Content::Scalar(_), .. }) => {
                (access_log.absent("syslog"), text(SyslogAddress::parse)(node, access_log.problems))
            }
            _ => (access_log.section("syslog"), None),
        };
        Self {
            address: given.unwrap_or_else(|| section.value("address", text(SyslogAddress::parse))),
            facility: section.value("facility", one_of(&FACILITIES)),
        }
    }
}

impl SyslogAddress {
    /// The port of syslog over UDP (RFC 5426 §3.3).
    const PORT: u16 = 514;

    fn parse(text: &str) -> Result<Self, Invalid> {
        if text.starts_with('/') {
            return Ok(Self::Socket(text.into()));
        }
        let with_port = if text.contains(':') { text.to_owned() } else { format!("{text}:{}", Self::PORT) };
        BackendAddress::parse(&with_port).map(Self::Udp).map_err(|invalid| {
            invalid.hint(
                "write the path of a socket, as `/dev/log`, or a host and a port of UDP: `127.0.0.1:514`",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_a_socket_or_a_host() {
        let shown = |text| match SyslogAddress::parse(text) {
            Ok(SyslogAddress::Socket(path)) => path.display().to_string(),
            Ok(SyslogAddress::Udp(address)) => format!("udp {address}"),
            Err(invalid) => format!("{invalid}, {:?}", invalid.hint),
        };
        assert_eq!(shown("/dev/log"), "/dev/log");
        assert_eq!(shown("127.0.0.1"), "udp 127.0.0.1:514");
        assert_eq!(shown("[::1]:5140"), "udp [::1]:5140");
        assert_eq!(shown("Logs.example.org"), "udp logs.example.org:514");
        for wrong in ["", ":514", "a b", "tcp://127.0.0.1:514", "127.0.0.1:0"] {
            assert!(shown(wrong).contains("/dev/log"), "{wrong}: {}", shown(wrong));
        }
    }
}
