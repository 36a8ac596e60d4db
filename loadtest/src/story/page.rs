//! The report as one HTML file that needs nothing else: no script, no request, its pictures in it.
//!
//! Every graph is in it twice, for a page and for a phone, and the style sheet shows one: letters that are read on
//! a desk are too small to be read when a picture shrinks.

use super::graph::{self, GraphKind, Layout, NARROW, WIDE};
use super::words::{self, count, exact_clock, latency, percent, share, span, span_or_dash};
use super::{GraphError, Phase, Story};
use std::fmt::Write as _;
use std::time::Duration;

/// How all pages look.
const STYLE: &str = include_str!("page/style.css");

/// Nothing is loaded from anywhere, whatever a name in the report says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// Writes the page. `mark` is in its head, by which the page is known for a report.
///
/// # Errors
/// When a graph cannot be drawn.
pub(super) fn write(story: &Story, mark: &str) -> Result<String, GraphError> {
    let headline = escaped(&words::headline(story));
    let graphs = GraphKind::ALL.into_iter().map(|kind| figure(story, kind));
    let graphs = graphs.collect::<Result<Vec<String>, GraphError>>()?.concat();
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"generator\" content=\"{mark}\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{headline}</title>\n<style>\n{STYLE}{}</style>\n</head>\n<body>\n<main>\n\
         <header>\n<p class=\"kind\">plimsoll: the report of a run</p>\n<h1>{headline}</h1>\n\
         <p class=\"lead\">{}</p>\n</header>\n{}{}\
         <section class=\"graphs\" aria-label=\"Graphs over one time axis\">\n{}{graphs}</section>\n{}{}\
         </main>\n</body>\n</html>\n",
        graph::style(),
        whole_names(&escaped(&words::lead(story))),
        figures(story),
        numbers(story),
        shading(story),
        moments(story),
        foot(story),
    ))
}

