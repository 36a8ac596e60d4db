//! The order in which round robin serves: a cycle with as many turns of each candidate as its weight asks for.
//!
//! The order is that of nginx's smooth weighted round robin (Igor Sysoev, 2012): in each step every candidate earns its
//! weight, the richest is served and pays the sum of all. Weights 5, 1, 1 give a a b a c a a and not a a a a a b c.
//! It is computed once for a plan, in O(candidates × turns), so that a pick is an index.

use super::Share;

/// A cycle is at most this long, or twice the candidates if that is more. Weights that do not fit are rounded, by less
/// than one part in this many.
const TURNS: usize = 4096;

/// Lists candidates in the order in which they are served; empty when no weight is above 0.
pub(super) fn smooth(shares: &[Share]) -> Box<[u32]> {
    let turns = turns(shares);
    let total: i64 = turns.iter().sum();
    if turns.iter().all(|&own| own == turns[0]) {
        // Equal weights take their turns in order, which the steps below would find at a quadratic cost.
        return if total == 0 { Box::default() } else { (0..turns.len() as u32).collect() };
    }
    let mut earned = vec![0; turns.len()];
    let served = (0..total).map(|_| {
        let mut richest = 0;
        for candidate in 0..turns.len() {
            earned[candidate] += turns[candidate];
            if earned[candidate] > earned[richest] {
                richest = candidate;
            }
        }
        earned[richest] -= total;
        richest as u32
    });
    served.collect()
}

/// Returns the turns of each candidate in one cycle: in lowest terms if they fit, else rounded.
fn turns(shares: &[Share]) -> Vec<i64> {
    let limit = TURNS.max(shares.len() * 2);
    let whole = shares.iter().all(|share| share.weight.fract() == 0.0 && share.weight < 1e9);
    if whole {
        let divisor = shares.iter().fold(0, |divisor, share| gcd(divisor, share.weight as u64)).max(1);
        let turns: Vec<i64> = shares.iter().map(|share| (share.weight as u64 / divisor) as i64).collect();
        if turns.iter().sum::<i64>() <= limit as i64 {
            return turns;
        }
    }
    apportion(shares, limit as f64)
}

/// Shares out `seats` by the largest remainders (Hamilton's method); whoever has a weight gets at least one.
fn apportion(shares: &[Share], seats: f64) -> Vec<i64> {
    let total: f64 = shares.iter().map(|share| share.weight).sum();
    let quota = |share: &Share| if total > 0.0 { share.weight / total * seats } else { 0.0 };
    let mut turns: Vec<i64> = shares.iter().map(|share| quota(share) as i64).collect();
    let left = (seats as i64 - turns.iter().sum::<i64>()).max(0) as usize;
    let mut by_remainder: Vec<usize> = (0..shares.len()).filter(|&n| shares[n].weight > 0.0).collect();
    by_remainder.sort_by(|&a, &b| quota(&shares[b]).fract().total_cmp(&quota(&shares[a]).fract()));
    for &candidate in by_remainder.iter().take(left) {
        turns[candidate] += 1;
    }
    for &candidate in &by_remainder {
        turns[candidate] = turns[candidate].max(1);
    }
    turns
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(weights: &[f64]) -> Vec<u32> {
        smooth(&weights.iter().map(|&weight| Share::new("", weight)).collect::<Vec<_>>()).into_vec()
    }

    #[test]
    fn the_heavy_one_is_interrupted_and_not_exhausted() {
        assert_eq!(served(&[5.0, 1.0, 1.0]), [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn equal_weights_alternate() {
        assert_eq!(served(&[7.0, 7.0, 7.0]), [0, 1, 2]);
        assert_eq!(served(&[0.25, 0.25]), [0, 1]);
    }

    #[test]
    fn weight_zero_is_never_served() {
        assert_eq!(served(&[0.0, 2.0, 0.0]), [1]);
        assert!(served(&[0.0, 0.0]).is_empty());
        assert!(served(&[]).is_empty());
    }

    #[test]
    fn weights_that_fit_in_no_cycle_are_rounded_but_nobody_is_forgotten() {
        let order = served(&[999_983.0, 500_009.0, 1.0]);
        assert!(order.len() <= TURNS + 3, "{}", order.len());
        assert_eq!(order.iter().filter(|&&candidate| candidate == 2).count(), 1);
    }
}
