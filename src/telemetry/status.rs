//! Answers by status code: one cell for each code that is in use, one per class for the rest.
//!
//! Apart from the other labels because the value comes from the network: a backend may answer any of 900 codes, and
//! neither memory nor the number of series may follow it.

use super::cells::{Cell, Counter};

/// Declares the codes with a cell of their own as numbers and as label values, so that the two cannot differ.
macro_rules! known {
    ($($code:literal)*) => {
        const KNOWN: [u16; [$($code),*].len()] = [$($code),*];
        const KNOWN_NAMES: [&str; KNOWN.len()] = [$(stringify!($code)),*];
    };
}

// 499 never goes over the wire: it stands for a client that left before its answer had started.
known! {
    101 200 201 202 204 206 301 302 303 304 307 308
    400 401 403 404 405 406 408 409 410 411 412 413 414 415 416 417 421 422 425 429 431 451 499
    500 501 502 503 504 505 507
}

/// What other codes are counted as, by their class; the last is for numbers that are no status code.
const OTHERS: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "invalid"];

/// The codes whose series exist from the start with 0, so that the first increase is not lost to `rate`.
const USUAL: [u16; 6] = [200, 404, 500, 502, 503, 504];

const CELLS: usize = KNOWN.len() + OTHERS.len();

/// The cell of each code below 600.
static CELL_OF: [u8; 600] = {
    let mut cells = [0; 600];
    let mut code = 0;
    while code < 600 {
        let class = code / 100;
        cells[code] = (KNOWN.len() + if class == 0 { 5 } else { class - 1 }) as u8;
        code += 1;
    }
    let mut known = 0;
    while known < KNOWN.len() {
        cells[KNOWN[known] as usize] = known as u8;
        known += 1;
    }
    cells
};

/// Counts answers by status code, in a fixed amount of memory.
///
/// ```
/// # use plimsoll::telemetry::{StatusCounts, StatusTotal};
/// let answers: StatusCounts = StatusCounts::default();
/// answers.inc(200);
/// answers.inc(299); // nobody's usual code: counted, as "2xx"
/// let mut total = StatusTotal::default();
/// answers.add_to(&mut total);
/// assert_eq!(total.sum(), 2);
/// assert!(total.series().any(|(code, n)| (code, n) == ("2xx", 1)));
/// ```
#[derive(Debug)]
pub struct StatusCounts<C = Counter>([C; CELLS]);

impl<C: Cell> Default for StatusCounts<C> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| C::default()))
    }
}

impl<C: Cell> StatusCounts<C> {
    /// Counts one answer with this code; a code without its own cell counts for its class, a number that is no status
    /// code as `invalid`.
    pub fn inc(&self, code: u16) {
        let cell = CELL_OF.get(usize::from(code)).map_or(CELLS - 1, |cell| usize::from(*cell));
        self.0[cell].add(1);
    }

    /// Adds what was counted here to `total`.
    pub fn add_to(&self, total: &mut StatusTotal) {
        for (sum, cell) in total.0.iter_mut().zip(&self.0) {
            *sum += cell.get();
        }
    }
}

/// What status counts of one series add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusTotal([u64; CELLS]);

impl Default for StatusTotal {
    fn default() -> Self {
        Self([0; CELLS])
    }
}

impl StatusTotal {
    /// Returns the number of answers, whatever their code.
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Returns the number of answers in a class: 2 for 200 to 299.
    pub fn class(&self, class: u16) -> u64 {
        let known =
            KNOWN.iter().zip(&self.0).filter(|(code, _)| **code / 100 == class).map(|(_, n)| n).sum::<u64>();
        let other = usize::from(class).checked_sub(1).and_then(|index| self.0[KNOWN.len()..].get(index));
        known + other.copied().unwrap_or(0)
    }

    /// Returns the label value and number of each series to show: the usual codes always, others once they occurred.
    pub fn series(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let values = KNOWN_NAMES.into_iter().chain(OTHERS);
        let usual = KNOWN.iter().map(|code| USUAL.contains(code)).chain(OTHERS.map(|_| false));
        values.zip(self.0).zip(usual).filter(|((_, n), usual)| *usual || *n > 0).map(|(series, _)| series)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total_of(codes: impl IntoIterator<Item = u16>) -> StatusTotal {
        let counts: StatusCounts = StatusCounts::default();
        codes.into_iter().for_each(|code| counts.inc(code));
        let mut total = StatusTotal::default();
        counts.add_to(&mut total);
        total
    }

    #[test]
    fn the_usual_codes_exist_from_the_start_with_zero() {
        let series: Vec<_> = total_of([]).series().collect();
        assert_eq!(series, [("200", 0), ("404", 0), ("500", 0), ("502", 0), ("503", 0), ("504", 0)]);
    }

    #[test]
    fn every_number_is_counted_once_in_its_class() {
        let total = total_of(0..=u16::MAX);
        assert_eq!(total.sum(), 65_536);
        for class in 1..=5 {
            assert_eq!(total.class(class), 100, "class {class}");
        }
        assert!(total.series().any(|series| series == ("invalid", 65_536 - 500)));
    }

    #[test]
    fn a_known_code_has_its_own_series_and_a_strange_one_its_class() {
        let total = total_of([418, 418, 404]);
        assert!(total.series().any(|series| series == ("4xx", 2)));
        assert!(total.series().any(|series| series == ("404", 1)));
    }
}
