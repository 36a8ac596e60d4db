//! The exposition: adds up the shards when a scrape asks, and renders what the catalogue lists.
//!
//! A collector of our own for the `prometheus` crate: its counters would put every worker on the same cache line, while
//! its model of families, its registry's checks and its process metrics are what we want.

mod families;
mod family;
mod process;
mod text;

pub(crate) use text::{push_help, push_label, push_number};

use std::sync::Arc;

use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::all_series::AllSeries;
use super::catalogue::Metric;
use family::Family;

/// Collects everything that the program counts itself.
struct SeriesCollector {
    series: Arc<AllSeries>,
    descs: Vec<Desc>,
}

impl Collector for SeriesCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let live = self.series.live();
        let collect = |(metric, sample): &(&'static Metric, families::Sample)| {
            let mut family = Family::new(metric);
            sample(&live, &mut family);
            family.into_proto()
        };
        families::FAMILIES.iter().map(collect).collect()
    }
}

/// Returns a registry that collects everything in the catalogue.
pub(super) fn registry(series: Arc<AllSeries>) -> Registry {
    let registry = Registry::new();
    let descs = families::FAMILIES.iter().map(|(metric, _)| desc(metric)).collect();
    let collectors: [Box<dyn Collector>; 2] =
        [Box::new(SeriesCollector { series, descs }), Box::new(process::RunningProcess::new())];
    for collector in collectors {
        registry.register(collector).expect("invariant: the catalogue lists each metric once");
    }
    registry
}

/// Renders what the registry collects in the text format, sorted by name and labels.
pub(super) fn render(registry: &Registry) -> String {
    text::encode(&registry.gather())
}

/// Describes a metric of the catalogue to the registry.
fn desc(metric: &Metric) -> Desc {
    let labels = metric.labels.iter().map(|label| (*label).to_owned()).collect();
    Desc::new(metric.name.to_owned(), metric.help.to_owned(), labels, std::collections::HashMap::new())
        .expect("invariant: the catalogue's names are valid")
}

#[cfg(test)]
mod tests;
