//! Random by weight, and the drawing of lots that other balancers begin with.
//!
//! Workers need to share nothing for it, not even a turn; in return shares hold only on average, and two requests in a
//! row may meet the same backend.
//!
//! Walker's alias method in Vose's form ("A linear algorithm for generating random numbers with a given distribution",
//! 1991). Cost of a draw: two random numbers, whatever the number of backends.

/// Lots drawn in the hope of a usable candidate, before the usable ones are counted.
const DRAWS: usize = 8;

/// Lots in proportion to weights.
#[derive(Debug)]
pub struct Lottery {
    lots: Box<[Lot]>,
    weights: Box<[f64]>,
}

/// An equal part of all chances, split between two candidates.
#[derive(Debug, Clone, Copy)]
struct Lot {
    /// The chance of the candidate that the lot is numbered after.
    own: f64,
    /// Who has the rest.
    other: u32,
}

impl Lottery {
    pub(super) fn new(weights: Box<[f64]>) -> Self {
        Self { lots: lots(&weights), weights }
    }

    /// Draws a candidate. None when none that has a weight is usable.
    pub(super) fn pick(&self, rng: &mut fastrand::Rng, is_usable: impl Fn(usize) -> bool) -> Option<usize> {
        if self.lots.is_empty() {
            return None;
        }
        for _ in 0..DRAWS {
            let at = rng.usize(..self.lots.len());
            let lot = self.lots[at];
            let candidate = if rng.f64() < lot.own { at } else { lot.other as usize };
            if is_usable(candidate) {
                return Some(candidate);
            }
        }
        self.pick_among_few(rng, is_usable)
    }

    /// Draws among the usable alone: exact, however few they are, at the cost of looking at all.
    fn pick_among_few(&self, rng: &mut fastrand::Rng, is_usable: impl Fn(usize) -> bool) -> Option<usize> {
        let usable = || (0..self.weights.len()).filter(|&n| self.weights[n] > 0.0 && is_usable(n));
        let mut left = rng.f64() * usable().map(|n| self.weights[n]).sum::<f64>();
        let mut last = None;
        for candidate in usable() {
            last = Some(candidate);
            left -= self.weights[candidate];
            if left < 0.0 {
                break;
            }
        }
        last
    }
}

/// Splits the chances into equal lots of at most two candidates each. Empty when nobody has a weight.
fn lots(weights: &[f64]) -> Box<[Lot]> {
    let total: f64 = weights.iter().sum();
    if total <= 0.0 {
        return Box::default();
    }
    let mut chance: Vec<f64> = weights.iter().map(|weight| weight / total * weights.len() as f64).collect();
    let (mut poor, mut rich): (Vec<usize>, Vec<usize>) = (0..weights.len()).partition(|&n| chance[n] < 1.0);
    // Rounding may leave a candidate without a partner, for which its whole lot is as good as exact; except one
    // without any weight, whose lot goes to somebody with one.
    let heaviest = (0..weights.len()).max_by(|&a, &b| weights[a].total_cmp(&weights[b])).unwrap_or(0);
    let mut lots: Vec<Lot> = weights
        .iter()
        .map(|&weight| Lot { own: if weight > 0.0 { 1.0 } else { 0.0 }, other: heaviest as u32 })
        .collect();
    while let (Some(&giver), Some(taker)) = (rich.last(), poor.pop()) {
        lots[taker] = Lot { own: chance[taker], other: giver as u32 };
        chance[giver] -= 1.0 - chance[taker];
        if chance[giver] < 1.0 {
            rich.pop();
            poor.push(giver);
        }
    }
    lots.into()
}
