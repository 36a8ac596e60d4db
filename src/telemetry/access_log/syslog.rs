//! Lines as messages to a syslog daemon: one datagram each, over a socket of this host or over UDP.
//!
//! To a socket of this host as syslog(3) writes it, `<PRI>plimsoll[PID]: LINE`, without the date that daemons replace by
//! their own in any case: it has no time zone. Over UDP by RFC 5424 (and RFC 5426, one message for each datagram). The
//! severity is `info`.

use std::fmt;
use std::io::{self, ErrorKind, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, ToSocketAddrs as _, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::telemetry::timestamp::rfc3339;

/// How long a daemon that reads slowly is waited for. The queue of lines takes up what comes meanwhile.
const PATIENCE: Duration = Duration::from_millis(200);

/// The severity `info` (RFC 5424 §6.2.1).
const INFO: u8 = 6;

/// A syslog daemon, and what it is told of the lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syslog {
    /// Where it listens.
    pub address: SyslogAddress,
    /// What kind of program the lines come from, as daemons sort by: the number of a facility (RFC 5424 §6.2.1), below 24.
    pub facility: u8,
}

/// Where a syslog daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogAddress {
    /// A socket of this host, as `/dev/log`.
    Socket(PathBuf),
    /// A host, by name or address, and a port of UDP. A name is looked up by the log's own thread when it connects.
    Udp(Box<str>),
}

/// A connection to a daemon that comes back by itself.
#[derive(Debug)]
pub(super) struct Sender {
    syslog: Syslog,
    socket: Option<Socket>,
    /// Whether the last line was not taken: the next one is not waited for.
    is_failing: bool,
    /// What is before each line of the present batch, and then the line.
    message: Vec<u8>,
    host: String,
}

#[derive(Debug)]
enum Socket {
    Unix(UnixDatagram),
    Udp(UdpSocket),
}

impl Socket {
    fn connect(address: &SyslogAddress) -> io::Result<Self> {
        match address {
            SyslogAddress::Socket(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_write_timeout(Some(PATIENCE))?;
                Ok(Self::Unix(socket))
            }
            SyslogAddress::Udp(host) => {
                let no_address = || io::Error::new(ErrorKind::NotFound, "the host has no address");
                let address = host.to_socket_addrs()?.next().ok_or_else(no_address)?;
                let socket = if address.is_ipv4() {
                    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?
                } else {
                    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?
                };
                socket.connect(address)?;
                socket.set_write_timeout(Some(PATIENCE))?;
                Ok(Self::Udp(socket))
            }
        }
    }

    fn send(&self, message: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(socket) => socket.send(message),
            Self::Udp(socket) => socket.send(message),
        }
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        match self {
            Self::Unix(socket) => socket.set_nonblocking(nonblocking),
            Self::Udp(socket) => socket.set_nonblocking(nonblocking),
        }
    }
}

impl Sender {
    /// Makes a sender; it connects with the first line.
    pub(super) fn new(syslog: Syslog) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { syslog, socket: None, is_failing: false, message: Vec::new(), host }
    }

    /// Connects anew with the next line.
    pub(super) fn reopen(&mut self) {
        self.socket = None;
    }

    /// Sends whole lines; returns how many were taken, and why another was not. Once a line was not taken in time, those
    /// after it are not waited for until one is taken.
    pub(super) fn send(&mut self, lines: &[u8]) -> (u64, Option<io::Error>) {
        let header = self.header(SystemTime::now()).to_string();
        let (mut taken, mut failure) = (0, None);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.message.clear();
            // Into a vector: cannot fail.
            let _ = self.message.write_all(header.as_bytes());
            let _ = self.message.write_all(line.strip_suffix(b"\n").unwrap_or(line));
            match self.send_message() {
                Ok(()) => taken += 1,
                Err(error) => {
                    let is_full = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                    let is_away = self.socket.is_none();
                    failure = Some(error);
                    if is_full || is_away {
                        break;
                    }
                }
            }
        }
        (taken, failure)
    }

    fn send_message(&mut self) -> io::Result<()> {
        let result = match &self.socket {
            None => self.connect_and_send(),
            Some(socket) => match (socket.send(&self.message), socket) {
                // The daemon was started anew, and its socket is another one.
                (Err(error), Socket::Unix(_)) if is_gone(&error) => self.connect_and_send(),
                // What UDP learns only now is that the line before this one went to nobody. It is the one that is lost;
                // this one has not been sent yet.
                (Err(error), Socket::Udp(socket)) if is_gone(&error) => {
                    socket.send(&self.message).and(Err(error))
                }
                (sent, _) => sent,
            },
        };
        let failing = result.is_err();
        if failing != self.is_failing {
            self.is_failing = failing;
            self.socket.iter().try_for_each(|socket| socket.set_nonblocking(failing))?;
        }
        result.map(drop)
    }

    fn connect_and_send(&mut self) -> io::Result<usize> {
        self.socket = None;
        let socket = Socket::connect(&self.syslog.address)?;
        socket.set_nonblocking(self.is_failing)?;
        self.socket.insert(socket).send(&self.message)
    }

    fn header(&self, now: SystemTime) -> impl fmt::Display {
        let (priority, pid) = (self.syslog.facility * 8 + INFO, std::process::id());
        fmt::from_fn(move |f| match self.syslog.address {
            SyslogAddress::Socket(_) => write!(f, "<{priority}>plimsoll[{pid}]: "),
            SyslogAddress::Udp(_) => {
                write!(f, "<{priority}>1 {} {} plimsoll {pid} - - ", rfc3339(now), self.host)
            }
        })
    }
}

fn is_gone(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotConnected, NotFound};
    matches!(error.kind(), ConnectionRefused | NotConnected | NotFound | ConnectionReset | BrokenPipe)
}

#[cfg(test)]
mod tests;
