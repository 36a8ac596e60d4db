//! What plimsoll has to reach with its defaults, fault by fault, and what a run misses of it.

use crate::fault::Fault;
use crate::verdict::Verdict;

/// The most that a fault may cost.
struct Target {
    failed_get: u64,
    /// Whether a POST may fail that had been sent to a backend: nobody can know whether it was executed.
    may_lose_sent_posts: bool,
    slow_get: u64,
    /// None where every backend answers and the gap is the fault's own slowness.
    gap_ms: Option<f64>,
}

/// How soon a backend has its share again after the fault: 2 s and the slow start, which takes 2 s by default.
const BACK_AFTER_S: f64 = 4.0;

fn target(fault: Fault) -> Target {
    let of = |failed_get, may_lose_sent_posts, slow_get, gap_ms| Target {
        failed_get,
        may_lose_sent_posts,
        slow_get,
        gap_ms,
    };
    match fault {
        Fault::Kill => of(0, true, 0, Some(50.0)),
        Fault::VanishLink | Fault::VanishDrop => of(0, true, 50, Some(260.0)),
        Fault::Hang => of(0, true, 100, Some(400.0)),
        Fault::Errors => of(3, true, 0, Some(50.0)),
        Fault::Slow => of(0, false, 600, None),
        Fault::SlowLeast | Fault::SlowEwma => of(0, false, 60, None),
        Fault::Restarts => of(0, true, 0, Some(50.0)),
        Fault::Rolling => of(0, false, 0, Some(50.0)),
    }
}

/// What `verdict` misses, a sentence each.
pub(crate) fn misses(fault: Fault, verdict: &Verdict) -> Vec<String> {
    let target = target(fault);
    let posts_allowed = if target.may_lose_sent_posts { verdict.failed_post_sent } else { 0 };
    let mut misses = Vec::new();
    let mut most = |what: &str, found: u64, most: u64| {
        if found > most {
            misses.push(format!("{what}: {found}, at most {most}"));
        }
    };
    most("failures before the fault", verdict.failed_before, 0);
    most("failed GET", verdict.failed_get, target.failed_get);
    most("failed POST", verdict.failed_post, posts_allowed);
    most("slow GET", verdict.slow_get, target.slow_get);
    most("POSTs executed twice", verdict.posts_executed_twice, 0);
    most("POSTs sent to another backend as well", verdict.posts_sent_twice, 0);
    most("requests sent to the backend long after it failed", verdict.late_requests.unwrap_or(0), 0);
    if let Some(gap_ms) = target.gap_ms.filter(|gap_ms| verdict.gap_ms > *gap_ms) {
        misses.push(format!("longest gap: {:.0} ms, at most {gap_ms} ms", verdict.gap_ms));
    }
    match verdict.back_after_s {
        Some(after) if after <= BACK_AFTER_S => {}
        Some(after) => misses.push(format!("back after {after:.1} s, at most {BACK_AFTER_S} s")),
        None => misses.push("never back to a quarter of the traffic".to_owned()),
    }
    misses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict() -> Verdict {
        Verdict { back_after_s: Some(1.0), gap_ms: 20.0, ..Verdict::default() }
    }

    #[test]
    fn nothing_lost_misses_nothing() {
        for fault in Fault::ALL {
            assert_eq!(misses(fault, &verdict()), Vec::<String>::new());
        }
    }

    #[test]
    fn a_post_may_fail_once_sent_but_not_before_and_not_in_a_rolling_restart() {
        let lost = Verdict { failed_post: 2, failed_post_sent: 2, ..verdict() };
        assert_eq!(misses(Fault::Kill, &lost).len(), 0);
        assert_eq!(misses(Fault::Rolling, &lost), ["failed POST: 2, at most 0"]);
        let lost = Verdict { failed_post: 3, failed_post_sent: 2, ..verdict() };
        assert_eq!(misses(Fault::Kill, &lost), ["failed POST: 3, at most 2"]);
    }

    #[test]
    fn every_figure_has_its_bound() {
        let bad = Verdict {
            failed_before: 1,
            failed_get: 1,
            slow_get: 101,
            gap_ms: 400.5,
            posts_executed_twice: 1,
            posts_sent_twice: 1,
            late_requests: Some(1),
            back_after_s: None,
            ..Verdict::default()
        };
        assert_eq!(misses(Fault::Hang, &bad).len(), 8);
        assert_eq!(misses(Fault::Slow, &Verdict { gap_ms: 508.0, ..verdict() }).len(), 0);
    }
}
