//! What holds in every history, a function for each.

use super::*;

/// What holds when an upstream has just been made, at the start of the process.
pub(super) fn at_the_start(world: &World) {
    for backend in &world.upstream.backends {
        let availability = backend.availability();
        assert!(!availability.is_ramping(), "no ramp at the start");
        assert_eq!(availability.share(world.now), 1.0, "the whole weight from the start");
    }
}

/// What holds whatever has just happened.
pub(super) fn at_every_step(world: &mut World) {
    for (backend, fate) in world.upstream.backends.iter().zip(&world.fates) {
        the_state_that_is_shown_is_the_one_that_follows(backend, fate);
        a_weight_is_never_more_than_the_configured(world, backend);
        suspicion_needs_a_recent_sign(backend, fate, world.now);
        assert!(fate.may_ramp || !backend.availability().is_ramping(), "nobody ramps who was never out");
        assert!(!backend.is_retired(), "who is configured is not retired");
        assert!(backend.drain_deadline().is_none() || fate.is_drained(), "only a drain has a deadline");
    }
    a_load_factor_stays_within_its_bounds(world);
    the_share_grows_evenly(world);
    the_fleet_is_who_is_available(world);
    the_budget_stays_within_its_bounds(world);
    every_exchange_is_counted_once(world);
}

fn the_state_that_is_shown_is_the_one_that_follows(backend: &Backend, fate: &Fate) {
    let state = backend.availability().state();
    assert_eq!(state, fate.state(), "the state follows from what happened: {fate:?}");
    assert_eq!(backend.series.state(), state, "the state that is shown is the state");
    assert_eq!(backend.series.is_up(), backend.availability().is_available());
}

/// Except that one stands for none, where nobody who accepts work has any.
fn a_weight_is_never_more_than_the_configured(world: &World, backend: &Backend) {
    let (effective, weight) = (backend.series.effective_weight.get(), f64::from(backend.weight()));
    let fleet = world.upstream.fleet();
    let unweighted = weight == 0.0 && effective == 1.0 && (fleet.is_without_share() || fleet.is_fail_open());
    let bounded = (0.0..=weight).contains(&effective);
    assert!(bounded || unweighted, "an effective weight of {effective}, configured {weight}");
}

fn a_load_factor_stays_within_its_bounds(world: &World) {
    let floor = world.settings.load_aware.map_or(1.0, |rules| rules.floor.max(0.02));
    for backend in &world.upstream.backends {
        let factor = backend.load_factor();
        assert!((floor..=1.0).contains(&factor), "a load factor of {factor}, the floor is {floor}");
        assert_eq!(backend.series.load_factor.get(), factor, "what is shown is what is used");
    }
}

/// Nobody loses by a report that is missing, nobody idle loses at all, and who is busy wins nothing.
pub(super) fn a_load_factor_moves_towards_what_is_reported(
    world: &World,
    before: &[f64],
    moved: &[LoadChange],
    cpu: impl Fn(usize) -> Option<f64>,
) {
    for (at, backend) in world.upstream.backends.iter().enumerate() {
        let (was, is) = (before[at], backend.load_factor());
        let told = moved.iter().find(|change| change.backend == at).map(|change| (change.from, change.to));
        assert_eq!(told, (was != is).then_some((was, is)), "what has moved is told");
        match (world.settings.load_aware, cpu(at)) {
            (None, _) => assert_eq!(is, was, "nobody looks at a CPU"),
            (Some(rules), Some(cpu)) if cpu > rules.from => {
                assert!(cpu < 1.0 || is <= was, "{was} to {is} at {cpu}")
            }
            _ => assert!(is >= was, "{was} to {is} without a reason"),
        }
    }
}

fn suspicion_needs_a_recent_sign(backend: &Backend, fate: &Fate, now: Instant) {
    if backend.is_suspect(now) {
        let doubted = fate.doubted.expect("nobody is suspect of whom nothing was said");
        assert!(now - doubted < SUSPICION_LASTS, "no suspicion outlasts its time");
    }
}

