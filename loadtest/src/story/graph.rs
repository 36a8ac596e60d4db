//! Draws a story as graphs over one time axis: SVG text, for a wide page or for a phone.
//!
//! It stands apart from the page because each graph is also a picture of its own. All graphs of one layout have
//! the same margins, so that one under another they share their axis, with the same moments marked on all.
//!
//! - [`GraphKind`] (here): what there is to draw, in which order, and what it says to those who do not see it.
//! - `layout`: sizes · `palette`: colours, light and dark · `axis`: ticks.
//! - `canvas`: the picture around the plot · `marks`: the moments and outages on it.
//! - `plot`: what is different from graph to graph.

mod axis;

mod canvas;

mod layout;

mod marks;

mod palette;

mod plot;

pub(super) use layout::{Layout, NARROW, WIDE};
pub(super) use palette::style;

use super::Story;
use super::summary::Phase;
use super::words::{clock, count, latency, percent, share};
use std::collections::BTreeMap;

/// Why a graph could not be drawn. The text that it is drawn into takes everything, so this is a mistake in here.
pub type GraphError = plotters::drawing::DrawingAreaErrorKind<std::io::Error>;

/// What there is to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GraphKind {
    /// Answers per second of each backend.
    Rps,
    /// CPU usage of each backend.
    Cpu,
    /// All answers per second by class.
    Total,
    /// Share of each backend in the answers.
    Share,
    /// The client's latencies.
    Latency,
    /// The states of the backends.
    States,
}

impl GraphKind {
    /// All of them, from top to bottom.
    pub(super) const ALL: [GraphKind; 6] = [
        GraphKind::Rps,
        GraphKind::Cpu,
        GraphKind::Total,
        GraphKind::Share,
        GraphKind::Latency,
        GraphKind::States,
    ];

    /// The name of its picture, without an ending.
    pub(super) fn name(self) -> &'static str {
        match self {
            GraphKind::Rps => "rps-per-backend",
            GraphKind::Cpu => "cpu-per-backend",
            GraphKind::Total => "total-rps",
            GraphKind::Share => "share-per-backend",
            GraphKind::Latency => "latency",
            GraphKind::States => "states",
        }
    }

    /// Its title.
    pub(super) fn title(self) -> &'static str {
        match self {
            GraphKind::Rps => "RPS per backend",
            GraphKind::Cpu => "CPU per backend",
            GraphKind::Total => "Total RPS",
            GraphKind::Share => "Share of traffic",
            GraphKind::Latency => "Latency at the client",
            GraphKind::States => "State of each backend",
        }
    }

    /// What its numbers are.
    pub(super) fn unit(self) -> &'static str {
        match self {
            GraphKind::Rps => "answers per second",
            GraphKind::Cpu => "percent",
            GraphKind::Total => "answers per second, by class of the status",
            GraphKind::Share => "percent of all answers",
            GraphKind::Latency => "from when a request was due; logarithmic",
            GraphKind::States => "as the balancer saw it",
        }
    }

    /// What there is to see, for those who do not see it.
    pub(super) fn description(self, story: &Story) -> String {
        let summary = &story.summary;
        let by_phase = |values: fn(&Phase) -> &BTreeMap<String, f64>, word: fn(f64) -> String| {
            let backends = story.names().map(|name| {
                let parts: Vec<String> = (summary.phases.iter())
                    .map(|phase| {
                        let value =
                            values(phase).get(name).map_or_else(|| "nothing".to_owned(), |v| word(*v));
                        format!("{value} {}", phase.name)
                    })
                    .collect();
                format!("{name}: {}.", parts.join(", "))
            });
            backends.collect::<Vec<_>>().join(" ")
        };
        match self {
            GraphKind::Rps => by_phase(|phase| &phase.rps, |rps| format!("{rps:.1}")),
            GraphKind::Cpu => by_phase(|phase| &phase.cpu, percent),
            GraphKind::Share => by_phase(|phase| &phase.share, share),
            GraphKind::Total => {
                let names: Vec<&str> = story.classes.iter().map(|line| line.class.word()).collect();
                format!(
                    "Lines: {}. {} of {} requests failed.",
                    names.join(", "),
                    count(summary.failed),
                    count(summary.requests)
                )
            }
            GraphKind::Latency => format!(
                "Over the whole run, half of the answers took at most {}, and 99 of 100 at most {}.",
                latency(summary.p50_ms),
                latency(summary.p99_ms)
            ),
            GraphKind::States => states(story),
        }
    }

    /// The lines in it, by their colours.
    fn legend(self, story: &Story) -> Vec<(String, palette::Ink)> {
        match self {
            GraphKind::Rps | GraphKind::Cpu | GraphKind::Share => {
                let names = story.names().enumerate();
                names.map(|(at, name)| (name.to_owned(), palette::backend(at))).collect()
            }
            GraphKind::Total => {
                let lines = story.classes.iter();
                lines.map(|line| (line.class.word().to_owned(), palette::class(line.class))).collect()
            }
            GraphKind::Latency => {
                vec![("p50".to_owned(), palette::P50), ("p99".to_owned(), palette::P99)]
            }
            GraphKind::States => Vec::new(),
        }
    }
}

fn states(story: &Story) -> String {
    let backends = story.backends.iter().map(|backend| {
        let bands = backend.bands.iter();
        let bands: Vec<String> =
            bands.map(|band| format!("{} from {}", band.state.words(), clock(band.from))).collect();
        format!("{}: {}.", backend.name, bands.join(", "))
    });
    backends.collect::<Vec<_>>().join(" ")
}

/// Draws one graph as an `svg` element that says what it shows. `id` is its own in the page; with `alone` it
/// carries its title and style itself.
///
/// # Errors
/// None that is known: the text it is drawn into takes everything.
pub(super) fn draw(
    story: &Story,
    kind: GraphKind,
    layout: &Layout,
    id: &str,
    alone: bool,
) -> Result<String, GraphError> {
    let drawn = canvas::draw(story, kind, layout, alone)?;
    Ok(canvas::labelled(&drawn, kind, &kind.description(story), id, alone))
}
