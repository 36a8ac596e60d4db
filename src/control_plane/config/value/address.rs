//! Addresses: where to listen, where a backend is, and ranges of client addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::Invalid;

/// Where a backend answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BackendAddress {
    /// An IP address and a port.
    Socket(SocketAddr),
    /// A host name, to be resolved, and a port.
    Name {
        /// The host name, in lower case.
        host: String,
        /// The port.
        port: u16,
    },
}

impl BackendAddress {
    /// Reads `127.0.0.1:80`, `[::1]:80` or `app.internal:80`.
    ///
    /// # Errors
    /// When the port is missing or no port, or the host is neither an IP address nor a host name.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let (host, port) = split(text)?;
        if host.is_empty() || host == "*" {
            return Err(
                Invalid::new(format!("`{text}` names no host")).hint(format!("write `127.0.0.1:{port}`"))
            );
        }
        if port == 0 {
            return Err(Invalid::new(format!("`{text}` has the port 0"))
                .hint("a backend answers on a port of its own"));
        }
        match parse_ip(host) {
            Some(ip) => Ok(Self::Socket(SocketAddr::new(ip, port))),
            None if is_host_name(host) => Ok(Self::Name { host: host.to_ascii_lowercase(), port }),
            None => Err(Invalid::new(format!("`{host}` is neither an IP address nor a host name"))
                .hint("write `127.0.0.1:80`, `[::1]:80` or `app.internal:80`")),
        }
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Socket(address) => address.port(),
            Self::Name { port, .. } => *port,
        }
    }
}

impl fmt::Display for BackendAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// Reads an address to listen on: `127.0.0.1:80`, `[::1]:80`, `localhost:80`, or `:80` and `*:80` for every IPv4
/// address of the machine.
///
/// # Errors
/// When the port is missing or no port, or the host is not an IP address.
pub fn listen_address(text: &str) -> Result<SocketAddr, Invalid> {
    let (host, port) = split(text)?;
    if host.is_empty() || host == "*" {
        return Ok((Ipv4Addr::UNSPECIFIED, port).into());
    }
    if host.eq_ignore_ascii_case("localhost") {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    parse_ip(host).map(|ip| SocketAddr::new(ip, port)).ok_or_else(|| {
        Invalid::new(format!("`{host}` is not an IP address")).hint(format!(
            "a listener binds to an address of this machine: `127.0.0.1:{port}`, or `:{port}` for all"
        ))
    })
}

/// A range of IP addresses: `10.0.0.0/8`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    network: IpAddr,
    prefix_len: u8,
}

impl Cidr {
    /// Reads `10.0.0.0/8`, `fd00::/8` or a single address.
    ///
    /// # Errors
    /// When the address or the length of the prefix is wrong, or the address has bits outside the prefix.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().map_err(|_| {
            Invalid::new(format!("`{text}` is not a range of addresses"))
                .hint("write `10.0.0.0/8` or `fd00::/8`")
        })?;
        let most = if network.is_ipv4() { 32 } else { 128 };
        let prefix_len = match length.map(str::parse::<u8>) {
            None => most,
            Some(Ok(length)) if length <= most => length,
            Some(_) => {
                return Err(Invalid::new(format!(
                    "the prefix length of `{text}` is not a number from 0 to {most}"
                )));
            }
        };
        let masked = masked(network, prefix_len);
        if masked != network {
            return Err(Invalid::new(format!("`{text}` has bits outside its prefix"))
                .hint(format!("write `{masked}/{prefix_len}`, or `{network}` for the single address")));
        }
        Ok(Self { network, prefix_len })
    }

    /// The first address of the range.
    #[must_use]
    pub fn network(&self) -> IpAddr {
        self.network
    }

    /// The number of leading bits that all addresses of the range share.
    #[must_use]
    pub fn prefix_len(&self) -> u8 {
        self.prefix_len
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix_len)
    }
}

fn masked(address: IpAddr, prefix_len: u8) -> IpAddr {
    let keep = u32::from(prefix_len);
    match address {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & u32::MAX.checked_shl(32 - keep).unwrap_or(0)).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & u128::MAX.checked_shl(128 - keep).unwrap_or(0)).into()),
    }
}

/// Parts `host:port`; the host of `[::1]:80` keeps its brackets.
fn split(text: &str) -> Result<(&str, u16), Invalid> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Invalid::new(format!("`{text}` is not an address")).hint(format!(
            "write `127.0.0.1:{text}`, or to listen on every IPv4 address `:{text}` in quotes"
        )));
    }
    let no_port = || Invalid::new(format!("`{text}` has no port")).hint(format!("write `{text}:8080`"));
    if text.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) {
        return Err(Invalid::new(format!("`{text}` has no port")).hint(format!("write `[{text}]:8080`")));
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return Err(Invalid::new(format!("`{text}` is a URL")).hint(format!(
            "write the address alone, without `{scheme}://` and path: `{}`",
            rest.split('/').next().unwrap_or_default()
        )));
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(no_port)?;
    if port.is_empty() {
        return Err(no_port());
    }
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(port) if digits => Ok((host, port)),
        _ => Err(Invalid::new(format!("`{port}` is not a port")).hint("a port is a number from 0 to 65535")),
    }
}

fn parse_ip(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(v6) => v6.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    }
}

/// Whether the text may be a host name: labels of letters, digits, `-` and `_` (RFC 1123 section 2.1, and the
/// underscore that container networks use). Four numbers are a mistyped IP address, not a name.
pub(in super::super) fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let numeric = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.len() <= 253 && !numeric && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}