fn the_share_grows_evenly(world: &mut World) {
    let now = world.now;
    for (backend, fate) in world.upstream.backends.iter().zip(&mut world.fates) {
        let (share, whole) = (backend.availability().share(now), f64::from(fate.percent) / 100.0);
        assert!((share - fate.share(now)).abs() < 1e-9, "{share} is not the share that follows: {fate:?}");
        let SlowStart { duration, floor } = fate.rules().slow_start;
        let on_ramp = share / whole.max(f64::MIN_POSITIVE);
        if backend.availability().is_ramping() && whole > 0.0 {
            assert!(on_ramp >= floor - 1e-9, "a ramp begins at its floor");
            if let Some((at, before)) = fate.last_share {
                let elapsed = (now - at).as_secs_f64() / duration.as_secs_f64().max(f64::MIN_POSITIVE);
                assert!(on_ramp >= before - 1e-9, "a ramp never falls");
                assert!(
                    on_ramp - before <= elapsed + 1e-9,
                    "no step of a ramp is larger than the time it took"
                );
            }
            fate.last_share = Some((now, on_ramp));
        } else {
            fate.last_share = None;
        }
    }
}

fn the_fleet_is_who_is_available(world: &World) {
    let fleet = world.upstream.fleet();
    let available = |at: &usize| world.upstream.backends[*at].availability().is_available();
    let all = 0..world.upstream.backends.len();
    let nobody = !all.clone().any(|at| available(&at));
    let last_resorts = || world.fates.iter().any(Fate::is_last_resort);
    let tries_all =
        nobody && world.settings.when_none_available == WhenNoneAvailable::TryAll && last_resorts();
    assert_eq!(fleet.is_fail_open(), tries_all, "all are tried exactly when nobody is available");
    for at in all.clone() {
        let accepted = if tries_all { world.fates[at].is_last_resort() } else { available(&at) };
        assert_eq!(fleet.accepts(at), accepted, "the fleet is who is available");
        assert!(fleet.accepts(at) || fleet.share(at) == 0.0, "who is out is intended to get nothing");
    }
    let shares: f64 = all.map(|at| fleet.share(at)).sum();
    assert!(fleet.is_empty() || (shares - 1.0).abs() < 1e-9, "the intended shares are a whole: {shares}");
    assert_eq!(fleet.is_empty(), nobody && !tries_all, "whoever accepts work leaves nobody with a 503");
    let weightless = |at: usize| world.upstream.backends[at].weight() == 0;
    let accepting = || (0..world.fates.len()).filter(|&at| fleet.accepts(at));
    if !accepting().all(weightless) {
        let spared = accepting().filter(|&at| weightless(at)).all(|at| fleet.share(at) == 0.0);
        assert!(spared, "who has no weight is spared while another has one");
    }
}

fn the_budget_stays_within_its_bounds(world: &World) {
    let left = world.upstream.budget.left() as f64;
    assert!(left <= world.most_saved + 1.0, "{left} retries left of at most {}", world.most_saved);
}

fn every_exchange_is_counted_once(world: &World) {
    for backend in &world.upstream.backends {
        let own = world.exchanges.iter().filter(|other| Arc::ptr_eq(&other.series, &backend.series));
        assert_eq!(backend.in_flight(), own.count() as u64);
    }
}

/// A state changes only with a transition, which says what was and what is, and only that of who was observed.
pub(super) fn what_is_told_is_what_happened(
    world: &mut World,
    who: usize,
    before: &[Availability],
    observed: Option<Observed>,
) {
    let after = world.availabilities();
    for at in (0..before.len()).filter(|&at| at != who) {
        assert_eq!(after[at], before[at], "what is learned of one changes no other");
    }
    let (was, is) = (before[who].state(), after[who].state());
    assert_eq!(
        observed.is_some(),
        was != is,
        "no state changes without a transition, and none stays with one"
    );
    let count = |all: &[Availability]| all.iter().filter(|one| one.is_available()).count();
    let (available_before, available) = (count(before), count(&after));
    if let Some(Observed { transition, available: told, none_available, regained }) = observed {
        assert_eq!((transition.from, transition.to, transition.at), (was, is, world.now));
        assert_eq!(told, available);
        assert_eq!(
            none_available.is_some(),
            available_before > 0 && available == 0,
            "told once: nobody is left"
        );
        assert_eq!(regained, available_before == 0 && available > 0, "told once: somebody is back");
        if let Some(instead) = none_available {
            let tries_all = world.upstream.fleet().is_fail_open();
            assert_eq!(instead == WhenNoneAvailable::TryAll, tries_all, "it is told what is done instead");
        }
    }
}

