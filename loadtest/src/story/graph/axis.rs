//! Chooses the ticks of an axis: round numbers, and moments that people count in.

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, KeyPointWeight, Ranged};
use std::ops::Range;

/// An even scale with ticks at given values.
#[derive(Debug, Clone)]
pub(super) struct Ticked {
    /// What it reaches from and to.
    pub(super) range: Range<f64>,
    /// Where its ticks are.
    pub(super) ticks: Vec<f64>,
}

impl Ranged for Ticked {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (first, last): (i32, i32)) -> i32 {
        let length = self.range.end - self.range.start;
        let part = if length > 0.0 { (value - self.range.start) / length } else { 0.0 };
        first + (part * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight() {
            KeyPointWeight::Bold => self.ticks.clone(),
            KeyPointWeight::Any => Vec::new(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

/// Steps of a time axis in seconds.
const TIME_STEPS: [f64; 17] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0,
    14_400.0, 21_600.0,
];

/// Moments from 0 to `seconds`, at most about `most` of them.
pub(super) fn moments(seconds: f64, most: usize) -> Vec<f64> {
    let room = most.max(1) as f64;
    let step = TIME_STEPS.into_iter().find(|step| seconds / step <= room).unwrap_or(86_400.0);
    ticks(seconds, step)
}

/// Values from 0 to at least `highest`, of which the last is the top of the axis, four or five of them.
pub(super) fn values(highest: f64) -> Vec<f64> {
    let highest = if highest.is_finite() && highest > 0.0 { highest } else { 1.0 };
    let rough = highest / 4.0;
    let magnitude = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|factor| factor * magnitude);
    let step = steps.into_iter().find(|step| *step >= rough * 0.999_999).unwrap_or(10.0 * magnitude);
    let top = (highest / step - 1e-9).ceil() * step;
    ticks(top, step)
}

/// Values from at most `least` to at least `most` on a logarithmic axis: 1, 2, 5, 10, or tens alone where those
/// are many.
pub(super) fn logarithmic(least: f64, most: f64) -> Vec<f64> {
    let usable = |value: f64| if value.is_finite() && value > 0.0 { value.clamp(1e-3, 1e7) } else { 1.0 };
    let (least, most) = (usable(least.min(most)), usable(most.max(least)));
    let decades = least.log10().floor() as i32..=most.log10().ceil() as i32;
    let factors: &[f64] = if most / least > 300.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let all: Vec<f64> =
        decades.flat_map(|decade| factors.iter().map(move |factor| factor * 10_f64.powi(decade))).collect();
    let first = all.iter().rposition(|value| *value <= least).unwrap_or(0);
    let last = all.iter().position(|value| *value >= most).unwrap_or(all.len() - 1);
    let last = last.max(first + 1).min(all.len() - 1);
    all[first.min(last)..=last].to_vec()
}

fn ticks(end: f64, step: f64) -> Vec<f64> {
    let count = (end / step + 1e-9).floor() as u32;
    (0..=count).map(|n| f64::from(n) * step).collect()
}

/// A value as it is written at a tick.
pub(super) fn written(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_that_people_count_in() {
        assert_eq!(moments(30.0, 12), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
        assert_eq!(moments(165.0, 12).last(), Some(&165.0));
        assert_eq!(moments(165.0, 5), [0.0, 60.0, 120.0]);
        assert!(moments(1e6, 5).len() < 15);
    }

    #[test]
    fn values_reach_to_the_top_in_round_steps() {
        assert_eq!(values(98.0), [0.0, 25.0, 50.0, 75.0, 100.0]);
        assert_eq!(values(150.0), [0.0, 50.0, 100.0, 150.0]);
        assert_eq!(values(0.9), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(values(0.0).last(), Some(&1.0));
        assert_eq!(values(f64::NAN).last(), Some(&1.0));
    }

    #[test]
    fn a_logarithmic_axis_holds_its_values() {
        assert_eq!(logarithmic(0.7, 9.0), [0.5, 1.0, 2.0, 5.0, 10.0]);
        assert_eq!(logarithmic(0.7, 900.0), [0.1, 1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(logarithmic(1.0, 1.0), [1.0, 2.0]);
        assert!(logarithmic(0.0, f64::INFINITY).len() > 1);
        assert_eq!([written(0.5), written(100.0), written(2.0)], ["0.5", "100", "2"]);
    }
}
