//! What ought to have become of one backend, by the rules as one would tell them.

use super::*;

/// What happened to a backend, as far as its state depends on it.
#[derive(Debug, Clone)]
pub(super) struct Fate {
    rules: AvailabilityRules,
    healthy: bool,
    /// Checks in a row that say otherwise.
    contradictions: u32,
    checked: bool,
    unresolved: bool,
    agent_down: bool,
    pub(super) percent: u8,
    drained: Vec<DrainSource>,
    /// Until when at least it is ejected.
    ejected_until: Option<Instant>,
    /// How long the last ejection had to last, by which rule, and when it ended.
    last_ejection: Option<(Duration, EjectionTimes, Instant)>,
    ramp: Option<Instant>,
    in_service: bool,
    /// Whether it ever left service, or joined others.
    pub(super) may_ramp: bool,
    /// When something was last said that makes it suspect.
    pub(super) doubted: Option<Instant>,
    failures: u32,
    errors: u32,
    wishes: Vec<EjectionReason>,
    /// Whether it was the same ramp and the same rules at the last step, and what its share was then.
    pub(super) last_share: Option<(Instant, f64)>,
}

impl Fate {
    pub(super) fn at_the_start(backend: &Backend, settings: &UpstreamSettings) -> Self {
        assert_eq!(backend.availability().state(), BackendState::Up);
        Self::at_rest(settings)
    }

    /// One of which nothing is known.
    fn at_rest(settings: &UpstreamSettings) -> Self {
        Self {
            rules: settings.availability(),
            healthy: true,
            contradictions: 0,
            checked: false,
            unresolved: false,
            agent_down: false,
            percent: 100,
            drained: Vec::new(),
            ejected_until: None,
            last_ejection: None,
            ramp: None,
            in_service: true,
            may_ramp: false,
            doubted: None,
            failures: 0,
            errors: 0,
            wishes: Vec::new(),
            last_share: None,
        }
    }

    pub(super) fn joining(backend: &Backend, settings: &UpstreamSettings, now: Instant) -> Self {
        let ramps = !settings.availability().slow_start.duration.is_zero();
        let expected = if ramps { BackendState::SlowStart } else { BackendState::Up };
        assert_eq!(backend.availability().state(), expected);
        Self { ramp: ramps.then_some(now), may_ramp: true, ..Self::at_rest(settings) }
    }

    /// What becomes of one that takes the place of this one.
    pub(super) fn succeeded(&self, backend: &Backend, settings: &UpstreamSettings, now: Instant) -> Self {
        let mut fate = Self {
            unresolved: backend.address.is_none(),
            drained: self.drained.iter().copied().filter(|&source| source == DrainSource::Operator).collect(),
            in_service: false,
            ..Self::at_rest(settings)
        };
        fate.settle(now);
        fate
    }

    pub(super) fn after_a_reload(&self, settings: &UpstreamSettings, now: Instant) -> Self {
        let mut fate = Self { rules: settings.availability(), last_share: None, ..self.clone() };
        if settings.checks.is_none() {
            fate.meets(Event::ChecksEnded, now);
        }
        if settings.outliers.is_none() {
            fate.meets(Event::EjectionsEnded, now);
        }
        fate
    }

    pub(super) fn state(&self) -> BackendState {
        let word = [
            (!self.healthy || self.agent_down || self.unresolved, BackendState::Down),
            (!self.drained.is_empty(), BackendState::Draining),
            (self.ejected_until.is_some(), BackendState::Ejected),
            (self.ramp.is_some(), BackendState::SlowStart),
        ];
        word.into_iter().find_map(|(holds, state)| holds.then_some(state)).unwrap_or(BackendState::Up)
    }

    pub(super) fn share(&self, now: Instant) -> f64 {
        let SlowStart { duration, floor } = self.rules.slow_start;
        let ramp = match self.ramp {
            Some(since) if now < since + duration => {
                let elapsed = (now - since).as_secs_f64() / duration.as_secs_f64();
                floor + (1.0 - floor) * elapsed
            }
            _ => 1.0,
        };
        ramp * f64::from(self.percent) / 100.0
    }

    pub(super) fn is_drained_by_an_operator(&self) -> bool {
        self.drained.contains(&DrainSource::Operator)
    }

    pub(super) fn is_last_resort(&self) -> bool {
        !self.is_drained_by_an_operator() && !self.unresolved
    }

    pub(super) fn is_drained(&self) -> bool {
        !self.drained.is_empty()
    }

    pub(super) fn rules(&self) -> &AvailabilityRules {
        &self.rules
    }

