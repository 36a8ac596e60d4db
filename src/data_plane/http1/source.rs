//! Who sent a request: the other end of the connection, or whom a trusted one forwards for.

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, SocketAddr};

use super::head::Name;
use super::request::RequestHead;
use super::rewrite::{ClientLines, ForwardPolicy};

/// A range of addresses in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// An address of the network.
    pub address: IpAddr,
    /// How many leading bits make the network.
    pub prefix: u8,
}

impl Network {
    /// Returns whether `address` lies in the network; an IPv4-mapped IPv6 address counts as its IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                differing.leading_zeros() >= u32::from(self.prefix).min(32)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                differing.leading_zeros() >= u32::from(self.prefix).min(128)
            }
            _ => false,
        }
    }
}

/// A single address stands without its length.
impl Display for Network {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let whole = if self.address.is_ipv4() { 32 } else { 128 };
        write!(f, "{}", self.address)?;
        if self.prefix < whole { write!(f, "/{}", self.prefix) } else { Ok(()) }
    }
}

/// Returns who sent a request, as far as the listener believes it.
///
/// A client that is not trusted is who connected. For one that is, the addresses in `X-Forwarded-For` (without it, in
/// `Forwarded`) are followed from the last to the first, since each proxy adds at the end, up to the first that is not
/// itself trusted: what stands before it anybody may have written. Something that is no address ends the way as well.
/// Allocates nothing.
#[must_use]
pub fn source(head: &RequestHead<'_, '_>, client: &ClientLines, policy: &ForwardPolicy) -> IpAddr {
    let mut believed = client.ip();
    if !client.trusted() {
        return believed;
    }
    let name = if head.facts.has(Name::XForwardedFor) { Name::XForwardedFor } else { Name::Forwarded };
    let lines = head.fields.iter().rev().filter(|field| Name::of(field.name) == name);
    for member in lines.flat_map(|field| field.value.rsplit(|byte| *byte == b',')) {
        let member = if name == Name::Forwarded { forwarded_for(member) } else { Some(member) };
        let Some(address) = member.and_then(address) else { break };
        believed = address;
        let listed = |networks: &[Network]| networks.iter().any(|network| network.contains(address));
        if !listed(&policy.trust) && !listed(&policy.except) {
            break;
        }
    }
    believed
}

/// Returns the value of `for` in an element of `Forwarded` (RFC 7239 §4).
fn forwarded_for(element: &[u8]) -> Option<&[u8]> {
    element.split(|byte| *byte == b';').find_map(|pair| {
        let (name, value) = pair.trim_ascii().split_at_checked(4)?;
        name.eq_ignore_ascii_case(b"for=").then_some(value)
    })
}

/// Reads an address, with or without a port, brackets and quotes.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text.trim_ascii()).ok()?.trim_matches('"');
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(bare).or_else(with_port).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_plane::http1::head::field_slots;
    use crate::data_plane::http1::request::Limits;

    /// Who is believed to have sent a request with these lines, which came from `peer`.
    fn believed(peer: &str, lines: &str) -> String {
        let network = |address: [u8; 4], prefix| Network { address: address.into(), prefix };
        let policy = ForwardPolicy {
            trust: vec![network([10, 0, 0, 0], 8)],
            except: vec![network([127, 0, 0, 0], 8)],
            ..ForwardPolicy::default()
        };
        let client = ClientLines::new(&policy, peer.parse().expect("an address"), ([0, 0, 0, 0], 80).into());
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let mut slots = field_slots();
        let limits = Limits { head: 4096, fields: 20, target: 100, body: 0 };
        let head =
            RequestHead::parse(bytes.as_bytes(), &mut slots, &limits).expect("valid").expect("complete");
        source(&head, &client, &policy).to_string()
    }

    #[test]
    fn who_is_not_trusted_is_who_connected() {
        assert_eq!(believed("192.0.2.1", ""), "192.0.2.1");
        assert_eq!(
            believed("192.0.2.1", "X-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\n"),
            "192.0.2.1"
        );
        assert_eq!(believed("::ffff:192.0.2.1", ""), "192.0.2.1", "a mapped address is an IPv4 address");
    }

    #[test]
    fn whom_a_trusted_client_forwards_for_is_believed() {
        assert_eq!(believed("10.0.0.1", ""), "10.0.0.1");
        for (lines, sender) in [
            ("X-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7"),
            ("x-forwarded-for: 192.0.2.7:4711\r\n", "192.0.2.7"),
            ("X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1"),
            ("X-Forwarded-For: [2001:db8::1]:80\r\n", "2001:db8::1"),
            ("Forwarded: for=\"[2001:db8::1]:80\";proto=http\r\n", "2001:db8::1"),
            ("Forwarded: proto=http; For=192.0.2.7\r\n", "192.0.2.7"),
            ("X-Forwarded-For: 192.0.2.7\r\nForwarded: for=192.0.2.8\r\n", "192.0.2.7"),
        ] {
            assert_eq!(believed("10.0.0.1", lines), sender, "{lines}");
            assert_eq!(believed("127.0.0.1", lines), sender, "excepted: {lines}");
        }
    }

    #[test]
    fn what_stands_before_the_first_stranger_is_not_believed() {
        for (lines, sender) in [
            ("X-Forwarded-For: 198.51.100.9, 192.0.2.7, 10.0.0.2\r\n", "192.0.2.7"),
            ("X-Forwarded-For: 198.51.100.9\r\nX-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7"),
            ("X-Forwarded-For: 10.0.0.3, 10.0.0.2\r\n", "10.0.0.3"),
            ("X-Forwarded-For: 192.0.2.7, unknown, 10.0.0.2\r\n", "10.0.0.2"),
            ("X-Forwarded-For: \r\n", "10.0.0.1"),
            ("Forwarded: for=192.0.2.7, for=_hidden\r\n", "10.0.0.1"),
        ] {
            assert_eq!(believed("10.0.0.1", lines), sender, "{lines}");
        }
    }
}
