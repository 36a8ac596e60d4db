//! Reloading by an operator: has the configuration file read again, as SIGHUP does, and tells what came of it.
//!
//! A signal is not for everybody: there is no shell in a container, and an engine that is told to `kill` one takes it for
//! stopped by hand, so that it is not started again when it crashes.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use super::AdminState;
use super::order::{Order, Unanswered, give};

/// A configuration that has come into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// Its number: how many have been in force, with this one.
    pub generation: i64,
    /// What is doubtful in the file, and what of it only a new process takes up; as in the log.
    pub warnings: Vec<String>,
}

/// Answers `POST /api/v1/reload` once the new configuration is in force, or with 422 and what is wrong with the file:
///
/// ```json
/// { "generation": 2, "warnings": ["`workers` changed; it takes effect when the process is started again"] }
/// ```
///
/// A client that leaves does not stop it.
pub(super) async fn reload(State(state): State<AdminState>) -> Response {
    match give(&state.orders, Order::Reload).await {
        Ok(Ok(reloaded)) => Json(reloaded).into_response(),
        Ok(Err(error)) => refused(StatusCode::UNPROCESSABLE_ENTITY, &error),
        Err(Unanswered::Ending) => refused(StatusCode::SERVICE_UNAVAILABLE, "the process is about to end"),
        Err(Unanswered::Late) => refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "it takes longer than 8 s; the log and plimsoll_config_reloads_total tell how it ends",
        ),
    }
}

fn refused(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::Value;
    use tokio::sync::mpsc;

    use super::*;
    use crate::telemetry::Telemetry;

    /// What is answered where a reload ends so.
    async fn told(came_of_it: Result<Reloaded, String>) -> (StatusCode, Value) {
        let (orders, mut given) = mpsc::channel(1);
        let state = AdminState { orders, ..AdminState::over(Telemetry::new(1), Arc::new(Vec::new)) };
        let carry_out = async {
            let Some(Order::Reload(answer)) = given.recv().await else { panic!("it was asked for") };
            answer.send(came_of_it).expect("it is waited for");
        };
        let (response, ()) = tokio::join!(reload(State(state)), carry_out);
        read(response).await
    }

    async fn read(response: Response) -> (StatusCode, Value) {
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    #[tokio::test]
    async fn what_came_of_it_is_told_in_the_words_of_the_log() {
        let warnings = vec!["`workers` changed".to_owned()];
        let (status, body) = told(Ok(Reloaded { generation: 2, warnings })).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(body, json!({ "generation": 2, "warnings": ["`workers` changed"] }));
        let (status, body) = told(Err("nothing changed: 3:5".to_owned())).await;
        assert_eq!(
            (status, body),
            (StatusCode::UNPROCESSABLE_ENTITY, json!({ "error": "nothing changed: 3:5" }))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_not_answered_is_told_so() {
        let over = AdminState::over(Telemetry::new(1), Arc::new(Vec::new));
        let (status, body) = read(reload(State(over.clone())).await).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "nobody is there");
        assert!(body["error"].as_str().is_some_and(|error| error.contains("about to end")), "{body}");
        let (orders, _given) = mpsc::channel(1);
        let (status, body) = read(reload(State(AdminState { orders, ..over })).await).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "somebody is there, and busy");
        assert!(body["error"].as_str().is_some_and(|error| error.contains("longer than 8 s")), "{body}");
    }
}
