//! Colours, light and dark. A graph is drawn in the light ones; in the dark, a style sheet exchanges each for its
//! pair.
//!
//! So every colour of a graph is in here, and no two that differ in the dark are alike in the light.

use crate::story::Class;
use crate::story::outage::MarkKind;
use crate::story::recording::State;
use plotters::style::RGBColor;
use std::fmt::Write as _;

/// A colour, and what it becomes in the dark.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::story) struct Ink {
    light: u32,
    dark: u32,
}

const fn ink(light: u32, dark: u32) -> Ink {
    Ink { light, dark }
}

/// What everything is on.
pub(super) const PAPER: Ink = ink(0xFFFFFF, 0x16_1A20);
/// Text.
pub(super) const TEXT: Ink = ink(0x1B_1F24, 0xE8_ECF1);
/// Text that is not in the way.
pub(super) const FAINT: Ink = ink(0x57_606A, 0x9D_A7B3);
/// Lines behind the values.
pub(super) const GRID: Ink = ink(0xE4_E8ED, 0x2B_323B);
/// The foot of a graph.
pub(super) const AXIS: Ink = ink(0xAE_B6C0, 0x4A_5561);
/// Half of the answers.
pub(super) const P50: Ink = ink(0x0E_7C86, 0x4F_D1DB);
/// All answers but one in a hundred.
pub(super) const P99: Ink = ink(0xB8_356E, 0xFF_85B5);
/// An outage.
pub(super) const OUTAGE: Ink = ink(0xD9_3025, 0xFF_6B60);
/// A slow start.
pub(super) const RAMP: Ink = ink(0xE0_A100, 0xE6_B84A);
/// A mark.
const GOOD_MARK: Ink = ink(0x1F_7A34, 0x5F_CF75);
const BAD_MARK: Ink = ink(0xC9_2A2A, 0xFF_7B72);

/// As on the dashboards, darker in the light.
const BACKENDS: [Ink; 8] = [
    ink(0x1F_6FD6, 0x57_94F2),
    ink(0xB0_8600, 0xF2_CC0C),
    ink(0x8F_45BD, 0xB8_77D9),
    ink(0x0B_857A, 0x33_B5A5),
    ink(0xC2_3F96, 0xE6_85C5),
    ink(0x8A_6A48, 0xC4_A484),
    ink(0x3F_86C8, 0x8A_B8FF),
    ink(0x66_6C7F, 0xA3_A8B8),
];

const CLASSES: [(Class, Ink); 5] = [
    (Class::Success, ink(0x2E_8B3D, 0x56_D364)),
    (Class::Redirect, ink(0x3D_6FA8, 0x79_B0E8)),
    (Class::ClientError, ink(0xC7_7700, 0xF0_A93A)),
    (Class::ServerError, ink(0xB4_2318, 0xFF_8A80)),
    (Class::Failed, ink(0xE0_312B, 0xFF_5C57)),
];

const STATES: [(State, Ink); 5] = [
    (State::Up, ink(0xB7_E4C1, 0x1F_5A30)),
    (State::Down, ink(0xF5_B5B0, 0x8A_2622)),
    (State::SlowStart, ink(0xFB_E29A, 0x6B_5410)),
    (State::Draining, ink(0xC6_D5EC, 0x33_4B6E)),
    (State::Ejected, ink(0xDF_C6F0, 0x5E_3B78)),
];

/// The colour of the backend at this position, on every graph.
pub(super) fn backend(at: usize) -> Ink {
    BACKENDS[at % BACKENDS.len()]
}

pub(super) fn class(class: Class) -> Ink {
    CLASSES.iter().find(|(known, _)| *known == class).map_or(TEXT, |(_, ink)| *ink)
}

pub(super) fn state(state: State) -> Ink {
    STATES.iter().find(|(known, _)| *known == state).map_or(GRID, |(_, ink)| *ink)
}

pub(super) fn mark(kind: MarkKind) -> Ink {
    match kind {
        MarkKind::Killed | MarkKind::Detected => BAD_MARK,
        MarkKind::Started | MarkKind::Back | MarkKind::Up => GOOD_MARK,
    }
}

impl Ink {
    /// The colour to draw with.
    pub(super) fn rgb(self) -> RGBColor {
        let [_, red, green, blue] = self.light.to_be_bytes();
        RGBColor(red, green, blue)
    }
}

fn all() -> impl Iterator<Item = Ink> {
    let single = [PAPER, TEXT, FAINT, GRID, AXIS, P50, P99, OUTAGE, RAMP, GOOD_MARK, BAD_MARK];
    let classes = CLASSES.into_iter().map(|(_, ink)| ink);
    single.into_iter().chain(BACKENDS).chain(classes).chain(STATES.into_iter().map(|(_, ink)| ink))
}

/// The style of the graphs: the font, and the colours in the dark. Attributes of a drawing give way to any style
/// rule.
pub(in crate::story) fn style() -> String {
    let mut css =
        String::from("svg.graph text{font-family:system-ui,-apple-system,\"Segoe UI\",Roboto,sans-serif}\n");
    css += "svg.graph polyline{stroke-linejoin:round}\n@media (prefers-color-scheme:dark){\n";
    for Ink { light, dark } in all() {
        let _ = writeln!(
            css,
            "svg.graph [fill=\"#{light:06X}\"]{{fill:#{dark:06X}}}svg.graph [stroke=\"#{light:06X}\"]{{stroke:#{dark:06X}}}"
        );
    }
    css + "}\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_colour_has_two_pairs_in_the_dark() {
        let inks: Vec<Ink> = all().collect();
        for (at, one) in inks.iter().enumerate() {
            let twin = inks[..at].iter().find(|other| other.light == one.light);
            assert!(twin.is_none(), "{one:X?} and {twin:X?}");
        }
    }

    /// Contrast by WCAG 2.2, 1.4.3 and 1.4.11.
    #[test]
    fn what_is_drawn_can_be_told_from_what_it_is_on() {
        let luminance = |colour: u32| {
            let channel = |shift: u32| {
                let value = f64::from((colour >> shift) & 0xFF) / 255.0;
                if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * channel(16) + 0.7152 * channel(8) + 0.0722 * channel(0)
        };
        let contrast = |a: u32, b: u32| {
            let (a, b) = (luminance(a), luminance(b));
            (a.max(b) + 0.05) / (a.min(b) + 0.05)
        };
        let check = |one: Ink, on: Ink, least: f64| {
            for (a, b) in [(one.light, on.light), (one.dark, on.dark)] {
                assert!(contrast(a, b) >= least, "{a:06X} on {b:06X}: {:.2}", contrast(a, b));
            }
        };
        [TEXT, FAINT, GOOD_MARK, BAD_MARK].into_iter().for_each(|text| check(text, PAPER, 4.5));
        BACKENDS.into_iter().chain(CLASSES.map(|(_, ink)| ink)).for_each(|line| check(line, PAPER, 3.0));
        STATES.into_iter().for_each(|(_, band)| check(TEXT, band, 4.5));
    }
}
