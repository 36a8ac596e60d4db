//! What Prometheus recorded: the samples themselves, each at the moment of its scrape.
//!
//! Raw samples, not rates over a window: a window of some scrapes makes a slope of what was a step, and the report
//! is about when the steps were.

use anyhow::Context as _;
use loadtest::http;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A Prometheus server.
#[derive(Debug, Clone)]
pub(crate) struct Prometheus {
    base: String,
}

/// The samples of one series, oldest first: Unix time in seconds, and the value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) samples: Vec<(f64, f64)>,
}

impl Series {
    /// The value of a label, empty when there is none.
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    error: Option<String>,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Matrix>,
}

#[derive(Deserialize)]
struct Matrix {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

impl Prometheus {
    /// The server at `base`, such as `http://127.0.0.1:9090`.
    pub(crate) fn new(base: &str) -> Prometheus {
        Prometheus { base: base.to_owned() }
    }

    /// The samples of the series that `selector` selects between two moments in Unix time. Empty when there are
    /// none.
    ///
    /// # Errors
    /// When the server does not answer, refuses the selector, or answers something else than Prometheus does.
    pub(crate) async fn samples(&self, selector: &str, from: f64, to: f64) -> anyhow::Result<Vec<Series>> {
        let milliseconds = ((to - from) * 1000.0).ceil().max(1.0);
        let query = format!("{selector}[{milliseconds}ms]");
        let query = utf8_percent_encode(&query, NON_ALPHANUMERIC);
        let (_, text) = http::get(&self.base, &format!("/api/v1/query?query={query}&time={to:.3}"))
            .await
            .context("Prometheus cannot be asked; start it, or name it by --prometheus")?;
        matrix(&text).with_context(|| format!("what {} answers to `{selector}`", self.base))
    }
}

/// Reads the answer to a query for a range of samples.
fn matrix(text: &str) -> anyhow::Result<Vec<Series>> {
    let answer: Answer = serde_json::from_str(text).context("this is not Prometheus' JSON")?;
    if answer.status != "success" {
        anyhow::bail!("{}", answer.error.unwrap_or(answer.status));
    }
    let series = answer.data.context("there is no data in it")?.result.into_iter().map(|matrix| {
        let samples = matrix.values.into_iter().map(|(at, value)| {
            let value = value.parse().with_context(|| format!("`{value}` is no number"))?;
            Ok((at, value))
        });
        Ok(Series { labels: matrix.metric, samples: samples.collect::<anyhow::Result<_>>()? })
    });
    series.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_with_their_labels() {
        let text = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"__name__":"up","job":"a"},"values":[[1700000000.123,"1"],[1700000005.123,"NaN"]]}]}}"#;
        let series = matrix(text).unwrap();
        assert_eq!((series[0].label("job"), series[0].label("none")), ("a", ""));
        assert_eq!(series[0].samples[0], (1_700_000_000.123, 1.0));
        assert!(series[0].samples[1].1.is_nan());
    }

    #[test]
    fn what_is_wrong_is_said_in_the_servers_words() {
        let said = |text| format!("{:#}", matrix(text).unwrap_err());
        let refused = r#"{"status":"error","errorType":"bad_data","error":"parse error: unexpected }"}"#;
        assert!(said(refused).contains("parse error: unexpected }"));
        assert!(said("<html>").contains("not Prometheus' JSON"));
        assert!(said(r#"{"status":"success"}"#).contains("no data"));
    }
}
