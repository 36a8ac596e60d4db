//! The keys of a scenario file, as they are written. A key that is not here is an error.

use super::check::Bound;
use super::value::{Address, Code, Headers, Pid, Rate, Span, Targets, Verb, Words};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::Spanned;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The one key that is read before the others: what their `${NAME}` stand for.
#[derive(Deserialize)]
pub(super) struct Head {
    #[serde(default)]
    pub(super) settings: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) title: String,
    #[serde(default, rename = "settings")]
    pub(super) _settings: Option<IgnoredAny>,
    pub(super) target: Targets,
    pub(super) method: Option<Verb>,
    #[serde(default)]
    pub(super) headers: Headers,
    pub(super) body: Option<String>,
    #[serde(default)]
    pub(super) mix: Vec<Ask>,
    pub(super) keep_alive: Option<bool>,
    pub(super) rate: Option<Spanned<Rate>>,
    pub(super) connections: Option<Spanned<usize>>,
    #[serde(default)]
    pub(super) arrivals: Arrivals,
    pub(super) seed: Option<u64>,
    pub(super) timeout: Option<Span>,
    pub(super) max_in_flight: Option<Spanned<usize>>,
    pub(super) bucket: Option<Span>,
    #[serde(default)]
    pub(super) backend_headers: Vec<String>,
    #[serde(default)]
    pub(super) programs: BTreeMap<String, Spanned<Program>>,
    pub(super) admin: Option<Admin>,
    pub(super) phases: Spanned<Vec<Spanned<Phase>>>,
    #[serde(default)]
    pub(super) assert: Vec<Spanned<Bound>>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum Arrivals {
    #[default]
    Constant,
    Poisson,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    pub(super) weight: Option<u32>,
    pub(super) path: Spanned<String>,
    pub(super) method: Option<Verb>,
    #[serde(default)]
    pub(super) headers: Headers,
    pub(super) body: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Program {
    #[serde(default)]
    pub(super) command: Words,
    #[serde(default)]
    pub(super) pid: Pid,
    pub(super) supervised: Option<bool>,
    pub(super) compose: Option<String>,
    pub(super) project: Option<String>,
    #[serde(default)]
    pub(super) files: Vec<PathBuf>,
    pub(super) ready: Option<Address>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    pub(super) url: Address,
    pub(super) upstream: Option<String>,
    pub(super) token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Phase {
    pub(super) name: String,
    pub(super) duration: Spanned<Span>,
    pub(super) rate: Option<Spanned<Rate>>,
    #[serde(default)]
    pub(super) actions: Vec<Spanned<Action>>,
    #[serde(default)]
    pub(super) assert: Vec<Spanned<Bound>>,
}

/// One of its deeds is given.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Action {
    pub(super) at: Option<Spanned<Span>>,
    pub(super) kill: Option<Spanned<String>>,
    pub(super) stop: Option<Spanned<String>>,
    pub(super) freeze: Option<Spanned<String>>,
    #[serde(rename = "continue")]
    pub(super) go_on: Option<Spanned<String>>,
    pub(super) start: Option<Spanned<String>>,
    pub(super) drain: Option<Spanned<String>>,
    pub(super) ready: Option<Spanned<String>>,
    pub(super) switch: Option<Address>,
    pub(super) call: Option<Call>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    pub(super) method: Option<Verb>,
    pub(super) url: Address,
    #[serde(default)]
    pub(super) headers: Headers,
    pub(super) body: Option<String>,
    pub(super) expect: Option<Code>,
    pub(super) undo: Option<Box<Call>>,
}