/// More than the share are never ejected, and never the last one that takes work; whoever is in service and may not be
/// ejected is refused, which is counted.
pub(super) fn an_ejection_is_granted_or_refused(
    world: &mut World,
    who: usize,
    before: &[Availability],
    observed: Option<Observed>,
    refused: bool,
) {
    let backend = Arc::clone(&world.upstream.backends[who]);
    if !before[who].is_available() {
        assert!(observed.is_none() && !refused, "who is out already is not ejected, and not refused to be");
        return;
    }
    let ejected = |all: &[Availability]| all.iter().filter(|one| one.ejection().is_some()).count();
    let backends = before.len();
    let most = world.upstream.outliers.map_or(0, |rules| rules.most_ejected(backends));
    let takes_work = |at: &usize| {
        *at != who
            && before[*at].is_available()
            && f64::from(world.upstream.backends[*at].weight()) * before[*at].share(world.now) > 0.0
    };
    let allowed = ejected(before) < most && (0..backends).any(|at| takes_work(&at));
    assert_eq!(observed.is_some(), allowed, "{most} may be ejected, {} are", ejected(before));
    assert_ne!(observed.is_some(), refused, "it is granted or refused");
    if observed.is_some() {
        let ejection = backend.availability().ejection().expect("an ejection was granted");
        assert!(ejected(&world.availabilities()) <= most, "no more are ejected than the share allows");
        assert_eq!(ejection.since, world.now);
        world.fates[who].is_ejected_until(ejection.until, world.now);
    }
}

/// An ejection lasts its time, and a probe ends it.
pub(super) fn a_readmission_is_never_early(before: &Availability, observed: Option<Observed>, now: Instant) {
    let over = before.ejection().is_some_and(|ejection| ejection.until <= now);
    assert!(over || observed.is_none(), "an ejection lasts its time");
    if let Some(Observed { transition, .. }) = observed {
        assert_eq!(
            (transition.from, transition.cause),
            (BackendState::Ejected, TransitionCause::Readmission)
        );
    }
}

/// Time ends ramps that took it, and changes nothing else.
pub(super) fn a_tick_ends_ramps_and_nothing_else(
    world: &World,
    before: &[Availability],
    ended: &[(usize, Observed)],
) {
    for (at, (was, is)) in before.iter().zip(world.availabilities()).enumerate() {
        let told = ended.iter().find(|(who, _)| *who == at).map(|(_, observed)| observed.transition);
        assert_eq!(told.is_some(), was.state() != is.state(), "no state changes without a transition");
        if let Some(transition) = told {
            assert_eq!(
                (transition.from, transition.to, transition.cause),
                (BackendState::SlowStart, BackendState::Up, TransitionCause::Ramp)
            );
            assert!(
                world.now - was.since() >= world.fates[at].rules().slow_start.duration,
                "not before its time"
            );
        }
    }
}

/// A drain ends when its time is over, once, and with an alarm to those who wait.
pub(super) fn a_drain_ends_once_and_not_before_its_time(world: &World) {
    let seen = |backend: &Arc<Backend>| (backend.drain_deadline(), backend.drains_ended(), backend.alarm());
    let before: Vec<_> = world.upstream.backends.iter().map(seen).collect();
    let ended: Vec<_> = world.upstream.end_drains(world.now).map(|backend| backend.name.clone()).collect();
    for (backend, (deadline, drains, alarm)) in world.upstream.backends.iter().zip(before) {
        let is_over = deadline.is_some_and(|deadline| deadline <= world.now);
        assert_eq!(ended.contains(&backend.name), is_over, "a drain ends when its time is over");
        assert_eq!(backend.drains_ended(), drains + u32::from(is_over));
        assert_eq!(backend.alarm() != alarm, is_over, "who waits is told");
    }
    assert_eq!(world.upstream.end_drains(world.now).count(), 0, "and only once");
}

/// A wish comes of enough in a row, and of nothing else.
pub(super) fn a_wish_follows_a_row(fate: &mut Fate, wish: Option<EjectionReason>) {
    assert_eq!(wish, fate.take_wish(), "a wish comes of enough in a row: {fate:?}");
}

