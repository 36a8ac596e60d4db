//! Says what each request asks for, and deals several kinds of requests out in proportion to their weights.
//!
//! It stands apart because the order is fixed before the run, like the times: the n-th request is the same in each run.

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Method, Uri};

/// The most kinds of requests in a mix.
pub const ASKS_MAX: usize = 1000;

/// The most that the weights of a mix add up to, in lowest terms.
pub const WEIGHTS_MAX: u32 = 10_000;

/// One kind of request.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// How many requests of this kind there are, compared with the weights of the others.
    pub weight: u32,
    /// The method.
    pub method: Method,
    /// The absolute `http://` address.
    pub target: Uri,
    /// Request headers; one that the generator sets itself takes the place of its own.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
}

/// Why requests cannot be mixed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MixError {
    /// There are too many kinds.
    #[error("{0} kinds of requests are more than {ASKS_MAX}; leave some out")]
    Kinds(usize),
    /// None of the kinds has a weight.
    #[error("no kind of request has a weight above 0; give at least one of them a weight")]
    Weightless,
    /// The weights take too long to come round.
    #[error(
        "the weights add up to {0}, which is more than {WEIGHTS_MAX}; use smaller numbers in the same proportion"
    )]
    Weights(u64),
}

/// The order in which the kinds of a mix take turns: positions in the mix, to be gone round again and again.
///
/// Smooth weighted round-robin, as nginx orders servers: each turn everybody gains its weight, and whoever has most pays
/// the sum. Over each round the shares are exact, and no kind comes in bursts.
///
/// # Errors
/// When there is nothing to choose from, or too much.
pub fn turns(weights: &[u32]) -> Result<Vec<usize>, MixError> {
    if weights.len() > ASKS_MAX {
        return Err(MixError::Kinds(weights.len()));
    }
    let divisor = weights.iter().copied().fold(0, greatest_common_divisor);
    if divisor == 0 {
        return Err(MixError::Weightless);
    }
    let weights: Vec<i64> = weights.iter().map(|weight| i64::from(weight / divisor)).collect();
    let sum: i64 = weights.iter().sum();
    if sum > i64::from(WEIGHTS_MAX) {
        return Err(MixError::Weights(sum.unsigned_abs()));
    }
    let mut gained = vec![0; weights.len()];
    let round = (0..sum).map(|_| {
        gained.iter_mut().zip(&weights).for_each(|(gained, weight)| *gained += weight);
        // Of several that have most, the first.
        let most = gained.iter().copied().max().unwrap_or_default();
        let chosen = gained.iter().position(|gained| *gained == most).unwrap_or_default();
        gained[chosen] -= sum;
        chosen
    });
    Ok(round.collect())
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_has_the_shares_of_the_weights_and_no_bursts() {
        assert_eq!(turns(&[5, 1, 1]).unwrap(), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(turns(&[70, 30]).unwrap().len(), 10, "in lowest terms");
        let round = turns(&[600, 300, 99, 0, 1]).unwrap();
        let count = |kind| round.iter().filter(|turn| **turn == kind).count();
        assert_eq!([0, 1, 2, 3, 4].map(count), [600, 300, 99, 0, 1]);
    }

    #[test]
    fn a_mix_of_nothing_or_of_too_much_is_refused() {
        assert_eq!(turns(&[]), Err(MixError::Weightless));
        assert_eq!(turns(&[0, 0]), Err(MixError::Weightless));
        assert_eq!(turns(&[9_999, 2]), Err(MixError::Weights(10_001)));
        assert_eq!(turns(&[u32::MAX, u32::MAX - 1]), Err(MixError::Weights(u64::from(u32::MAX) * 2 - 1)));
        assert_eq!(turns(&vec![1; ASKS_MAX + 1]), Err(MixError::Kinds(ASKS_MAX + 1)));
    }
}
