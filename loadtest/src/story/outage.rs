//! Puts what was done to a backend and what the balancer made of it together to outages, from the kill to the full
//! share.
//!
//! It stands apart because the two come from different witnesses, in two orders: who killed a backend, or only
//! noticed that it was gone, may say so after the balancer has already acted.

use super::recording::{Act, Change, Counters, Deed, Recording, Sample, State};

/// One absence of a backend. Times are in seconds from the start of the load; None for what did not happen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Outage {
    /// The position of the backend.
    pub backend: usize,
    /// Its process was killed.
    pub killed: Option<f64>,
    /// The balancer took it out.
    pub detected: Option<f64>,
    /// The last attempt was sent to it. Not told where the balancer has not measured it.
    pub redistributed: Option<f64>,
    /// A process was started in its place.
    pub started: Option<f64>,
    /// The balancer gave it work again.
    pub back: Option<f64>,
    /// It had its full share again.
    pub up: Option<f64>,
}

/// What a mark on the graphs stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkKind {
    /// The process was killed.
    Killed,
    /// The balancer took the backend out.
    Detected,
    /// A process was started in its place.
    Started,
    /// The balancer gave the backend work again.
    Back,
    /// The backend had its full share again.
    Up,
}

/// A moment at which something happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark {
    /// When.
    pub at: f64,
    /// The position of the backend.
    pub backend: usize,
    /// What.
    pub kind: MarkKind,
}

impl MarkKind {
    /// The word on the graphs.
    pub fn word(self) -> &'static str {
        match self {
            MarkKind::Killed => "killed",
            MarkKind::Detected => "detected",
            MarkKind::Started => "started",
            MarkKind::Back => "back",
            MarkKind::Up => "up",
        }
    }

    /// What it means.
    pub fn meaning(self) -> &'static str {
        match self {
            MarkKind::Killed => "its process was killed",
            MarkKind::Detected => "the balancer took it out",
            MarkKind::Started => "a new process was started",
            MarkKind::Back => "the balancer gave it work again",
            MarkKind::Up => "it had its full share again",
        }
    }
}

impl Outage {
    /// When it began.
    pub fn began(&self) -> f64 {
        [self.killed, self.detected].into_iter().flatten().fold(f64::INFINITY, f64::min)
    }

    /// The moments of it that are marked, in order.
    pub fn marks(&self) -> impl Iterator<Item = Mark> + use<> {
        let backend = self.backend;
        let moments = [
            (MarkKind::Killed, self.killed),
            (MarkKind::Detected, self.detected),
            (MarkKind::Started, self.started),
            (MarkKind::Back, self.back),
            (MarkKind::Up, self.up),
        ];
        moments.into_iter().filter_map(move |(kind, at)| Some(Mark { at: at?, backend, kind }))
    }
}

/// Finds the outages of a run, by the time at which they began.
pub(super) fn find(recording: &Recording) -> Vec<Outage> {
    let mut outages: Vec<Outage> =
        (0..recording.backends.len()).flat_map(|backend| of_backend(recording, backend)).collect();
    for outage in &mut outages {
        outage.redistributed = redistributed(outage, &recording.samples);
    }
    outages.sort_by(|a, b| a.began().total_cmp(&b.began()));
    outages
}

enum Event {
    Did(Deed),
    Turned(State),
}

fn of_backend(recording: &Recording, backend: usize) -> Vec<Outage> {
    let did = |act: &Act| (act.backend == backend).then_some((act.at, Event::Did(act.deed)));
    let turned =
        |change: &Change| (change.backend == backend).then_some((change.at, Event::Turned(change.to)));
    let mut events: Vec<(f64, Event)> =
        recording.acts.iter().filter_map(did).chain(recording.changes.iter().filter_map(turned)).collect();
    events.retain(|(at, _)| *at >= 0.0);
    events.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut outages: Vec<Outage> = Vec::new();
    for (at, event) in events {
        note(&mut outages, backend, at, &event);
    }
    outages
}

fn note(outages: &mut Vec<Outage>, backend: usize, at: f64, event: &Event) {
    let last = outages.last_mut().filter(|outage| outage.up.is_none());
    match (event, last) {
        // Whoever noticed the kill did so after the balancer.
        (Event::Did(Deed::Killed), Some(last)) if last.killed.is_none() && last.started.is_none() => {
            last.killed = Some(last.began().min(at));
        }
        (Event::Did(Deed::Killed), Some(Outage { started: None, .. })) => {}
        (Event::Did(Deed::Killed), _) => {
            outages.push(Outage { backend, killed: Some(at), ..Outage::default() });
        }
        (Event::Did(Deed::Started), Some(last)) => last.started = last.started.or(Some(at)),
        (Event::Turned(State::SlowStart), Some(last)) => last.back = last.back.or(Some(at)),
        (Event::Turned(State::Up), Some(last)) => {
            last.back = last.back.or(Some(at));
            last.up = Some(at);
        }
        (Event::Turned(State::Down | State::Ejected | State::Draining), Some(last))
            if last.back.is_none() =>
        {
            last.detected = last.detected.or(Some(at));
        }
        (Event::Turned(State::Down | State::Ejected | State::Draining), _) => {
            outages.push(Outage { backend, detected: Some(at), ..Outage::default() });
        }
        (Event::Did(Deed::Started) | Event::Turned(State::SlowStart | State::Up), None) => {}
    }
}

/// When the last attempt was sent to the backend. The balancer measures from the first sign of trouble, which lies
/// before its verdict by as much as its counter of detection time grew.
fn redistributed(outage: &Outage, samples: &[Sample]) -> Option<f64> {
    let detected = outage.detected?;
    let counters = |sample: &Sample| sample.backends.get(outage.backend).copied().unwrap_or_default();
    let earlier = samples.iter().rfind(|sample| sample.at < outage.began()).map(counters)?;
    // At the latest when it is back it is known; what is measured after that is of another outage.
    let known = outage.up.and_then(|up| samples.iter().map(|sample| sample.at).find(|at| *at >= up));
    let within = detected..=known.unwrap_or(f64::INFINITY);
    let during = samples.iter().filter(|sample| within.contains(&sample.at)).map(counters);
    let measured = |counters: &Counters| counters.redistributions > earlier.redistributions;
    let Counters { detection_seconds, redistribution_seconds, .. } = { during }.find(measured)?;
    let first_sign = detected - (detection_seconds - earlier.detection_seconds);
    let last_attempt = first_sign + (redistribution_seconds - earlier.redistribution_seconds);
    Some(last_attempt.max(outage.began()))
}

#[cfg(test)]
mod tests;
