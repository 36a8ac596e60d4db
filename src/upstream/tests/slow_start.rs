//! What a backend on its way back is given, from pick to pick.

use super::*;

/// How often time is let pass.
const TICK: Duration = Duration::from_millis(250);

/// As many requests come in a tick.
const REQUESTS: usize = 1000;

/// A request of a client of its own.
struct Client(u32);

impl RequestKeys for Client {
    fn source(&self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(self.0))
    }

    fn header(&self, _: &str) -> Option<&[u8]> {
        None
    }
}

fn balancers() -> [Balancer; 5] {
    let hash = Balancer::ConsistentHash { key: HashKey::Source, load_bound: None };
    [Balancer::RoundRobin, Balancer::LeastRequests, Balancer::PeakEwma, Balancer::Random, hash]
}

/// Three backends, of which the first has just come back.
fn returning(balancer: &Balancer) -> Traffic {
    let slow_start = SlowStart { duration: SECOND * 2, floor: 0.1 };
    let mut traffic = Traffic::to(UpstreamSettings { balancer: balancer.clone(), slow_start, ..settings(3) });
    // What it was known for before is not what it is now.
    for backend in &traffic.upstream.backends {
        backend.latency.record(Duration::from_millis(10), traffic.now);
    }
    traffic.upstream.backends[0].latency.record(SECOND, traffic.now);
    traffic.observe(0, Event::CheckFailed);
    traffic.now += SECOND * 60;
    traffic.observe(0, Event::CheckPassed);
    traffic
}

/// Sends a tick's requests; returns how many of them the first backend got.
fn send(traffic: &mut Traffic, clients: &mut u32) -> usize {
    let requests = (0..REQUESTS).filter(|_| {
        *clients += 7919;
        let picked = traffic.pick_for(&Client(*clients), &Tried::new()).map(|pick| pick.index);
        picked.expect("somebody is available") == 0
    });
    requests.count()
}

#[test]
fn the_share_grows_evenly_under_every_balancer_whether_the_others_are_busy_or_not() {
    for (balancer, busy) in
        balancers().into_iter().flat_map(|balancer| [(balancer.clone(), 0), (balancer, 20)])
    {
        let mut traffic = returning(&balancer);
        let backends = traffic.upstream.backends.clone();
        for _ in 0..busy {
            backends[1].series.inflight.inc();
            backends[2].series.inflight.inc();
        }
        let mut clients = 0;
        for tick in 0..8 {
            let intended = 0.1 + 0.9 * f64::from(tick) / 8.0;
            let intended = intended / (intended + 2.0) * REQUESTS as f64;
            let got = send(&mut traffic, &mut clients) as f64;
            let tolerance = 0.3 * intended + 10.0;
            assert!(
                (got - intended).abs() < tolerance,
                "{got} of {intended}, {balancer:?}, {busy} in flight"
            );
            traffic.now += TICK;
            traffic.upstream.tick(traffic.now);
        }
        assert_eq!(traffic.upstream.fleet().share(0), 1.0 / 3.0);
    }
}