    pub(super) fn meets(&mut self, event: Event, now: Instant) {
        match event {
            Event::CheckPassed => {
                self.drained.retain(|&source| source != DrainSource::Check);
                self.check(true, self.rules.checks.rise);
            }
            Event::CheckFailed => self.check(false, self.rules.checks.fall),
            Event::ChecksEnded => {
                self.drained.retain(|&source| source != DrainSource::Check);
                (self.healthy, self.contradictions, self.checked) = (true, 0, false);
            }
            Event::Moved(_) | Event::Unresolved => {
                unreachable!("an arrival is another backend: see `succeeded`")
            }
            Event::AgentUp => self.agent_down = false,
            Event::AgentDown => self.agent_down = true,
            Event::AgentEnded => {
                self.drained.retain(|&source| source != DrainSource::Agent);
                (self.agent_down, self.percent) = (false, 100);
            }
            Event::Drain(source) if !self.drained.contains(&source) => self.drained.push(source),
            Event::Drain(_) => {}
            Event::Ready(source) => self.drained.retain(|&by| by != source),
            Event::Eject(_) => {} // see `is_ejected_until`
            Event::Readmit => {
                if self.ejected_until.is_some_and(|until| until <= now) {
                    self.ejected_until = None;
                    self.last_ejection = self.last_ejection.map(|(lasted, times, _)| (lasted, times, now));
                }
            }
            Event::EjectionsEnded => (self.ejected_until, self.last_ejection) = (None, None),
            Event::Tick => {
                let duration = self.rules.slow_start.duration;
                self.ramp = self.ramp.filter(|&since| now < since + duration);
            }
        }
        self.settle(now);
    }

    /// An ejection was granted that lasts until then.
    pub(super) fn is_ejected_until(&mut self, until: Instant, now: Instant) {
        self.ejected_until = Some(until);
        let lasts = until - now;
        let times = self.rules.ejections;
        let doublings = (0..40).map(|others| times.after(others));
        assert!(doublings.into_iter().any(|time| time == lasts), "an ejection of {lasts:?} by {times:?}");
        assert!(lasts <= times.max, "no ejection is longer than the longest");
        if let Some((before, by, ended)) = self.last_ejection
            && by == times
            && now.saturating_duration_since(ended) < Duration::from_secs(10)
        {
            assert_eq!(lasts, (before * 2).min(times.max), "it lasts twice as long soon after the last");
        }
        self.last_ejection = Some((lasts, times, until));
        self.settle(now);
    }

    pub(super) fn hears(&mut self, sign: Sign, outliers: Option<&OutlierRules>, now: Instant) {
        if sign == Sign::Answered {
            (self.failures, self.errors, self.doubted) = (0, 0, None);
            return;
        }
        self.doubted = Some(now);
        let Some(rules) = outliers.filter(|_| sign != Sign::Overtaken) else { return };
        let (row, limit, reason) = if sign == Sign::ServerError {
            (&mut self.errors, rules.consecutive_errors, EjectionReason::ConsecutiveErrors)
        } else {
            (&mut self.failures, rules.consecutive_failures, EjectionReason::ConsecutiveFailures)
        };
        *row += 1;
        if limit > 0 && row.is_multiple_of(limit) {
            self.wishes.push(reason);
        }
    }

    /// Returns the wish that live traffic ought to have, and takes it.
    pub(super) fn take_wish(&mut self) -> Option<EjectionReason> {
        let wishes = std::mem::take(&mut self.wishes);
        let failures = wishes.iter().find(|&&reason| reason == EjectionReason::ConsecutiveFailures);
        failures.or(wishes.first()).copied()
    }

    fn check(&mut self, passed: bool, needed: u32) {
        let first = !self.checked;
        self.checked = true;
        self.contradictions = if passed == self.healthy { 0 } else { self.contradictions + 1 };
        if passed != self.healthy && (first || self.contradictions >= needed.max(1)) {
            (self.healthy, self.contradictions) = (passed, 0);
        }
    }

    fn settle(&mut self, now: Instant) {
        let in_service = matches!(self.state(), BackendState::Up | BackendState::SlowStart);
        if in_service && !self.in_service {
            self.ramp = (!self.rules.slow_start.duration.is_zero()).then_some(now);
            (self.failures, self.errors, self.doubted) = (0, 0, None);
            self.wishes.clear();
            self.may_ramp = true;
        }
        if !in_service {
            self.ramp = None;
        }
        if in_service != self.in_service {
            self.last_share = None;
        }
        self.in_service = in_service;
    }
}
