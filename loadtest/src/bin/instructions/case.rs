//! What is counted: kinds of exchanges, and the configuration that each is relayed with.

use loadtest::answering;
use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;

/// A kind of exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Case {
    /// A GET with a small answer on kept connections.
    Get,
    /// A POST of 1 KiB.
    Post,
    /// An answer of 64 KiB.
    Large,
    /// Each request on a connection of its own.
    Connect,
    /// As `get`, logged as JSON to a file.
    Json,
    /// As `get`, where the last of 1000 routes matches.
    Routes,
    /// As `get`, by consistent hashing of the path.
    Hash,
}

impl Case {
    /// All of them, in the order of the table.
    pub(crate) const ALL: &[Case] =
        &[Case::Get, Case::Post, Case::Large, Case::Connect, Case::Json, Case::Routes, Case::Hash];

    /// The length of the answer's body.
    pub(crate) fn body(self) -> usize {
        if self == Case::Large { 64 * 1024 } else { answering::SMALL }
    }

    /// How many exchanges are counted. What costs much is counted less often.
    pub(crate) fn exchanges(self) -> usize {
        if matches!(self, Case::Large | Case::Connect) { 800 } else { 2400 }
    }

    /// Whether each request comes on a connection of its own.
    pub(crate) fn is_alone(self) -> bool {
        self == Case::Connect
    }

    /// The bytes of the request.
    pub(crate) fn request(self) -> Vec<u8> {
        const FIELDS: &str = "Host: shop.example\r\nUser-Agent: watch/1\r\nAccept: */*\r\n";
        match self {
            Case::Post => {
                let mut request =
                    format!("POST /cart HTTP/1.1\r\n{FIELDS}Content-Length: 1024\r\n\r\n").into_bytes();
                request.resize(request.len() + 1024, b'x');
                request
            }
            Case::Connect => format!("GET / HTTP/1.1\r\n{FIELDS}Connection: close\r\n\r\n").into_bytes(),
            _ => format!("GET /products/1?size=m HTTP/1.1\r\n{FIELDS}\r\n").into_bytes(),
        }
    }

    /// plimsoll's configuration: one worker, and no checks, which would come by time and not by exchange.
    pub(crate) fn configuration(self, address: SocketAddr, backends: &[SocketAddr], folder: &Path) -> String {
        let mut text = format!(
            "workers: 1\nadmin: {{address: 127.0.0.1:0}}\nlisteners: {{web: {{address: {address}}}}}\nupstreams:\n  \
             app:\n    health: off\n"
        );
        if self == Case::Hash {
            text.push_str("    balance: {consistent_hash: {key: path}}\n");
        }
        let list: Vec<String> = backends.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "    backends: [{}]", list.join(", "));
        match self {
            Case::Json => {
                let path = folder.join("access.log");
                let _ = writeln!(text, "telemetry: {{access_log: {{mode: on, path: {}}}}}", path.display());
            }
            Case::Routes => {
                text.push_str("routes:\n");
                for n in 0..999 {
                    let _ = writeln!(text, "  - {{match: {{path: /place-{n}/}}, upstream: app}}");
                }
                text.push_str("  - {upstream: app}\n");
            }
            _ => {}
        }
        text
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Case::Get => "get",
            Case::Post => "post",
            Case::Large => "large",
            Case::Connect => "connect",
            Case::Json => "json",
            Case::Routes => "routes",
            Case::Hash => "hash",
        })
    }
}
