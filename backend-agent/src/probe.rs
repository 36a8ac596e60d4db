//! Asks a URL once, for the health check of an image that has no shell and no curl.

use std::time::Duration;

use anyhow::{Context as _, bail};
use hyper::Method;

use crate::exchange;
use crate::url::Url;

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks with GET. Cancel safe.
///
/// # Errors
/// When there is no answer in time, or its status is not one from 200 to 399, which say that all is well to
/// Kubernetes's probes and to plimsoll's checks.
pub(crate) async fn probe(url: &Url) -> anyhow::Result<()> {
    let asked = exchange::ask(Method::GET, url, Vec::new(), PATIENCE).await;
    let answer = asked.with_context(|| format!("{url} does not answer"))?;
    match answer.status.as_u16() {
        200..=399 => Ok(()),
        _ if answer.said.is_empty() => bail!("{url} answers {}", answer.status),
        _ => bail!("{url} answers {}: {}", answer.status, answer.said),
    }
}