/// Text as it stands in HTML and in attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// Keeps words with a hyphen in them, as names of backends are, on one line.
fn whole_names(text: &str) -> String {
    let words = text.split(' ').map(|word| match word.split_once('-') {
        Some((before, after)) if !before.is_empty() && !after.is_empty() => {
            format!("<span class=\"name\">{word}</span>")
        }
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The few numbers that one looks for first, with what they are. Those of an outage are only there when there was
/// one.
pub(super) fn key_numbers(story: &Story) -> Vec<(&'static str, String)> {
    let summary = &story.summary;
    let mut numbers =
        vec![("requests failed", format!("{} of {}", count(summary.failed), count(summary.requests)))];
    if summary.backend.is_some() {
        let killed = story.main_outage().is_some_and(|outage| outage.killed.is_some());
        if killed {
            numbers.push(("from the kill until it was detected", span_or_dash(summary.detected_after)));
            numbers.push((
                "until the traffic was redistributed",
                span_or_dash(summary.redistributed_after.or(summary.detected_after)),
            ));
        }
        numbers.push(("from its start to its full share", span_or_dash(summary.up_after)));
    }
    numbers.push(("longest time without an answer", span(summary.longest_gap_ms / 1000.0)));
    numbers.push(("attempts failed and were repeated", count(summary.retried)));
    numbers.push(("requests rescued by another backend", count(summary.rescued)));
    let latencies = format!("{} / {}", latency(summary.p50_ms), latency(summary.p99_ms));
    numbers.push(("latency, p50 / p99", latencies));
    numbers
}

fn figures(story: &Story) -> String {
    let mut html = String::from("<dl class=\"figures\">\n");
    for (name, value) in key_numbers(story) {
        let _ = writeln!(html, "<div><dt>{name}</dt><dd>{}</dd></div>", escaped(&value));
    }
    html + "</dl>\n"
}

/// One backend's value in a phase, as text; None when there is none.
type Value = fn(&Phase, &str) -> Option<String>;

/// What the table compares, phase by phase.
pub(super) const COMPARED: [(&str, Value); 3] = [
    ("Share of traffic", |phase, name| phase.share.get(name).map(|value| share(*value))),
    ("Answers per second", |phase, name| phase.rps.get(name).map(|value| format!("{value:.1}"))),
    ("CPU", |phase, name| phase.cpu.get(name).map(|value| percent(*value))),
];

/// From when to when a phase lasted.
pub(super) fn lasted(phase: &Phase) -> String {
    format!("{}–{}", words::clock(phase.from), words::clock(phase.to))
}

fn numbers(story: &Story) -> String {
    let phases = &story.summary.phases;
    let mut html =
        String::from("<section class=\"numbers\">\n<h2>In numbers</h2>\n<table>\n<thead><tr><td></td>");
    for phase in phases {
        let _ = write!(html, "<th scope=\"col\">{}<small>{}</small></th>", phase.name, lasted(phase));
    }
    html += "</tr></thead>\n";
    for (title, value) in COMPARED {
        let columns = phases.len() + 1;
        let _ = writeln!(
            html,
            "<tbody>\n<tr class=\"group\"><th scope=\"rowgroup\" colspan=\"{columns}\">{title}</th></tr>"
        );
        for name in story.names() {
            let _ = write!(html, "<tr><th scope=\"row\">{}</th>", escaped(name));
            for phase in phases {
                let value = value(phase, name).unwrap_or_else(|| "–".to_owned());
                let _ = write!(html, "<td>{}</td>", escaped(&value));
            }
            html += "</tr>\n";
        }
        html += "</tbody>\n";
    }
    html + "</table>\n</section>\n"
}

/// Says what is shaded and marked on all graphs.
fn shading(story: &Story) -> &'static str {
    if story.outages.is_empty() {
        return "";
    }
    "<p class=\"note\">All graphs share one time axis, in minutes and seconds since the load began. Shaded red: a backend \
     is out. Shaded yellow: it is back, and its share grows.</p>\n"
}

fn figure(story: &Story, kind: GraphKind) -> Result<String, GraphError> {
    let draw = |layout: &Layout| {
        let id = format!("{}-{}", kind.name(), layout.name);
        let svg = graph::draw(story, kind, layout, &id, false)?;
        Ok::<String, GraphError>(format!("<div class=\"{}\">\n{svg}</div>\n", layout.name))
    };
    Ok(format!(
        "<figure>\n<figcaption><h2>{}</h2> <span>{}</span></figcaption>\n{}{}</figure>\n",
        kind.title(),
        kind.unit(),
        draw(&WIDE)?,
        draw(&NARROW)?
    ))
}

/// The exact moment of one mark, on both clocks, and what happened.
pub(super) struct Moment {
    pub(super) at: String,
    pub(super) utc: String,
    pub(super) backend: String,
    pub(super) kind: &'static str,
    pub(super) meaning: &'static str,
}

/// The marks of the graphs in words.
pub(super) fn exact_moments(story: &Story) -> Vec<Moment> {
    let moments = story.marks().into_iter().map(|mark| {
        let time = story.began + Duration::from_secs_f64(mark.at.max(0.0));
        let utc = humantime::format_rfc3339_millis(time).to_string();
        let time_of_day = utc.split_once('T').map_or(utc.as_str(), |(_, time)| time);
        Moment {
            at: exact_clock(mark.at),
            utc: time_of_day.trim_end_matches('Z').to_owned(),
            backend: story.backends[mark.backend].name.clone(),
            kind: mark.kind.word(),
            meaning: mark.kind.meaning(),
        }
    });
    moments.collect()
}

fn moments(story: &Story) -> String {
    let moments = exact_moments(story);
    if moments.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<section class=\"moments\">\n<h2>What happened when</h2>\n<table>\n<thead><tr><th scope=\"col\">Time</th>\
         <th scope=\"col\" class=\"utc\">UTC</th><th scope=\"col\">Backend</th><th scope=\"col\">Event</th></tr></thead>\n<tbody>\n",
    );
    for Moment { at, utc, backend, kind, meaning } in moments {
        let _ = writeln!(
            html,
            "<tr><td>{at}</td><td class=\"utc\">{utc}</td><td class=\"name\">{}</td><td><b>{kind}</b>: {meaning}</td></tr>",
            escaped(&backend)
        );
    }
    html + "</tbody>\n</table>\n</section>\n"
}

fn foot(story: &Story) -> String {
    format!(
        "<footer>\n<p>Made by <code>{}</code>. The load began on {} and lasted {}. {}</p>\n</footer>\n",
        escaped(&story.command),
        began(story),
        escaped(&span(story.seconds)),
        escaped(&story.source)
    )
}

/// When the load began, such as `2026-11-21 14:03:20 UTC`.
pub(super) fn began(story: &Story) -> String {
    let text = humantime::format_rfc3339_seconds(story.began).to_string();
    format!("{} UTC", text.trim_end_matches('Z').replace('T', " "))
}
