//! plimsoll: a load balancer whose load you can see.
//!
//! The crate is a library so that its parts can be tested and documented; the program is `plimsoll`.
//!
//! Each module may use those below it and none above:
//!
//! | module | responsible for |
//! |---|---|
//! | [`cli`] | flags to a command: `run`, `check`, `demo` |
//! | [`app`] | puts the parts together: bind, spawn, reload, drain |
//! | [`control_plane`] | configuration, health checks, the admin server |
//! | [`data_plane`] | the life of a request; begin reading there |
//! | [`upstream`] | the model both planes share: backends, their availability, whom to pick, whether to try again |
//! | [`telemetry`] | every metric once, the access log, the program's log |

pub mod app;
pub mod cli;
pub mod control_plane;
pub mod data_plane;
pub mod telemetry;
pub mod upstream;
