//! What an upstream promises.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::*;
use crate::telemetry::{BackendState, NoneAvailable, PickReason, TransitionCause};

mod candidates;
mod history;
mod load_aware;
mod moves;
mod observe;
mod simulation;
mod slow_start;
mod without_share;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SECOND: Duration = Duration::from_secs(1);

fn settings(backends: usize) -> UpstreamSettings {
    let backends = (1..=backends)
        .map(|n| BackendSettings::at(&format!("backend-{n}"), ([127, 0, 0, 1], 8000 + n as u16).into(), 1));
    UpstreamSettings {
        checks: Some(Thresholds { rise: 1, fall: 1 }),
        slow_start: SlowStart { duration: Duration::ZERO, floor: 1.0 },
        ..UpstreamSettings::new("web", backends.collect())
    }
}

/// An upstream and somebody who sends requests to it.
struct Traffic {
    upstream: Upstream,
    telemetry: Arc<Telemetry>,
    rng: fastrand::Rng,
    now: Instant,
}

impl Traffic {
    fn to(settings: UpstreamSettings) -> Self {
        let (telemetry, now) = (Telemetry::new(1), Instant::now());
        let upstream = Upstream::new(settings, None, &telemetry, now);
        Self { upstream, telemetry, rng: fastrand::Rng::with_seed(1), now }
    }

    fn pick_for(&mut self, request: &impl RequestKeys, tried: &Tried) -> Option<Pick<'_>> {
        self.upstream.pick(request, tried, &mut self.rng, self.now).ok()
    }

    fn pick(&mut self, tried: &Tried) -> Option<(usize, PickReason)> {
        self.pick_for(&CLIENT, tried).map(|pick| (pick.index, pick.reason))
    }

    fn indexes(&mut self, picks: usize) -> Vec<usize> {
        (0..picks).filter_map(|_| Some(self.pick(&Tried::new())?.0)).collect()
    }

    fn note(&self, backend: usize, sign: Sign) {
        self.upstream.note(&self.upstream.backends[backend], sign, self.now);
    }

    fn observe(&self, backend: usize, event: Event) -> Option<Transition> {
        Some(self.upstream.observe(&self.upstream.backends[backend], event, self.now)?.transition)
    }

    fn reload(&mut self, settings: UpstreamSettings) {
        self.upstream = Upstream::new(settings, Some(&self.upstream), &self.telemetry, self.now);
    }
}

#[test]
fn sequential_requests_alternate() {
    let mut traffic = Traffic::to(settings(3));
    assert_eq!(traffic.indexes(7), [0, 1, 2, 0, 1, 2, 0]);
}

#[test]
fn an_unhealthy_backend_gets_nothing_and_the_others_alternate() {
    let mut traffic = Traffic::to(settings(3));
    let down = traffic.observe(0, Event::CheckFailed).expect("the first check decides");
    assert_eq!((down.from, down.to), (BackendState::Up, BackendState::Down));
    assert_eq!(traffic.indexes(4), [1, 2, 1, 2]);
    assert!(traffic.observe(0, Event::CheckPassed).is_some());
    assert_eq!(traffic.indexes(6).iter().filter(|&&index| index == 0).count(), 2);
}

#[test]
fn a_transition_reaches_the_series_and_nothing_else_does() {
    let traffic = Traffic::to(settings(2));
    let backend = Arc::clone(&traffic.upstream.backends[1]);
    assert_eq!(backend.series.last_transition_seconds(), 0.0);
    assert!(traffic.observe(1, Event::CheckFailed).is_some());
    assert!(traffic.observe(1, Event::CheckFailed).is_none());
    assert_eq!(backend.series.state(), BackendState::Down);
    assert_eq!(backend.series.transitions(BackendState::Down, TransitionCause::Check), 1);
    assert!(backend.series.last_transition_seconds() > 0.0);
    assert_eq!(backend.series.effective_weight.get(), 0.0);
    assert_eq!(traffic.upstream.series.available.get(), 1);
    assert_eq!(traffic.upstream.series.configured.get(), 2);
}

