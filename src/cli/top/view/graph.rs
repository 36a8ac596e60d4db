//! Graphs of bars: one character for one or several seconds, an eighth of a line as the smallest step.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::look::Look;
use crate::cli::top::past::{Point, Points};

/// How the points of several seconds become one bar.
#[derive(Debug, Clone, Copy)]
pub(super) enum Within {
    Mean,
    Greatest,
}

/// Returns one number for each of `columns`, of which the last is the present and the first about `seconds` ago. The seconds
/// of a column begin at a multiple of their count, so that a column keeps what it shows while it moves.
pub(super) fn columns(
    (points, second): (&Points, u64),
    columns: usize,
    seconds: usize,
    (of, within): (fn(&Point) -> f32, Within),
) -> Vec<f32> {
    let each = seconds.div_ceil(columns.max(1)).max(1) as u64;
    let mut bars = vec![(0.0_f32, 0_u32); columns];
    for (ago, point) in (0..).zip(points.iter().rev()) {
        let Some(number) = second.checked_sub(ago) else { break };
        let back = (second / each - number / each) as usize;
        let Some(at) = columns.checked_sub(back + 1) else { break };
        let value = of(point);
        if !value.is_nan() {
            let (sum, count) = &mut bars[at];
            *sum = match within {
                Within::Mean => *sum + value,
                Within::Greatest => sum.max(value),
            };
            *count += 1;
        }
    }
    let made = |(sum, count): (f32, u32)| match (within, count) {
        (_, 0) => f32::NAN,
        (Within::Mean, count) => sum / count as f32,
        (Within::Greatest, _) => sum,
    };
    bars.into_iter().map(made).collect()
}

/// The greatest of them; 0 of none.
pub(super) fn greatest(numbers: &[f32]) -> f32 {
    numbers.iter().copied().filter(|number| number.is_finite()).fold(0.0, f32::max)
}

/// Draws bars that fill the area's height at `top`. What is known is at least an eighth high.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, numbers: &[f32], top: f32, look: Look) {
    let height = usize::from(area.height);
    for (x, number) in (area.left()..area.right()).zip(numbers) {
        if number.is_nan() {
            continue;
        }
        let part = if top > 0.0 { (number / top).clamp(0.0, 1.0) } else { 0.0 };
        let eighths = ((part * (height * 8) as f32).round() as usize).max(1);
        for (row, y) in (area.top()..area.bottom()).rev().enumerate() {
            let bar = look.bar(eighths.saturating_sub(row * 8));
            buffer.set_string(x, y, bar, look.graph());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(rates: &[f32]) -> Points {
        rates.iter().map(|rate| Point { rate: *rate, p99_ms: f32::NAN, failed: 0.0, retries: 0.0 }).collect()
    }

    const RATE: (fn(&Point) -> f32, Within) = (|point| point.rate, Within::Mean);

    #[test]
    fn a_column_keeps_its_seconds_while_it_moves() {
        let seen = points(&[1.0, 3.0, 5.0, 7.0, f32::NAN]);
        // The seconds 6 and 7 make a column, 8 and 9 another, 10 the last one.
        assert_eq!(columns((&seen, 10), 3, 6, RATE)[..2], [2.0, 6.0]);
        assert!(columns((&seen, 10), 3, 6, RATE)[2].is_nan());
        let later = points(&[1.0, 3.0, 5.0, 7.0, f32::NAN, 9.0]);
        assert_eq!(columns((&later, 11), 3, 6, RATE), [2.0, 6.0, 9.0]);
        assert_eq!(columns((&later, 11), 0, 6, RATE), [0.0; 0]);
        let greatest = columns((&later, 11), 2, 6, (|point| point.rate, Within::Greatest));
        assert_eq!(greatest, [5.0, 9.0]);
    }
}
