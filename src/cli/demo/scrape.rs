//! Reads figures from the `/metrics` of the balancer, as Prometheus would.
//!
//! It stands apart because the demo sees the balancer only from outside, through what every user can see too.

use anyhow::Context as _;
use hyper::{Method, StatusCode};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

use crate::cli::ask::ask;

/// How long one read of a page may take.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Reads the page `path` of `address`.
///
/// # Errors
/// When there is no answer within half a second, or one that is not 200.
pub(super) async fn page(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let read = timeout(TIMEOUT, fetch(address, path)).await;
    read.with_context(|| format!("http://{address}{path} does not answer"))?
}

async fn fetch(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let (status, text) = ask(address, Method::GET, path).await?;
    anyhow::ensure!(status == StatusCode::OK, "http://{address}{path} answers {status}");
    Ok(text)
}

/// One line of a page of metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Series<'a> {
    pub(super) name: &'a str,
    /// What stands between the braces.
    labels: &'a str,
    pub(super) value: f64,
}

impl<'a> Series<'a> {
    /// The value of a label. Values with escapes or commas, which no name in a demo has, are not understood.
    pub(super) fn label(&self, name: &str) -> Option<&'a str> {
        let labels = self.labels.split(',');
        labels.filter_map(|label| label.split_once('=')).find(|(own, _)| *own == name).map(|(_, value)| {
            let value = value.strip_prefix('"').unwrap_or(value);
            value.strip_suffix('"').unwrap_or(value)
        })
    }
}

/// The series on a page, in its order.
pub(super) fn series(page: &str) -> impl Iterator<Item = Series<'_>> {
    page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (series, rest) = match line.split_once('{') {
            Some((name, rest)) => {
                let (labels, rest) = rest.split_once('}')?;
                ((name, labels), rest)
            }
            None => {
                let (name, rest) = line.split_once(' ')?;
                ((name, ""), rest)
            }
        };
        let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
        Some(Series { name: series.0, labels: series.1, value })
    })
}

/// The sum of the series called `name` whose labels contain each of `labels`, given as `name="value"`. None when
/// there is no such series.
pub(super) fn sum(page: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let all =
        |series: &Series<'_>| labels.iter().all(|label| series.labels.split(',').any(|one| one == *label));
    let values = series(page).filter(|series| series.name == name && all(series)).map(|series| series.value);
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# HELP plimsoll_backend_state The state.
# TYPE plimsoll_backend_state gauge
plimsoll_backend_state{upstream=\"app\",backend=\"backend-1\"} 0
plimsoll_backend_state{upstream=\"app\",backend=\"backend-2\"} 1
plimsoll_retries_total{upstream=\"app\",backend=\"backend-1\",reason=\"connect\"} 3
plimsoll_retries_total{upstream=\"app\",backend=\"backend-1\",reason=\"reset\"} 2
cpu_usage 12.5
cpu_usage_total{cpu=\"0\"} 3 1700000000000
";

    #[test]
    fn series_are_found_by_their_name_and_labels_and_summed() {
        let state = |backend| sum(PAGE, "plimsoll_backend_state", &["upstream=\"app\"", backend]);
        assert_eq!(state("backend=\"backend-1\""), Some(0.0));
        assert_eq!(state("backend=\"backend-2\""), Some(1.0));
        assert_eq!(state("backend=\"backend-3\""), None);
        assert_eq!(sum(PAGE, "cpu_usage", &[]), Some(12.5));
        assert_eq!(sum(PAGE, "cpu_usage_total", &[]), Some(3.0));
        assert_eq!(sum(PAGE, "cpu", &[]), None);
        assert_eq!(sum(PAGE, "plimsoll_retries_total", &["backend=\"backend-1\""]), Some(5.0));
    }

    #[test]
    fn a_label_is_found_by_its_whole_name() {
        let series: Vec<Series<'_>> = series(PAGE).collect();
        assert_eq!(series.len(), 6);
        assert_eq!((series[2].label("backend"), series[2].label("back")), (Some("backend-1"), None));
        assert_eq!(series[4], Series { name: "cpu_usage", labels: "", value: 12.5 });
    }
}
