//! The scenario `restart`: backend-1 is killed at one third of the time and started again at two thirds.
//!
//! It stands apart from the processes it acts on: given the time and what is seen, it says what to do next, so
//! that its tests need neither processes nor time.
//!
//! The run has three phases, and two transitions between them which belong to none:
//!
//! - `before`: until the kill;
//! - *detecting*: from the kill until the balancer's `/metrics` show backend-1 down;
//! - `during`: from then until the process is started again;
//! - *recovering*: from then until backend-1 has its share back;
//! - `after`: from then on.
//!
//! So the share of backend-1 in `during` is 0 if, and only if, the balancer sends it nothing while it knows it is
//! down.

use std::time::Duration;

/// The shortest run that has room for a kill, its detection and the recovery.
pub(super) const DURATION_MIN: Duration = Duration::from_secs(6);

/// Backend-1 has its share back when it gives this part of what it should of the recent answers.
const SHARE_BACK: f64 = 0.9;

/// What happens by itself while the demo runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Scenario {
    /// Kills backend-1 at one third of the time and starts it again at two thirds.
    Restart,
}

/// What the demo sees of backend-1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    /// Whether the balancer shows it as up; None when the balancer did not answer.
    pub(super) up: Option<bool>,
    /// Its share of the most recent answers; None while there are too few.
    pub(super) share: Option<f64>,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Announce the transition `detecting` and kill backend-1.
    Kill,
    /// Announce the phase `during`.
    Detected,
    /// Announce the transition `recovering` and start backend-1 again.
    Start,
    /// Announce the phase `after`.
    Recovered,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Before,
    Detecting,
    During,
    Recovering,
    After,
}

/// The scenario `restart` while it is going on.
#[derive(Debug)]
pub(super) struct Restart {
    kill_at: Duration,
    start_at: Duration,
    share_back: f64,
    stage: Stage,
    /// When the present stage began.
    since: Duration,
    /// From the kill until the balancer showed backend-1 down; None when it never did.
    pub(super) detected_after: Option<Duration>,
    /// From the start of the new process until backend-1 had its share back; None when it never had.
    pub(super) recovered_after: Option<Duration>,
}

impl Restart {
    /// Plans the scenario for a run of `duration` over `backends` backends.
    pub(super) fn new(duration: Duration, backends: usize) -> Restart {
        Restart {
            kill_at: duration / 3,
            start_at: duration * 2 / 3,
            share_back: SHARE_BACK / backends as f64,
            stage: Stage::Before,
            since: Duration::ZERO,
            detected_after: None,
            recovered_after: None,
        }
    }

    /// Whether the next act waits for what is seen, not for the time alone: then look often.
    pub(super) fn is_watching(&self) -> bool {
        matches!(self.stage, Stage::Detecting | Stage::Recovering)
    }

    /// Whether everything that was to happen has happened.
    pub(super) fn is_complete(&self) -> bool {
        self.detected_after.is_some() && self.recovered_after.is_some()
    }

    /// Says what to do at `elapsed` since the start of the run, if anything.
    pub(super) fn step(&mut self, elapsed: Duration, seen: Seen) -> Option<Act> {
        let in_stage = elapsed.saturating_sub(self.since);
        let share_is_back = seen.share.is_some_and(|share| share >= self.share_back);
        let (next, act) = match self.stage {
            Stage::Before if elapsed >= self.kill_at => (Stage::Detecting, Act::Kill),
            Stage::Detecting if seen.up == Some(false) => {
                self.detected_after = Some(in_stage);
                (Stage::During, Act::Detected)
            }
            Stage::Detecting | Stage::During if elapsed >= self.start_at => (Stage::Recovering, Act::Start),
            Stage::Recovering if seen.up == Some(true) && share_is_back => {
                self.recovered_after = Some(in_stage);
                (Stage::After, Act::Recovered)
            }
            _ => return None,
        };
        self.stage = next;
        self.since = elapsed;
        Some(act)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: Seen = Seen { up: Some(true), share: Some(0.33) };
    const DOWN: Seen = Seen { up: Some(false), share: Some(0.0) };

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_restart_goes_through_its_stages_in_order() {
        let mut restart = Restart::new(second(30), 3);
        assert_eq!(restart.step(second(9), UP), None);
        assert_eq!(restart.step(second(10), UP), Some(Act::Kill));
        assert!(restart.is_watching());
        assert_eq!(restart.step(second(11), UP), None);
        assert_eq!(restart.step(second(12), DOWN), Some(Act::Detected));
        assert!(!restart.is_watching());
        assert_eq!(restart.step(second(19), DOWN), None);
        assert_eq!(restart.step(second(20), DOWN), Some(Act::Start));
        assert_eq!(restart.step(second(21), Seen { share: Some(0.1), ..UP }), None);
        assert_eq!(restart.step(second(22), UP), Some(Act::Recovered));
        assert_eq!(restart.step(second(29), UP), None);
        assert_eq!(restart.detected_after, Some(second(2)));
        assert_eq!(restart.recovered_after, Some(second(2)));
        assert!(restart.is_complete());
    }

    #[test]
    fn a_balancer_that_does_not_answer_has_not_noticed_anything() {
        let mut restart = Restart::new(second(30), 3);
        restart.step(second(10), UP);
        assert_eq!(restart.step(second(11), Seen { up: None, share: None }), None);
        assert_eq!(restart.step(second(20), Seen { up: None, share: None }), Some(Act::Start));
        assert_eq!(restart.step(second(29), Seen { up: None, share: Some(0.33) }), None);
        assert!(!restart.is_complete());
    }
}