#[test]
fn a_tried_backend_is_picked_only_when_all_were_tried() {
    let mut traffic = Traffic::to(settings(3));
    let mut tried = Tried::new();
    tried.add(0);
    tried.add(2);
    assert!((0..10).all(|_| traffic.pick(&tried) == Some((1, PickReason::Balanced))));
    tried.add(1);
    assert!((0..10).all(|_| matches!(traffic.pick(&tried), Some((_, PickReason::OnlyTried)))));
}

#[test]
fn a_suspect_is_avoided_at_once_and_keeps_its_state() {
    let mut traffic = Traffic::to(settings(3));
    traffic.note(1, Sign::ConnectFailed);
    assert_eq!(traffic.upstream.backends[1].availability().state(), BackendState::Up);
    assert_eq!(traffic.indexes(4), [0, 2, 0, 2]);
}

#[test]
fn suspicion_ends_with_a_passed_check_an_answer_or_time() {
    let mut traffic = Traffic::to(settings(2));
    let ends: [fn(&mut Traffic); 3] = [
        |traffic| assert!(traffic.observe(0, Event::CheckPassed).is_none()),
        |traffic| traffic.note(0, Sign::Answered),
        |traffic| traffic.now += SUSPICION_LASTS,
    ];
    for end in ends {
        traffic.note(0, Sign::ConnectFailed);
        assert!(!traffic.indexes(4).contains(&0));
        end(&mut traffic);
        assert!(traffic.indexes(4).contains(&0));
    }
}

#[test]
fn when_all_are_suspect_all_are_tried() {
    let mut traffic = Traffic::to(settings(2));
    traffic.note(0, Sign::ConnectFailed);
    traffic.note(1, Sign::ConnectFailed);
    assert!(matches!(traffic.pick(&Tried::new()), Some((_, PickReason::OnlySuspects))));
    let mut tried = Tried::new();
    tried.add(0);
    assert_eq!(traffic.pick(&tried), Some((1, PickReason::OnlySuspects)));
}

#[tokio::test]
async fn whoever_waits_for_a_suspicion_hears_of_each_new_one_once() {
    let mut traffic = Traffic::to(settings(1));
    let backend = Arc::clone(&traffic.upstream.backends[0]);
    traffic.note(0, Sign::ConnectFailed);
    backend.suspected().await;
    traffic.note(0, Sign::ConnectFailed);
    let again = tokio::time::timeout(Duration::ZERO, backend.suspected()).await;
    assert!(again.is_err(), "the backend was suspect already");
    traffic.now += SUSPICION_LASTS * 2;
    traffic.note(0, Sign::ConnectFailed);
    backend.suspected().await;
}

#[test]
fn with_nobody_available_the_configured_choice_is_made_and_counted() {
    for (choice, label) in [
        (WhenNoneAvailable::TryAll, NoneAvailable::FailOpen),
        (WhenNoneAvailable::Refuse, NoneAvailable::Refuse),
    ] {
        let mut traffic = Traffic::to(UpstreamSettings { when_none_available: choice, ..settings(2) });
        traffic.observe(0, Event::CheckFailed);
        traffic.observe(1, Event::CheckFailed);
        assert_eq!(traffic.upstream.series.available.get(), 0);
        let picked = traffic.pick(&Tried::new()).map(|(_, reason)| reason);
        assert_eq!(picked, (choice == WhenNoneAvailable::TryAll).then_some(PickReason::FailOpen));
        assert_eq!(traffic.upstream.series.none_available.get(label), 1);
    }
}

#[test]
fn a_weight_of_zero_gets_no_new_work_while_another_one_can_take_it() {
    let mut spared = settings(3);
    spared.backends[1].weight = 0;
    let mut traffic = Traffic::to(spared);
    assert!(!traffic.indexes(20).contains(&1));
}

