//! Backends that an operator adds to an upstream and removes from it, at run time.
//!
//! Both last beside the file, as [`changes`](crate::control_plane::changes) says; a new process knows of them if
//! `admin.changes` names a file.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;

use super::AdminState;
use super::change::{By, change};
use super::status::complain;
use crate::control_plane::changes::{Action, Addition};
use crate::control_plane::config::value::Invalid;
use crate::control_plane::config::value::address::BackendAddress;
use crate::control_plane::config::value::text::Name;

/// The heaviest weight, as in the configuration.
const WEIGHT_MAX: u16 = 1000;

/// What is to be added.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    address: String,
    name: Option<String>,
    weight: Option<u16>,
}

/// Answers `POST /api/v1/upstreams/{upstream}/backends`, whose body is `{"address": "127.0.0.1:5004"}` with a `name` and a
/// `weight` if they are not to be the defaults, with 201 and in the form of [`change`]. The backend joins as one that a
/// reload added: with a slow start, and down while its host name has no address.
pub(super) async fn add(
    State(state): State<AdminState>,
    Path(upstream): Path<String>,
    by: By,
    uri: Uri,
    asked: Result<Json<Asked>, JsonRejection>,
) -> Response {
    match asked.map_err(|_| BODY.to_owned()).and_then(|Json(asked)| asked.addition()) {
        Ok(addition) => change(&state, upstream, Action::Add(addition), by).await,
        Err(error) => complain(StatusCode::BAD_REQUEST, &uri, &error),
    }
}

/// Answers `DELETE /api/v1/upstreams/{upstream}/backends/{backend}`, in the form of [`change`]. The backend gets nothing new,
/// and finishes what it has until `timeouts.drain`.
pub(super) async fn remove(
    State(state): State<AdminState>,
    Path((upstream, backend)): Path<(String, String)>,
    by: By,
) -> Response {
    change(&state, upstream, Action::Remove(backend.into()), by).await
}

const BODY: &str = "the body must be JSON such as {\"address\": \"127.0.0.1:5004\", \"name\": \"backend-4\", \
                    \"weight\": 1}, of which the address is needed, and be called application/json";

impl Asked {
    fn addition(&self) -> Result<Addition, String> {
        let weight = self.weight.filter(|weight| *weight <= WEIGHT_MAX);
        if weight != self.weight {
            return Err(format!("a weight is a number from 0 to {WEIGHT_MAX}"));
        }
        Ok(Addition {
            name: self.name.as_deref().map(Name::parse).transpose().map_err(words)?,
            address: BackendAddress::parse(&self.address).map_err(words)?,
            weight,
        })
    }
}

fn words(Invalid { message, hint }: Invalid) -> String {
    hint.map_or_else(|| message.clone(), |hint| format!("{message}: {hint}"))
}
