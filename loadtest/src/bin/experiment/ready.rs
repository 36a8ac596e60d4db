//! Waits until everything that the experiment needs is there: better an error now than after the load.

use crate::Args;
use crate::balancer::Balancer;
use crate::prometheus::Prometheus;
use crate::unix_time;
use anyhow::Context as _;
use loadtest::http;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep};

/// How far back a scrape is looked for.
const SCRAPE_AGE: f64 = 120.0;

/// From one look to the next.
const LOOK: Duration = Duration::from_millis(500);

/// Returns the names of the backends once all are up, the target answers, and Prometheus scrapes the balancer.
///
/// # Errors
/// What is still missing when the time to wait is over, or what waiting does not mend.
pub(crate) async fn wait(args: &Args, balancer: &Balancer) -> anyhow::Result<Vec<String>> {
    let deadline = Instant::now() + args.wait;
    loop {
        match look(args, balancer).await {
            Ok(names) => return Ok(names),
            Err(missing) if Instant::now() >= deadline => {
                return Err(missing.context(format!("not ready after {} s", args.wait.as_secs_f64())));
            }
            Err(_) => sleep(LOOK).await,
        }
    }
}

async fn look(args: &Args, balancer: &Balancer) -> anyhow::Result<Vec<String>> {
    let backends = balancer.backends().await?;
    let names: Vec<String> = backends.iter().map(|backend| backend.name.clone()).collect();
    anyhow::ensure!(
        names.contains(&args.backend),
        "there is no backend `{}`; name one by --backend: {}",
        args.backend,
        names.join(", ")
    );
    if let Some(other) = backends.iter().find(|backend| backend.state != "up") {
        anyhow::bail!("{} is {}, and the experiment begins with all of them up", other.name, other.state);
    }
    let (status, _) =
        http::get(&args.url, "").await.context("the load has no target; start it, or name it by --url")?;
    anyhow::ensure!(!status.is_server_error(), "{} answers {status}", args.url);
    let now = unix_time(SystemTime::now());
    let scraped = Prometheus::new(&args.prometheus).samples(&args.counters(), now - SCRAPE_AGE, now).await?;
    anyhow::ensure!(
        !scraped.is_empty(),
        "{} has no samples of {}; does it scrape the balancer? Look at --select",
        args.prometheus,
        args.counters()
    );
    Ok(names)
}