#[test]
fn a_reload_keeps_what_it_does_not_name_differently() {
    let mut traffic = Traffic::to(settings(3));
    traffic.observe(0, Event::CheckFailed);
    let before = traffic.upstream.backends.clone();
    before[2].series.inflight.inc();

    let mut changed = settings(3);
    changed.backends[1].address = Some(([127, 0, 0, 1], 9999).into());
    changed.backends[2].weight = 5;
    traffic.reload(changed);

    let after = &traffic.upstream.backends;
    assert!(Arc::ptr_eq(&before[0], &after[0]) && Arc::ptr_eq(&before[2], &after[2]));
    assert!(!Arc::ptr_eq(&before[1], &after[1]), "another address is another backend");
    assert!(Arc::ptr_eq(&before[1].series, &after[1].series), "but its series go on");
    assert!(before[1].is_retired() && !after.iter().any(|backend| backend.is_retired()));
    assert_eq!((after[2].weight(), after[2].in_flight()), (5, 1));
    assert_eq!(traffic.indexes(6).iter().filter(|&&index| index == 2).count(), 5);
    before[2].series.inflight.dec();
    assert_eq!(before[2].in_flight(), 0);
}

#[test]
fn an_upstream_that_leaves_retires_its_backends() {
    let traffic = Traffic::to(settings(2));
    traffic.upstream.retire(traffic.now);
    assert!(traffic.upstream.backends.iter().all(|backend| backend.is_retired()));
}

#[test]
fn who_leaves_has_the_time_of_a_drain_to_finish_and_no_second_one() {
    let mut traffic = Traffic::to(settings(3));
    traffic.observe(1, Event::Drain(DrainSource::Operator));
    let drain_timeout = traffic.upstream.drain_timeout;
    let (before, begun) = (traffic.upstream.backends.clone(), traffic.now);
    traffic.now += Duration::from_secs(5);
    let mut fewer = settings(3);
    fewer.backends.truncate(1);
    traffic.reload(fewer);
    assert_eq!(before[0].drain_deadline(), None, "who stays is left alone");
    assert_eq!(before[1].drain_deadline(), Some(begun + drain_timeout), "it has begun already");
    assert_eq!(before[2].drain_deadline(), Some(traffic.now + drain_timeout));
    let (alarm, drains) = (before[2].alarm(), before[2].drains_ended());
    assert!(!before[2].end_drain(traffic.now), "not before its time");
    assert!(before[2].end_drain(traffic.now + drain_timeout));
    assert_eq!((before[2].alarm(), before[2].drains_ended()), (alarm + 1, drains + 1));
    assert!(!before[2].end_drain(traffic.now + drain_timeout), "once");
}

#[test]
fn a_reload_that_ends_checks_ends_their_verdicts() {
    let mut traffic =
        Traffic::to(UpstreamSettings { when_none_available: WhenNoneAvailable::Refuse, ..settings(2) });
    traffic.observe(0, Event::CheckFailed);
    traffic.reload(UpstreamSettings { checks: None, ..settings(2) });
    assert!(traffic.upstream.backends[0].availability().is_available());
    assert!(traffic.indexes(4).contains(&0));
}

#[test]
fn a_transition_seen_by_the_upstream_before_a_reload_reaches_the_one_after() {
    let mut traffic = Traffic::to(settings(2));
    let before = Upstream::new(settings(2), Some(&traffic.upstream), &traffic.telemetry, traffic.now);
    before.observe(&before.backends[0], Event::CheckFailed, traffic.now);
    traffic.observe(0, Event::CheckFailed);
    assert_eq!(traffic.indexes(2), [1, 1]);
}

/// A request with one cookie header.
struct WithCookie(String);

impl RequestKeys for WithCookie {
    fn source(&self) -> IpAddr {
        CLIENT
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        name.eq_ignore_ascii_case("cookie").then_some(self.0.as_bytes())
    }
}

fn sticky(backends: usize) -> UpstreamSettings {
    let cookie = StickySettings { cookie: "stay".into(), attributes: "; Path=/".into() };
    UpstreamSettings { sticky: Some(cookie), ..settings(backends) }
}

