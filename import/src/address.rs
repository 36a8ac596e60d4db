//! Addresses, as plimsoll takes them.

use std::net::{IpAddr, Ipv6Addr};

/// A port that is not 0.
pub(crate) fn port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

/// The host as it stands before `:port` in plimsoll's file: an IPv6 address gets its brackets. None when it is neither
/// an IP address nor a host name.
pub(crate) fn host(text: &str) -> Option<String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<Ipv6Addr>() {
        return Some(format!("[{address}]"));
    }
    let is_v4 = text.parse::<IpAddr>().is_ok();
    (is_v4 || is_host_name(text) || is_variable(text)).then(|| text.to_owned())
}

/// Whether plimsoll takes the text as a host name.
pub(crate) fn is_host_name(text: &str) -> bool {
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

/// Whether the text is one environment variable, whose value only plimsoll will know.
pub(crate) fn is_variable(text: &str) -> bool {
    let inner = text.strip_prefix("\u{1}{").and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|name| !name.contains('}'))
}

/// Whether plimsoll takes the text as a range of addresses, and if so in which form: without bits beyond the prefix.
pub(crate) fn range(text: &str) -> Option<String> {
    let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length: u32 = match length {
        None => return Some(address.to_string()),
        Some(length) => length.parse().ok().filter(|length| *length <= most)?,
    };
    let network = match address {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & u32::MAX.checked_shl(32 - length).unwrap_or(0)).into()),
        IpAddr::V6(v6) => {
            IpAddr::V6((v6.to_bits() & u128::MAX.checked_shl(128 - length).unwrap_or(0)).into())
        }
    };
    Some(format!("{network}/{length}"))
}

/// Where a TLS terminator on the same host passes on what it took on this address: on loopback, and not on its port.
pub(crate) fn behind_tls(address: &str) -> String {
    let port = parted(address).1.parse::<u16>().unwrap_or(443);
    format!("127.0.0.1:{}", port.checked_add(10_000).unwrap_or_else(|| port - 10_000))
}

/// Whether two listeners cannot both have their address, as plimsoll sees it.
pub(crate) fn meet(a: &str, b: &str) -> bool {
    let ((host_a, port_a), (host_b, port_b)) = (parted(a), parted(b));
    port_a == port_b && (host_a == host_b || is_everywhere(a) || is_everywhere(b))
}

/// Whether the address is every address of the host.
pub(crate) fn is_everywhere(address: &str) -> bool {
    matches!(parted(address).0, "" | "*" | "0.0.0.0" | "[::]")
}

/// Of two addresses that meet, the one that takes the connections of both. None when neither does.
pub(crate) fn wider<'a>(a: &'a str, b: &'a str) -> Option<&'a str> {
    let takes = |wide: &str, narrow: &str| {
        let (host, narrow) = (parted(wide).0, parted(narrow).0);
        host == "[::]" || host == narrow || (is_everywhere(wide) && !narrow.starts_with('['))
    };
    if takes(a, b) {
        Some(a)
    } else if takes(b, a) {
        Some(b)
    } else {
        None
    }
}

fn parted(address: &str) -> (&str, &str) {
    address.rsplit_once(':').unwrap_or(("", address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_written_as_plimsoll_reads_them() {
        assert_eq!(host("::1").as_deref(), Some("[::1]"));
        assert_eq!(host("[::1]").as_deref(), Some("[::1]"));
        assert_eq!(host("10.0.0.1").as_deref(), Some("10.0.0.1"));
        assert_eq!(host("app.internal").as_deref(), Some("app.internal"));
        assert_eq!(host("10.0.0.300"), None);
        assert_eq!(host("a b"), None);
    }

    #[test]
    fn a_terminator_passes_on_to_a_port_that_is_not_its_own() {
        assert_eq!(behind_tls(":443"), "127.0.0.1:10443");
        assert_eq!(behind_tls("[::1]:65000"), "127.0.0.1:55000");
    }

    #[test]
    fn of_two_listeners_that_meet_the_wider_one_takes_the_connections_of_both() {
        assert!(meet(":80", "[::]:80") && meet(":80", "10.0.0.1:80"));
        assert!(!meet(":80", ":81") && !meet("10.0.0.1:80", "10.0.0.2:80"));
        assert_eq!(wider(":80", "[::]:80"), Some("[::]:80"));
        assert_eq!(wider("10.0.0.1:80", ":80"), Some(":80"));
        assert_eq!(wider("[::1]:80", ":80"), None);
    }

    #[test]
    fn bits_beyond_the_prefix_are_cut() {
        assert_eq!(range("127.0.0.1/8").as_deref(), Some("127.0.0.0/8"));
        assert_eq!(range("10.1.2.3").as_deref(), Some("10.1.2.3"));
        assert_eq!(range("::1/0").as_deref(), Some("::/0"));
        assert_eq!(range("10.0.0.0/33"), None);
    }
}
