//! What the balancer tells of itself: who its backends are, whether they are up, and when it changed its mind.

use anyhow::Context as _;
use hyper::StatusCode;
use loadtest::http;
use loadtest::story::read_transitions;
use loadtest::story::recording::Change;
use serde::Deserialize;
use std::time::SystemTime;

/// One upstream at the balancer's admin interface.
#[derive(Debug, Clone)]
pub(crate) struct Balancer {
    /// Such as `http://127.0.0.1:9900`.
    pub(crate) admin: String,
    /// The name of the upstream.
    pub(crate) upstream: String,
}

#[derive(Deserialize)]
struct Upstream {
    backends: Vec<Backend>,
}

/// One backend.
#[derive(Debug, Deserialize)]
pub(crate) struct Backend {
    /// Its name.
    pub(crate) name: String,
    /// Its state, in the word of the API.
    pub(crate) state: String,
}

impl Balancer {
    /// The backends in the order of the configuration.
    ///
    /// # Errors
    /// When the balancer does not answer or has no such upstream.
    pub(crate) async fn backends(&self) -> anyhow::Result<Vec<Backend>> {
        let Balancer { admin, upstream } = self;
        let asked = http::get(admin, &format!("/api/v1/upstreams/{upstream}")).await;
        let (status, text) =
            asked.context("the balancer cannot be asked; start it, or name it by --admin")?;
        if status == StatusCode::NOT_FOUND {
            anyhow::bail!("the balancer at {admin} has no upstream `{upstream}`; name one by --upstream");
        }
        let read: Result<Upstream, _> = serde_json::from_str(&text);
        Ok(read.with_context(|| format!("{admin} does not answer as plimsoll does"))?.backends)
    }

    /// The changes of state of the backends called `names`, in seconds since `began`.
    ///
    /// # Errors
    /// When the balancer does not answer, or not in words that are known.
    pub(crate) async fn changes(&self, names: &[String], began: SystemTime) -> anyhow::Result<Vec<Change>> {
        let (_, page) = http::get(&self.admin, "/api/v1/transitions").await?;
        Ok(read_transitions(&page, &self.upstream, names, began)?)
    }
}
