//! Reads the balancer's `/api/v1/transitions`: the exact moments at which it changed its mind about a backend.

use super::recording::{Change, State};
use serde::Deserialize;
use std::time::SystemTime;

/// Why the page cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum TransitionsError {
    /// It is not the JSON that it should be.
    #[error("the balancer's transitions are not what they should be: {0}")]
    Json(#[from] serde_json::Error),
    /// One of its times is none.
    #[error("the balancer's transitions have a time `{0}`, which is none in RFC 3339")]
    Time(String),
    /// One of its states is unknown.
    #[error(
        "the balancer's transitions have a state `{0}` that is unknown here; use programs of one version"
    )]
    State(String),
}

#[derive(Deserialize)]
struct Page {
    transitions: Vec<Transition>,
}

#[derive(Deserialize)]
struct Transition {
    at: String,
    upstream: String,
    backend: String,
    to: String,
}

/// The changes that the page tells of `upstream` and of the backends called `names`, in seconds since `began`, in
/// the order of the page. Those from before `began` have negative times.
///
/// # Errors
/// When the page is not what the balancer writes.
pub fn read(
    page: &str,
    upstream: &str,
    names: &[String],
    began: SystemTime,
) -> Result<Vec<Change>, TransitionsError> {
    let page: Page = serde_json::from_str(page)?;
    let of_upstream = page.transitions.into_iter().filter(|transition| transition.upstream == upstream);
    let changes = of_upstream.filter_map(|transition| {
        let backend = names.iter().position(|name| *name == transition.backend)?;
        Some(change(&transition, backend, began))
    });
    changes.collect()
}

fn change(transition: &Transition, backend: usize, began: SystemTime) -> Result<Change, TransitionsError> {
    let at = humantime::parse_rfc3339(&transition.at)
        .map_err(|_| TransitionsError::Time(transition.at.clone()))?;
    let to = State::parse(&transition.to).ok_or_else(|| TransitionsError::State(transition.to.clone()))?;
    Ok(Change { at: seconds_since(began, at), backend, to })
}

/// The seconds from one moment to another, negative when the other was before.
pub fn seconds_since(began: SystemTime, at: SystemTime) -> f64 {
    match at.duration_since(began) {
        Ok(after) => after.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"{"transitions":[
        {"at":"2026-11-21T09:51:00.250Z","upstream":"app","backend":"backend-2","from":"up","to":"down","cause":"check","words":""},
        {"at":"2026-11-21T09:51:00.300Z","upstream":"other","backend":"backend-2","from":"up","to":"down","cause":"check","words":""},
        {"at":"2026-11-21T09:51:01.500Z","upstream":"app","backend":"stranger","from":"up","to":"down","cause":"check","words":""},
        {"at":"2026-11-21T09:51:02.000Z","upstream":"app","backend":"backend-2","from":"down","to":"slow_start","cause":"check","words":""}
    ]}"#;

    fn changes(page: &str) -> Result<Vec<Change>, TransitionsError> {
        let began = humantime::parse_rfc3339("2026-11-21T09:51:01.000Z").unwrap();
        read(page, "app", &["backend-1".to_owned(), "backend-2".to_owned()], began)
    }

    #[test]
    fn the_changes_of_the_upstream_and_its_backends_are_read_and_no_others() {
        let read = changes(PAGE).unwrap();
        assert_eq!(
            read,
            [
                Change { at: -0.75, backend: 1, to: State::Down },
                Change { at: 1.0, backend: 1, to: State::SlowStart }
            ]
        );
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let said = |page: &str| changes(page).unwrap_err().to_string();
        assert!(said("{}").contains("transitions"));
        assert!(said(&PAGE.replace("2026-11-21T09:51:00.250Z", "noon")).contains("`noon`"));
        assert!(said(&PAGE.replace("slow_start", "resting")).contains("`resting`"));
    }
}
