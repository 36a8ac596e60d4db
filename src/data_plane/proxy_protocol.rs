//! The PROXY protocol: who a client is, told by a proxy in front of us and to backends behind us, in a header before
//! everything else ("The PROXY protocol, versions 1 & 2", HAProxy's doc/proxy-protocol.txt, 2020/03/05).
//!
//! Of our own, because of what a parser for any use cannot know: a header is read out of the worker's buffers without a
//! copy, one that has not come yet is told from one that never will at the first byte that cannot belong to it, and what
//! is unspecified is refused. Type-length-value fields of version 2 are passed over.

mod receive;

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub use receive::{Opening, receive};

use crate::upstream::ProxyVersion;

/// What a header of version 2 begins with (section 2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header of version 1, its line ending included (section 2.1).
const V1_MAX: usize = 107;
/// The longest header of version 2 that is taken: addresses, and as many fields as proxies send.
const V2_MAX: usize = 4096;
/// Signature, version and command, family, length.
const V2_FIXED: usize = 16;

/// Both ends of a client's connection, as the proxy saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoints {
    /// The client.
    pub source: SocketAddr,
    /// Where it connected to.
    pub destination: SocketAddr,
}

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// Nothing: the proxy speaks for itself, as in its health checks, or does not know.
    Local,
    /// Whose connection it is.
    Proxied(Endpoints),
}

/// What stands at the front is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no valid header of the PROXY protocol")]
pub struct Malformed;

/// Reads the header at the front of `bytes`, and how long it is; None while it is incomplete.
///
/// # Errors
/// [`Malformed`] as soon as no more bytes could make it a header.
pub fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    match bytes.first() {
        None => Ok(None),
        Some(b'P') => parse_v1(bytes),
        Some(_) => parse_v2(bytes),
    }
}

fn parse_v1(bytes: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    const BEGIN: &[u8] = b"PROXY ";
    let common = bytes.len().min(BEGIN.len());
    if bytes[..common] != BEGIN[..common] {
        return Err(Malformed);
    }
    let within = &bytes[..bytes.len().min(V1_MAX)];
    let Some(end) = memchr::memmem::find(within, b"\r\n") else {
        return if bytes.len() < V1_MAX { Ok(None) } else { Err(Malformed) };
    };
    let line = std::str::from_utf8(&bytes[BEGIN.len()..end]).map_err(|_| Malformed)?;
    Ok(Some((v1_header(line).ok_or(Malformed)?, end + 2)))
}

/// Reads what follows `PROXY ` in a line.
fn v1_header(line: &str) -> Option<Header> {
    let mut words = line.split(' ');
    let is_v4 = match words.next()? {
        // What follows is to be ignored.
        "UNKNOWN" => return Some(Header::Local),
        "TCP4" => true,
        "TCP6" => false,
        _ => return None,
    };
    let mut address = || -> Option<IpAddr> {
        let word = words.next()?;
        if is_v4 { word.parse().ok().map(IpAddr::V4) } else { word.parse().ok().map(IpAddr::V6) }
    };
    let (source, destination) = (address()?, address()?);
    let mut port = || {
        let word = words.next()?;
        let is_plain =
            word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
        is_plain.then(|| word.parse::<u16>().ok()).flatten()
    };
    let source = SocketAddr::new(source, port()?);
    let destination = SocketAddr::new(destination, port()?);
    words.next().is_none().then_some(Header::Proxied(Endpoints { source, destination }))
}

fn parse_v2(bytes: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    let common = bytes.len().min(SIGNATURE.len());
    if bytes[..common] != SIGNATURE[..common] {
        return Err(Malformed);
    }
    let Some(&[command, family, high, low]) = bytes.get(SIGNATURE.len()..V2_FIXED) else { return Ok(None) };
    let len = V2_FIXED + usize::from(u16::from_be_bytes([high, low]));
    // Version 2 with LOCAL or PROXY; a family and a transport that exist.
    let is_known = matches!(command, 0x20 | 0x21) && family >> 4 <= 3 && family & 0xf <= 2;
    if !is_known || len > V2_MAX {
        return Err(Malformed);
    }
    let Some(rest) = bytes.get(V2_FIXED..len) else { return Ok(None) };
    let header = match (command, family) {
        (0x21, 0x11) => Header::Proxied(v2_endpoints::<4>(rest).ok_or(Malformed)?),
        (0x21, 0x21) => Header::Proxied(v2_endpoints::<16>(rest).ok_or(Malformed)?),
        // Sockets of Unix and datagrams have no address that could stand for a client's here.
        _ => Header::Local,
    };
    Ok(Some((header, len)))
}

/// Reads two addresses and two ports.
fn v2_endpoints<const LEN: usize>(bytes: &[u8]) -> Option<Endpoints>
where
    IpAddr: From<[u8; LEN]>,
{
    let (source, rest) = bytes.split_first_chunk::<LEN>()?;
    let (destination, rest) = rest.split_first_chunk::<LEN>()?;
    let (&[a, b, c, d], _fields) = rest.split_first_chunk::<4>()?;
    Some(Endpoints {
        source: SocketAddr::new((*source).into(), u16::from_be_bytes([a, b])),
        destination: SocketAddr::new((*destination).into(), u16::from_be_bytes([c, d])),
    })
}

/// Appends the header for the connection of a client; without `endpoints`, one that says we speak for ourselves.
pub fn write(version: ProxyVersion, endpoints: Option<Endpoints>, out: &mut Vec<u8>) {
    let families = endpoints.map(of_one_family);
    match version {
        ProxyVersion::V1 => write_v1(families, out),
        ProxyVersion::V2 => write_v2(families, out),
    }
}

/// Two ends of one family: an IPv4 address among IPv6 ones is written as one of these.
fn of_one_family(endpoints: Endpoints) -> (IpAddr, IpAddr, [u16; 2]) {
    let Endpoints { source, destination } = endpoints;
    let ports = [source.port(), destination.port()];
    let (from, to) = (source.ip().to_canonical(), destination.ip().to_canonical());
    if from.is_ipv4() == to.is_ipv4() {
        return (from, to, ports);
    }
    let v6 = |address: IpAddr| match address {
        IpAddr::V4(v4) => IpAddr::V6(v4.to_ipv6_mapped()),
        v6 => v6,
    };
    (v6(from), v6(to), ports)
}

fn write_v1(families: Option<(IpAddr, IpAddr, [u16; 2])>, out: &mut Vec<u8>) {
    // Writing into a Vec cannot fail.
    let _ = match families {
        None => write!(out, "PROXY UNKNOWN\r\n"),
        Some((from, to, [from_port, to_port])) => {
            let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
            write!(out, "PROXY {family} {from} {to} {from_port} {to_port}\r\n")
        }
    };
}

fn write_v2(families: Option<(IpAddr, IpAddr, [u16; 2])>, out: &mut Vec<u8>) {
    out.extend_from_slice(SIGNATURE);
    let Some((from, to, ports)) = families else {
        return out.extend_from_slice(&[0x20, 0x00, 0, 0]);
    };
    let (family, len) = if from.is_ipv4() { (0x11, 12) } else { (0x21, 36) };
    out.extend_from_slice(&[0x21, family, 0, len]);
    for address in [from, to] {
        match address {
            IpAddr::V4(v4) => out.extend_from_slice(&Ipv4Addr::octets(&v4)),
            IpAddr::V6(v6) => out.extend_from_slice(&Ipv6Addr::octets(&v6)),
        }
    }
    ports.iter().for_each(|port| out.extend_from_slice(&port.to_be_bytes()));
}

#[cfg(test)]
mod tests;
