//! Monitoring: what rules and dashboards ask for exists, and what exists is asked for.
//!
//! `series` knows which metrics there are, `expression` reads PromQL and holds it against them, `rules` reads the files of
//! rules. Whatever else has expressions (a dashboard) is held against the same list.

mod alerts;
mod coverage;
mod dashboards;
mod expression;
mod incidents;
mod programs;
mod rules;
mod runbook;
mod series;
mod yaml;
