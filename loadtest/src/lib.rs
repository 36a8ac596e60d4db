//! Asks an HTTP/1.1 server for answers at a rate that does not depend on how fast it answers, and records what came back.
//!
//! It exists apart from the balancer because three things use it: the demo, the load tests and people who want to put
//! load on anything else. The generator is *open-loop*: a request is due at a point in time fixed before the run, is
//! sent then whatever the earlier ones are doing, and its latency is counted from that point. A closed loop, which asks
//! again only once it has an answer, stops asking while a server hangs and so leaves the hang out of its own figures
//! ("coordinated omission", G. Tene).
//!
//! Modules in reading order:
//!
//! - [`plan`]: what to ask, how often, for how long, and what is refused before the first request;
//! - [`mix`]: the requests themselves, in proportion to their weights;
//! - [`arrivals`]: the points in time at which requests are due;
//! - [`load`]: the run: paces the arrivals and hands each to a free connection;
//! - `pacer`: waits for a point in time more precisely than a millisecond;
//! - `connection`: one keep-alive connection and the exchanges on it;
//! - [`record`]: what is kept of each answer: by phase, by second, by backend;
//! - [`report`]: the record as plain numbers, ready for JSON;
//! - [`progress`], [`csv`]: a second as a line to watch, the run as a table;
//! - [`scenario`]: a load test as a file, with what is done meanwhile and what must hold;
//! - [`child`]: starts and ends the programs that the benchmarks put load on;
//! - [`program`]: finds them;
//! - [`answering`]: the cheapest backends that they can have;
//! - [`actor`]: kills, stops, freezes and starts backends, and puts them back;
//! - [`http`]: one exchange beside the load;
//! - [`story`]: tells what happened to backends under load, in sentences and graphs.
//!
//! ```no_run
//! # async fn example() -> Result<(), loadtest::plan::PlanError> {
//! use loadtest::{load::Load, plan::Plan};
//! use std::time::Duration;
//!
//! let plan = Plan::new("http://127.0.0.1:8080/", 300.0, Duration::from_secs(10))?;
//! let load = Load::new(plan).await?;
//! let observer = load.observer();
//! observer.mark("second half"); // usually from another task, at the moment it announces
//! let report = load.run().await;
//! assert_eq!(report.failed, 0);
//! # Ok(()) }
//! ```

pub mod plan;

pub mod mix;

pub mod arrivals;

pub mod load;

mod pacer;

mod connection;

pub mod record;

pub mod report;

pub mod progress;

pub mod csv;

pub mod scenario;

pub mod child;

pub mod program;

pub mod answering;

pub mod actor;

pub mod http;

pub mod story;
