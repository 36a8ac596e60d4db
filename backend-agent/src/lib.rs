//! Reports how busy a backend is, for the balancer, for Prometheus and for `plimsoll demo`.
//!
//! Reading order: [`Args`] (what is typed) → [`Settings`] and [`Source`] (what it means) → [`serve`] (the loop and the
//! HTTP side, by `server`) → `sampler` (reads a target again and again) → `reading` (what one look at a target yields) with the
//! three targets `host`, `cgroup` and `process_tree` → `metrics` (what is exported) → `push` (to gateways, by
//! `exchange`) and `agent_check` (to load balancers) → `program` (what runs beside the agent).
//!
//! **Percent of what?** `cpu_usage` goes from 0 to 100, where 100 means that the target used all that it can get: of a
//! host, all CPUs of the machine; of a container, its quota, or all CPUs when it has none; of a process and its
//! descendants, all CPUs of the machine again, so that three backends on one host add up to at most 100.
//! `agent_cpu_capacity_cores` says how many cores those 100 percent are, `agent_cpu_seconds_total` is free of any such
//! choice.

pub mod child;
pub mod duration;

mod agent_check;
mod args;
mod cgroup;
mod disk;
mod ending;
mod exchange;
mod host;
mod metrics;
mod network;
mod probe;
mod process_tree;
mod program;
mod push;
mod reading;
mod sampler;
mod serve;
mod server;
mod source;
mod url;

pub use args::{Args, run};
pub use reading::ReadError;
pub use serve::{Settings, serve};
pub use source::{Source, SourceError};
