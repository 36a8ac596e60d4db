//! Silence: exchanges wait on a backend, and it answers none of them, for much longer than answers usually take.
//!
//! A property of the backend and not of a request, so no exchange needs a timer. With several exchanges waiting it needs
//! little time to be sure; a single one may just be a slow report, so the patience is longer, and silence alone ejects
//! nobody then, unless it comes a second time before any answer.
//!
//! Silent backends are only those beside whom somebody else does answer, or has nothing to do: when all are silent, what
//! they share is silent, and neither asking elsewhere nor taking one out would help.

use std::time::Duration;

use tokio::time::Instant;

use super::Finding;
use crate::telemetry::EjectionReason;

/// This many that wait are no coincidence.
const SEVERAL: u64 = 3;

/// How long silence must have lasted before it ejects: a process that only paused, for a garbage collection say, is back
/// by then, and has lost nothing but the requests that were sent elsewhere meanwhile.
const STALL: Duration = Duration::from_millis(500);

/// How long a silence is remembered after which nobody waits any more.
const REMEMBERED: Duration = Duration::from_secs(5);

/// What a look sees of one backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Whether it gets new work.
    pub available: bool,
    /// Exchanges that wait for it now: for a connection, or for the head of an answer to a request that is sent. Those
    /// whose request or answer is under way, and tunnels, do not wait.
    pub waiting: u64,
    /// Answers that have begun, of whatever status, since it is known.
    pub answers: u64,
}

/// The silences of the backends of an upstream.
#[derive(Debug, Default)]
pub(super) struct Silences(Vec<Ear>);

/// What is heard of one backend.
#[derive(Debug, Clone, Copy, Default)]
struct Ear {
    answers: u64,
    last_answer: Option<Instant>,
    /// Since when somebody has waited without anybody being answered.
    silent_since: Option<Instant>,
    /// How many wait about whom it was told already.
    known: u64,
    /// Since when others wait.
    newcomers_since: Option<Instant>,
    /// How often silence was told since the last answer.
    told: u32,
    /// Whether the silence is one that ejects if it lasts.
    grave: bool,
    /// Whether a probe was answered since the last answer.
    excused: bool,
}

impl Silences {
    pub(super) fn follow(&mut self, kept: &[Option<usize>]) {
        let ear = |before: &Option<usize>| before.and_then(|n| self.0.get(n)).copied().unwrap_or_default();
        self.0 = kept.iter().map(ear).collect();
    }

    /// Takes note of an answer to a probe. It excuses one silence: what answers may be only the front of what hangs.
    pub(super) fn excuse(&mut self, backend: usize) {
        if let Some(ear) = self.0.get_mut(backend)
            && !ear.excused
        {
            ear.silent_since = None;
            ear.newcomers_since = None;
            ear.grave = false;
            ear.excused = true;
        }
    }

    pub(super) fn look(
        &mut self,
        now: Instant,
        samples: &[Sample],
        usual: Option<Duration>,
        ejects: bool,
    ) -> Vec<(usize, Finding)> {
        for (ear, sample) in self.0.iter_mut().zip(samples) {
            ear.hear(sample, now);
        }
        let Some(usual) = usual else { return Vec::new() };
        let mut found = Vec::new();
        for (backend, sample) in samples.iter().enumerate().take(self.0.len()) {
            let Some(since) = self.0[backend].silent_since.filter(|_| sample.available) else { continue };
            // What they answered before they fell silent too says nothing.
            let silent = now.checked_sub(patience(SEVERAL, usual) / 2);
            let others = self.others(backend, samples, since, silent);
            let ear = &mut self.0[backend];
            if others != Others::Silent && ear.is_beyond_patience(sample, usual, now) {
                ear.tell(sample);
                found.push((backend, Finding::Silent { stuck: sample.waiting, since }));
            }
            let lasted = now.saturating_duration_since(since);
            let is_stalled = ear.grave && lasted >= STALL.max(2 * patience(SEVERAL, usual));
            if ejects && is_stalled && others == Others::Answer {
                // Once; it is found again if others begin to wait and are not answered either.
                ear.grave = false;
                found.push((backend, Finding::Eject(EjectionReason::Stalled)));
            }
        }
        found
    }

    /// Tells what the others do since `since`; who has waited for an answer since `silent` is silent too.
    fn others(&self, backend: usize, samples: &[Sample], since: Instant, silent: Option<Instant>) -> Others {
        let others = || {
            let all = self.0.iter().zip(samples).enumerate();
            all.filter(|&(at, (_, sample))| at != backend && sample.available).map(|(_, other)| other)
        };
        let answers = |ear: &Ear| {
            ear.last_answer > Some(since) && ear.silent_since.is_none_or(|since| Some(since) > silent)
        };
        if others().any(|(ear, _)| answers(ear)) {
            Others::Answer
        } else if others().any(|(_, sample)| sample.waiting == 0) {
            Others::Idle
        } else {
            Others::Silent
        }
    }
}

/// What the other backends do while one is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Others {
    /// One of them has answered since.
    Answer,
    /// None has, but one has nothing to do.
    Idle,
    /// All are silent, or there are none.
    Silent,
}

impl Ear {
    fn hear(&mut self, sample: &Sample, now: Instant) {
        let answered = std::mem::replace(&mut self.answers, sample.answers) != sample.answers;
        if answered {
            self.last_answer = Some(now);
        }
        if answered || !sample.available {
            self.end();
        }
        self.known = self.known.min(sample.waiting);
        if sample.waiting > self.known {
            self.newcomers_since.get_or_insert(now);
            self.silent_since.get_or_insert(now);
        } else {
            self.newcomers_since = None;
        }
        let forgotten = !self.grave
            || self.silent_since.is_some_and(|since| now.saturating_duration_since(since) > REMEMBERED);
        if sample.waiting == 0 && forgotten {
            self.silent_since = None;
            self.grave = false;
        }
    }

    /// An answer ends a silence. Whoever waited already, and was told about, is no reason to begin another.
    fn end(&mut self) {
        self.silent_since = None;
        self.newcomers_since = None;
        self.told = 0;
        self.grave = false;
        self.excused = false;
    }

    fn is_beyond_patience(&self, sample: &Sample, usual: Duration, now: Instant) -> bool {
        let patience = patience(sample.waiting - self.known, usual);
        self.newcomers_since.is_some_and(|since| now.saturating_duration_since(since) > patience)
    }

    fn tell(&mut self, sample: &Sample) {
        self.grave |= sample.waiting - self.known >= SEVERAL || self.told > 0;
        self.told += 1;
        self.known = sample.waiting;
        self.newcomers_since = None;
    }
}

/// How long so many may wait, where nearly all answers come within `usual`.
fn patience(waiting: u64, usual: Duration) -> Duration {
    if waiting >= SEVERAL {
        Duration::from_millis(50).max(usual * 3)
    } else {
        Duration::from_millis(200).max(usual * 10)
    }
}