/// Sends a request without a cookie; returns the backend and the cookie that it set.
fn first_visit(traffic: &mut Traffic) -> (usize, WithCookie) {
    let pick = traffic.pick_for(&CLIENT, &Tried::new()).expect("somebody is available");
    let set_cookie = pick.set_cookie.expect("a new client is told where to stay");
    let pair = set_cookie.strip_suffix("; Path=/").expect("the attributes follow");
    (pick.index, WithCookie(format!("other=1; {pair}; last=2")))
}

#[test]
fn a_client_stays_across_a_restart() {
    let (index, cookie) = first_visit(&mut Traffic::to(sticky(3)));
    let mut restarted = Traffic::to(sticky(4));
    for _ in 0..10 {
        let pick = restarted.pick_for(&cookie, &Tried::new()).expect("somebody is available");
        assert_eq!((pick.index, pick.reason, pick.set_cookie), (index, PickReason::Sticky, None));
    }
}

#[test]
fn a_cookie_tells_neither_name_nor_address() {
    let (_, cookie) = first_visit(&mut Traffic::to(sticky(1)));
    assert!(!cookie.0.contains("backend") && !cookie.0.contains("8001") && !cookie.0.contains("127"));
}

#[test]
fn a_client_of_an_unavailable_backend_is_given_another_and_told() {
    let mut traffic = Traffic::to(sticky(3));
    let (index, cookie) = first_visit(&mut traffic);
    traffic.observe(index, Event::CheckFailed);
    let moved = traffic.pick_for(&cookie, &Tried::new()).map(|pick| (pick.index, pick.set_cookie.is_some()));
    assert!(moved.is_some_and(|(to, told)| to != index && told), "{moved:?}");
}

#[test]
fn a_client_of_a_backend_in_doubt_is_only_lent_to_another() {
    let mut traffic = Traffic::to(sticky(3));
    let (index, cookie) = first_visit(&mut traffic);
    traffic.note(index, Sign::ConnectFailed);
    let lent = traffic.pick_for(&cookie, &Tried::new()).map(|pick| (pick.index, pick.set_cookie));
    assert!(lent.is_some_and(|(to, told)| to != index && told.is_none()), "{lent:?}");
    traffic.now += SUSPICION_LASTS + SECOND;
    assert_eq!(traffic.pick_for(&cookie, &Tried::new()).map(|pick| pick.index), Some(index));
}

#[test]
fn another_backend_is_one_that_would_be_picked() {
    let mut settings = settings(3);
    settings.backends[1].weight = 0;
    let traffic = Traffic::to(settings);
    let mut tried = Tried::new();
    assert!(traffic.upstream.has_other(0, &tried));
    tried.add(2);
    assert!(!traffic.upstream.has_other(0, &tried), "the one that is left takes no new work");
    traffic.upstream.backends[2].set_in_flight_limit(1);
    let _full = traffic.upstream.begin_exchange(&traffic.upstream.backends[2]);
    assert!(!traffic.upstream.has_other(0, &Tried::new()), "nor does one that is full");
}

#[test]
fn a_backend_of_weight_zero_keeps_the_clients_that_stick_to_it() {
    let mut traffic = Traffic::to(sticky(2));
    let (index, cookie) = first_visit(&mut traffic);
    let mut drained = sticky(2);
    drained.backends[index].weight = 0;
    traffic.reload(drained);
    assert_eq!(traffic.pick_for(&cookie, &Tried::new()).map(|pick| pick.index), Some(index));
}

#[test]
fn a_cookie_of_anybody_elses_making_is_ignored() {
    let mut traffic = Traffic::to(sticky(2));
    for value in ["", "1", "+000000000000001", "zzzzzzzzzzzzzzzz", "0123456789abcdef", "0123456789ABCDEF0"] {
        let cookie = WithCookie(format!("stay={value}"));
        let pick = traffic.pick_for(&cookie, &Tried::new()).expect("somebody is available");
        assert!(pick.set_cookie.is_some(), "{value}");
    }
}
