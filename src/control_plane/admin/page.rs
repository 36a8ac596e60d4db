//! The live page: the files that it is made of, as they are written, inside of the program.
//!
//! Nothing is built, bundled or fetched from elsewhere, and the policy that comes with every file holds the browser to that
//! (Content Security Policy Level 3): only scripts and styles of these files run, none that stands in the page itself.
//! `page/main.js` says how the page is put together.

use axum::extract::{Path, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::status::{complain, list};

/// The page itself.
const INDEX: &str = include_str!("page/index.html");

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// The files at `/assets/`, with their types.
#[rustfmt::skip] // one line per file, so that it reads as the table it is
const ASSETS: [(&str, &str, &str); 26] = [
    ("mark.svg", "image/svg+xml", include_str!("page/mark.svg")),
    ("theme.css", STYLE, include_str!("page/theme.css")),
    ("layout.css", STYLE, include_str!("page/layout.css")),
    ("graphs.css", STYLE, include_str!("page/graphs.css")),
    ("explanation.css", STYLE, include_str!("page/explanation.css")),
    ("main.js", SCRIPT, include_str!("page/main.js")),
    ("access.js", SCRIPT, include_str!("page/access.js")),
    ("changes.js", SCRIPT, include_str!("page/changes.js")),
    ("decisions.js", SCRIPT, include_str!("page/decisions.js")),
    ("dom.js", SCRIPT, include_str!("page/dom.js")),
    ("explanation.js", SCRIPT, include_str!("page/explanation.js")),
    ("feed.js", SCRIPT, include_str!("page/feed.js")),
    ("format.js", SCRIPT, include_str!("page/format.js")),
    ("graph.js", SCRIPT, include_str!("page/graph.js")),
    ("history.js", SCRIPT, include_str!("page/history.js")),
    ("kinds.js", SCRIPT, include_str!("page/kinds.js")),
    ("lanes.js", SCRIPT, include_str!("page/lanes.js")),
    ("palette.js", SCRIPT, include_str!("page/palette.js")),
    ("panel.js", SCRIPT, include_str!("page/panel.js")),
    ("question.js", SCRIPT, include_str!("page/question.js")),
    ("scale.js", SCRIPT, include_str!("page/scale.js")),
    ("states.js", SCRIPT, include_str!("page/states.js")),
    ("story.js", SCRIPT, include_str!("page/story.js")),
    ("table.js", SCRIPT, include_str!("page/table.js")),
    ("transitions.js", SCRIPT, include_str!("page/transitions.js")),
    ("view.js", SCRIPT, include_str!("page/view.js")),
];

/// What a browser may do with an answer. Forms and frames are listed, since `default-src` does not speak of them.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Answers `GET /`: the live page to browsers, and to programs the list of what there is to ask for.
pub(super) async fn index(headers: HeaderMap) -> Response {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let is_browser = accepted.flat_map(|accept| accept.split(',')).any(|range| {
        let kind = range.split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case("text/html")
    });
    let vary = (header::VARY, "accept");
    if is_browser {
        let kind = (header::CONTENT_TYPE, "text/html; charset=utf-8");
        ([kind, vary, (header::CACHE_CONTROL, "no-cache")], INDEX).into_response()
    } else {
        ([vary], list()).into_response()
    }
}

/// Answers `GET /assets/{name}`. Browsers ask again each time, so that a page never runs with files of another version.
pub(super) async fn asset(Path(name): Path<String>, uri: Uri) -> Response {
    match ASSETS.iter().find(|(known, ..)| *known == name) {
        Some((_, kind, text)) => {
            ([(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, "no-cache")], *text).into_response()
        }
        None => complain(StatusCode::NOT_FOUND, &uri, "there is nothing at this path"),
    }
}

/// Adds to every answer what keeps browsers from making more of it than it is.
pub(super) async fn protect(request: Request, next: Next) -> Response {
    const FIELDS: [(HeaderName, &str); 4] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let mut response = next.run(request).await;
    for (name, value) in FIELDS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_page_is_served_and_every_file_that_is_asked_for_is_there() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/control_plane/admin/page");
        let files = std::fs::read_dir(folder).expect("the folder is there").flatten();
        let mut files: Vec<String> =
            files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
        files.retain(|name| name != "index.html");
        files.sort();
        let mut served: Vec<&str> = ASSETS.iter().map(|(name, ..)| *name).collect();
        served.sort_unstable();
        assert_eq!(files, served);
        let asked = regex::Regex::new(r#"(?:/assets/|from "\./)([a-z.]+)""#).expect("a pattern");
        for text in ASSETS.iter().map(|(_, _, text)| *text).chain([INDEX]) {
            for found in asked.captures_iter(text) {
                assert!(served.contains(&&found[1]), "{} is there", &found[1]);
            }
        }
    }
}
