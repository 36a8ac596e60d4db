//! The exposition: adds up the shards when a scrape asks, and writes what the catalogue lists.
//!
//! Written straight from the series, without a model of the page in between: see `text`. Of the `prometheus` crate we want
//! what it knows of the process.

mod families;
mod family;
mod form;
mod process;
mod text;

use std::sync::LazyLock;

use super::all_series::AllSeries;
use super::catalogue::Metric;
use families::Sample;
use family::Family;
pub use form::PageForm;
pub(super) use process::RunningProcess;
use text::Page;
pub(super) use text::text_of;
pub(crate) use text::{push_help, push_label, push_number};

/// Where the numbers of a metric come from.
#[derive(Clone, Copy)]
enum Source {
    /// What the program counts itself.
    Series(Sample),
    /// What the kernel knows of the process.
    Process,
}

/// Every metric by name: the order of a page, so that two pages can be compared.
static ORDER: LazyLock<Vec<(&Metric, Source)>> = LazyLock::new(|| {
    let counted = families::FAMILIES.iter().map(|(metric, sample)| (*metric, Source::Series(*sample)));
    let known = process::listed().map(|metric| (metric, Source::Process));
    let mut order: Vec<_> = counted.chain(known).collect();
    order.sort_unstable_by_key(|(metric, _)| metric.name);
    order
});

/// Writes everything in the catalogue, and gives it away piece by piece until `give` returns false.
pub(super) fn render(
    series: &AllSeries,
    process: &RunningProcess,
    form: PageForm,
    give: &mut dyn FnMut(String) -> bool,
) {
    let (live, process) = (series.live(), process.read());
    let mut page = Page::new(form, give);
    for (metric, source) in ORDER.iter() {
        let mut family = Family::new(metric, &mut page);
        match source {
            Source::Series(sample) => sample(&live, &mut family),
            Source::Process => {
                let values = process.iter().filter(|(known, _)| known == metric);
                values.for_each(|(_, value)| family.number("", *value));
            }
        }
    }
    page.end();
}

#[cfg(test)]
mod tests;
