//! The page of metrics, sent while it is being written.
//!
//! With a thousand backends it has sixteen megabytes. Written as a whole, it would take as much memory for every client, and
//! nothing would be sent before the end; so it is written on a thread that may take its time, which is ahead of what the
//! client has taken by a few pieces and no more.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::AdminState;
use crate::control_plane::now::Now;
use crate::telemetry::PageForm;

/// How many pieces may wait for the client.
const AHEAD: usize = 4;

/// Answers `GET /metrics`: our own, and those that were pushed.
pub(super) async fn metrics(State(state): State<AdminState>, fields: HeaderMap) -> Response {
    let accepted = fields.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let form = PageForm::accepted(&accepted.collect::<Vec<_>>().join(","));
    let (pieces, waiting) = mpsc::channel(AHEAD);
    let write = move || {
        // What has expired is counted before it is told how much that is.
        let pushed = state.pushes.as_ref().map(|pushes| pushes.page(form, Now::read()));
        // Who does not take a piece is gone.
        let mut give = |piece: String| pieces.blocking_send(piece).is_ok();
        state.telemetry.render_piecewise(form, &mut give);
        if let Some(pushed) = pushed {
            pushed.write(&mut give);
        }
        if !form.end().is_empty() {
            give(form.end().to_owned());
        }
    };
    let page = Page { waiting, writing: tokio::task::spawn_blocking(write) };
    ([(header::CONTENT_TYPE, form.content_type()), (header::VARY, "accept")], Body::new(page)).into_response()
}

/// The body of the answer.
struct Page {
    waiting: mpsc::Receiver<String>,
    writing: JoinHandle<()>,
}

impl HttpBody for Page {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(piece) = ready!(self.waiting.poll_recv(cx)) {
            return Poll::Ready(Some(Ok(Frame::data(piece.into()))));
        }
        // A page that breaks off must not look like one that is complete.
        match ready!(Pin::new(&mut self.writing).poll(cx)) {
            Ok(()) => Poll::Ready(None),
            Err(error) => {
                tracing::error!(%error, "metrics could not be rendered");
                Poll::Ready(Some(Err(error.into())))
            }
        }
    }
}
