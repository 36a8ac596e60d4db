//! The way to the balancer: its live feed, taken up again by itself when it ends, and what is asked besides.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::Method;
use hyper::body::Incoming;
use serde_json::from_slice;
use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, timeout};

use super::events::{self, Events};
use super::plain::Plain;
use super::state::{Action, Change};
use super::told::{Decisions, Place};
use super::update::{Event, News};
use crate::cli::operator::{Operator, Refused, push_encoded};

/// How long after a failure the balancer is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// A balancer that says nothing for so long is not heard; it says something every second.
const SILENCE: Duration = Duration::from_secs(4);

/// How many exchanges of a backend are asked for.
const DECISIONS: usize = 20;

/// The most bytes that are read of a refusal.
const REFUSAL_MAX: usize = 4096;

/// Tells all that the balancer tells, until nobody listens. Dropping it ends the connection.
pub(super) async fn follow(operator: Operator, tell: Sender<Event>) {
    loop {
        // Without an error nobody listens any more.
        let Err(error) = listen(&operator, &tell).await else { return };
        if tell.send(Event::Lost(Plain::of(&format!("{error:#}")))).await.is_err() {
            return;
        }
        sleep(RETRY).await;
    }
}

async fn listen(operator: &Operator, tell: &Sender<Event>) -> anyhow::Result<()> {
    let response = operator.listen("/api/v1/live").await?;
    let status = response.status();
    let mut body = response.into_body();
    if !status.is_success() {
        anyhow::bail!("the balancer answers {status}: {}", refusal(body).await);
    }
    let mut events = Events::default();
    loop {
        let frame = timeout(SILENCE, body.frame()).await.context("it has said nothing for 4 s")?;
        let frame = frame.context("it has ended the connection")??;
        events.push(frame.data_ref().map_or(&[], |bytes| bytes))?;
        while let Some(told) = events.next() {
            if let Some(news) = read(&told).context("what it tells is not understood")?
                && tell.send(Event::Told(news)).await.is_err()
            {
                return Ok(());
            }
        }
    }
}

/// Reads an event; none of one that is not shown.
fn read(events::Told { name, data }: &events::Told) -> serde_json::Result<Option<News>> {
    Ok(Some(match name.as_str() {
        "history" => News::History(from_slice(data)?),
        "tick" => News::Tick(from_slice(data)?),
        "transition" => News::Transition(from_slice(data)?),
        "bye" => News::Bye,
        _ => return Ok(None),
    }))
}

/// The reason in the answer of a balancer that refuses.
async fn refusal(body: Incoming) -> String {
    let body = timeout(SILENCE, Limited::new(body, REFUSAL_MAX).collect()).await;
    let body = body.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes).unwrap_or_default();
    match from_slice::<Refused>(&body) {
        Ok(Refused { error }) => error,
        Err(_) => "is this plimsoll's admin server?".to_owned(),
    }
}

/// Has the balancer change something; says what came of it, as `plimsoll ctl` does.
pub(super) async fn change(operator: &Operator, Change { place, action }: &Change) -> Event {
    let asked = async {
        let place = place.to_string().parse().map_err(anyhow::Error::msg)?;
        match action {
            Action::Drain => operator.drain(&place, false).await,
            Action::Ready => operator.ready(&place).await,
            Action::Weigh(weight) => operator.weigh(&place, *weight).await,
        }
    };
    Event::Changed(said(asked.await))
}

/// Asks for the latest exchanges of a backend.
pub(super) async fn decisions(operator: &Operator, place: Place) -> Event {
    let mut path = format!("/api/v1/why?limit={DECISIONS}");
    for (name, text) in [("upstream", &place.upstream), ("backend", &place.backend)] {
        path += &format!("&{name}=");
        push_encoded(&mut path, text.as_str());
    }
    let asked = async {
        let (status, text) = operator.answer(Method::GET, &path, Bytes::new()).await?;
        anyhow::ensure!(status.is_success(), "the balancer answers {status}");
        serde_json::from_str::<Decisions>(&text).context("what it tells is not understood")
    };
    let told = asked.await.map_err(|error| Plain::of(&format!("{error:#}")));
    Event::Decided(place, told)
}

fn said(answer: anyhow::Result<String>) -> Result<Plain, Plain> {
    answer.map(|words| Plain::of(&words)).map_err(|error| Plain::of(&format!("{error:#}")))
}