/// A retry is taken exactly while one is left, and then there is one less.
pub(super) fn a_retry_is_taken_only_while_one_is_left(before: u64, taken: bool, after: u64) {
    assert_eq!(taken, before > 0, "a retry is taken while one is left");
    assert_eq!(after, before - u64::from(taken), "and then there is one less");
}

/// Nobody is picked who is out while somebody is in, who was tried while somebody was not, who is suspect while somebody
/// is not, or who is full.
pub(super) fn nobody_better_was_left(
    world: &World,
    tried: &Tried,
    picked: Result<(usize, PickReason), NoPick>,
) {
    let backends = &world.upstream.backends;
    let fleet = world.upstream.fleet();
    let members: Vec<usize> = (0..backends.len()).filter(|&at| fleet.share(at) > 0.0).collect();
    let (index, reason) = match picked {
        Ok(picked) => picked,
        Err(NoPick::NoneAvailable) => return assert!(members.is_empty(), "somebody could take it"),
        Err(NoPick::Full) => {
            return assert!(members.iter().all(|&at| backends[at].is_full()), "somebody has room");
        }
    };
    let availability = backends[index].availability();
    assert_eq!(reason == PickReason::FailOpen, fleet.is_fail_open(), "it is told when all are tried");
    if !fleet.is_fail_open() {
        assert!(availability.is_available(), "who is out gets nothing while somebody is in");
        let has_share = availability.share(world.now) > 0.0 && backends[index].weight() > 0;
        assert!(has_share || reason == PickReason::NoShare, "who has no share is spared");
    }
    assert!(
        !world.fates[index].is_drained_by_an_operator(),
        "what an operator drains gets nothing new, ever"
    );
    assert!(backends[index].address.is_some(), "what has no address is not even tried");
    assert!(!backends[index].is_full(), "nobody gets more than it takes");
    let room = || members.iter().copied().filter(|&at| !backends[at].is_full());
    if room().any(|at| !tried.contains(at)) {
        assert!(!tried.contains(index), "somebody is left who was not tried");
        let suspect = |at: usize| backends[at].is_suspect(world.now);
        let all_suspect = room().filter(|&at| !tried.contains(at)).all(suspect);
        assert!(!suspect(index) || all_suspect, "somebody is left who is not suspect");
    }
}

/// A reload changes no state of who stays, except by ending what the new configuration does not have; who leaves is
/// retired, who comes begins anew, and the budget goes on.
pub(super) fn a_reload_leaves_alone_who_stays(
    world: &World,
    before: &[Arc<Backend>],
    was: &[Availability],
    budget: u64,
) {
    assert_eq!(world.upstream.budget.left(), budget, "the budget goes on");
    for (known, was) in before.iter().zip(was) {
        let stays = world.upstream.backends.iter().any(|kept| Arc::ptr_eq(kept, known));
        assert_ne!(known.is_retired(), stays, "who leaves is retired, and nobody else");
        let is_same =
            |wanted: &BackendSettings| (&wanted.name, wanted.address) == (&known.name, known.address);
        let configured = world.settings.backends.iter().any(is_same);
        assert_eq!(stays, configured, "who has the same name and address is the same");
        if stays && world.settings.checks.is_some() && world.settings.outliers.is_some() {
            let is = known.availability();
            assert_eq!((is.state(), is.since()), (was.state(), was.since()), "its state stays");
            assert_eq!(is.ejection(), was.ejection(), "its ejection stays");
            assert_eq!(is.is_ramping(), was.is_ramping(), "its ramp goes on");
        }
    }
}

/// Who takes the place of another is told exactly when the state is another than that of its predecessor.
pub(super) fn an_arrival_is_told(world: &World, before: &[Arc<Backend>], was: &[Availability]) {
    for (at, backend) in world.upstream.backends.iter().enumerate() {
        let told = world.upstream.arrivals().iter().find(|(who, _)| *who == at);
        let told = told.map(|(_, observed)| (observed.transition.from, observed.transition.to));
        let predecessor = before.iter().position(|known| known.name == backend.name);
        let expected = predecessor.filter(|&known| !Arc::ptr_eq(&before[known], backend)).and_then(|known| {
            let change = (was[known].state(), backend.availability().state());
            (change.0 != change.1).then_some(change)
        });
        assert_eq!(told, expected, "an arrival is told if it changes a state");
    }
}
