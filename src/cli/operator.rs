//! The operator: whom the commands ask that speak to a running balancer, and what proves that they may change it.

use std::fmt::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::http::request::Builder;
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::ask::{Server, open, send};
use crate::control_plane::config::value::address::listen_address;

/// How long the balancer may take to answer. A reload takes as long as the look-ups of its host names, several seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// The variable that names the socket when no flag does: the one that plimsoll.yaml reads.
const SOCKET_VARIABLE: &str = "PLIMSOLL_SOCKET";

/// Which balancer to ask. A flag counts more than the environment.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Which {
    /// The balancer's `admin.address`. By default 127.0.0.1:9900, or the socket that PLIMSOLL_SOCKET names.
    #[arg(long, global = true, value_name = "ADDRESS", value_parser = address)]
    admin: Option<SocketAddr>,
    /// The balancer's `admin.socket`: who may open it needs no token.
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "admin")]
    socket: Option<PathBuf>,
}

/// Who asks, and whom.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Operator {
    #[command(flatten)]
    pub(super) admin: Which,
    /// The balancer's `admin.token`, to change something from another host. Better in the environment, where no list of
    /// processes shows it.
    #[arg(long, global = true, env = "PLIMSOLL_TOKEN", hide_env_values = true)]
    pub(super) token: Option<String>,
}

/// What the balancer says when it refuses.
#[derive(Debug, Deserialize)]
pub(super) struct Refused {
    pub(super) error: String,
}

impl Which {
    /// Where that is, as the flags or the environment say.
    pub(super) fn server(&self) -> Server {
        self.server_with(std::env::var_os(SOCKET_VARIABLE).map(PathBuf::from))
    }

    fn server_with(&self, variable: Option<PathBuf>) -> Server {
        match (&self.socket, self.admin, variable.filter(|path| !path.as_os_str().is_empty())) {
            (Some(socket), ..) => Server::Socket(socket.clone()),
            (None, Some(address), _) => Server::Address(address),
            (None, None, Some(socket)) => Server::Socket(socket),
            (None, None, None) => Server::Address((Ipv4Addr::LOCALHOST, 9900).into()),
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.server().fmt(f)
    }
}

impl Operator {
    /// Asks for a change; an error is why it was refused, in the balancer's words.
    pub(super) async fn change<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<T> {
        let (status, text) = self.answer(method, path, body).await?;
        if status.is_success() {
            return serde_json::from_str(&text)
                .context("this answer is not plimsoll's; look at --admin and --socket");
        }
        match serde_json::from_str::<Refused>(&text) {
            Ok(Refused { error }) => anyhow::bail!("{error}"),
            Err(_) => {
                let admin = &self.admin;
                anyhow::bail!("{path} of {admin} answers {status}; is this plimsoll's admin server?")
            }
        }
    }

    /// Asks, and returns the status and the text of the answer.
    pub(super) async fn answer(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, String)> {
        let mut request = self.request(method, path);
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        let answer = timeout(PATIENCE, send(&self.admin.server(), request, body)).await;
        answer.map_err(anyhow::Error::from).flatten().with_context(|| self.no_answer())
    }

    /// Asks for what has no end, and returns its beginning; the rest comes as the balancer tells it.
    pub(super) async fn listen(&self, path: &str) -> anyhow::Result<Response<Incoming>> {
        let (server, request) = (self.admin.server(), self.request(Method::GET, path));
        let answer = timeout(PATIENCE, open(&server, request, Bytes::new())).await;
        answer.map_err(anyhow::Error::from).flatten().with_context(|| self.no_answer())
    }

    fn request(&self, method: Method, path: &str) -> Builder {
        let request = Request::builder().method(method).uri(path);
        // One that is empty is that of a variable that is not set.
        match self.token.as_deref().filter(|token| !token.is_empty()) {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn no_answer(&self) -> String {
        let admin = self.admin.server();
        let asked = match admin {
            Server::Address(_) => "`admin.address` another? Name it by --admin",
            Server::Socket(_) => "`admin.socket` this one?",
        };
        format!("no answer from the admin server at {admin}; is plimsoll running, and is its {asked}")
    }
}

/// Writes a text so that it can stand in a query: everything but letters, digits and `-._~` as `%XX` (RFC 3986 §2.1).
pub(super) fn push_encoded(path: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
    }
}

/// Reads an address, also one that is written as the URL of the live page.
fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.strip_prefix("http://").map_or(text, |text| text.strip_suffix('/').unwrap_or(text));
    listen_address(text).map_err(|invalid| match invalid.hint {
        Some(hint) => format!("{}: {hint}", invalid.message),
        None => invalid.message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_counts_more_than_the_environment_and_that_more_than_the_default() {
        let socket = |path: &str| Server::Socket(path.into());
        let address: SocketAddr = ([127, 0, 0, 1], 9901).into();
        let by = |admin, socket: Option<&str>, variable: Option<&str>| {
            let which = Which { admin, socket: socket.map(PathBuf::from) };
            which.server_with(variable.map(PathBuf::from))
        };
        assert_eq!(by(None, None, None), Server::Address(([127, 0, 0, 1], 9900).into()));
        assert_eq!(by(None, None, Some("")), Server::Address(([127, 0, 0, 1], 9900).into()));
        assert_eq!(by(None, None, Some("/a")), socket("/a"));
        assert_eq!(by(Some(address), None, Some("/a")), Server::Address(address));
        assert_eq!(by(None, Some("/b"), Some("/a")), socket("/b"));
    }

    #[test]
    fn the_admin_server_is_named_by_address_or_as_browsers_do() {
        for text in ["127.0.0.1:9901", "http://127.0.0.1:9901", "http://127.0.0.1:9901/"] {
            assert_eq!(address(text), Ok(SocketAddr::from(([127, 0, 0, 1], 9901))), "{text}");
        }
        for text in ["https://127.0.0.1:9901", "http://", "nowhere", "127.0.0.1:9901/"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
