//! The operator: whom the commands ask that speak to a running balancer, and what proves that they may change it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use hyper::http::request::Builder;
use hyper::{Method, Request, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::ask::send;
use crate::control_plane::config::value::address::listen_address;

/// How long the balancer may take to answer. A reload takes as long as the look-ups of its host names, several seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who asks, and whom.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Operator {
    /// The balancer's `admin.address`.
    #[arg(long, global = true, value_name = "ADDRESS", default_value = "127.0.0.1:9900", value_parser = address)]
    pub(super) admin: SocketAddr,
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

impl Operator {
    /// Asks for a change; an error is why it was refused, in the balancer's words.
    pub(super) async fn change<T: DeserializeOwned>(&self, path: &str, body: Bytes) -> anyhow::Result<T> {
        let (status, text) = self.answer(Method::POST, path, body).await?;
        if status.is_success() {
            return serde_json::from_str(&text).context("this answer is not plimsoll's; look at --admin");
        }
        let admin = self.admin;
        match serde_json::from_str::<Refused>(&text) {
            Ok(Refused { error }) => anyhow::bail!("{error}"),
            Err(_) => {
                anyhow::bail!("http://{admin}{path} answers {status}; is this plimsoll's admin server?")
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
        let answer = timeout(PATIENCE, send(self.admin, request, body)).await;
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
        let admin = self.admin;
        format!(
            "no answer from the admin server at {admin}; is plimsoll running, and is its `admin.address` another? \
             Name it by --admin"
        )
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
    fn the_admin_server_is_named_by_address_or_as_browsers_do() {
        for text in ["127.0.0.1:9901", "http://127.0.0.1:9901", "http://127.0.0.1:9901/"] {
            assert_eq!(address(text), Ok(SocketAddr::from(([127, 0, 0, 1], 9901))), "{text}");
        }
        for text in ["https://127.0.0.1:9901", "http://", "nowhere", "127.0.0.1:9901/"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
