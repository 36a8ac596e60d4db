//! Sizes of the graphs: one layout for a page, one for a phone, in CSS pixels.

/// Drawn so much larger than shown: the coordinates are whole numbers, and lines would be drawn in stairs.
pub(in crate::story) const FINE: f64 = 4.0;

/// The measures of one layout.
#[derive(Debug, Clone, Copy)]
pub(in crate::story) struct Layout {
    /// The word for it in the page's style sheet.
    pub(in crate::story) name: &'static str,
    /// The width of the whole picture.
    pub(in crate::story) width: f64,
    /// The height of what is plotted.
    pub(super) plot: f64,
    /// The height of the row of one backend where states are plotted.
    pub(super) row: f64,
    /// What is kept left of the plot, for the values.
    pub(super) left: f64,
    /// What is kept right of it.
    pub(super) right: f64,
    /// The size of the letters.
    pub(super) letters: f64,
    /// About as many moments are written along the time axis.
    pub(super) moments: usize,
    /// Marks that are closer than this share a line.
    pub(super) apart: f64,
}

/// For a page on a desk.
pub(in crate::story) const WIDE: Layout = Layout {
    name: "wide",
    width: 960.0,
    plot: 190.0,
    row: 30.0,
    left: 76.0,
    right: 14.0,
    letters: 12.5,
    moments: 12,
    apart: 5.0,
};

/// For a phone.
pub(in crate::story) const NARROW: Layout = Layout {
    name: "narrow",
    width: 360.0,
    plot: 170.0,
    row: 30.0,
    left: 66.0,
    right: 10.0,
    letters: 12.0,
    moments: 5,
    apart: 5.0,
};

impl Layout {
    /// The height of a line of text.
    pub(super) fn line(&self) -> f64 {
        self.letters * 1.5
    }

    /// About how wide a text is: no font is known here, so this is the width in a usual one, rather more than
    /// less.
    pub(super) fn text_width(&self, text: &str) -> f64 {
        text.chars().count() as f64 * self.letters * 0.57
    }
}
