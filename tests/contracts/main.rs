//! What may never drift: rules about the whole tree that no compiler pass and no lint can state.
//!
//! Every module is one contract. A contract reads files, or what the library says, and compares; none starts the program.
//! A failing contract prints each violation as `file:line: what is wrong`, so that an editor can jump to it.

mod budgets;
mod compose;
mod documents;
mod examples;
mod import_law;
mod lints;
mod metrics_catalogue;
mod monitoring;
mod names;
mod page;
mod pair;
mod tree;
mod words;
mod yaml;
