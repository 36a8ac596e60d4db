//! All that is held as a page shows it, taken out of the store at once and written later: what waits for a slow reader are
//! references to what the store has anyway.

use std::sync::Arc;

use super::{Kind, form};
use crate::telemetry::PageForm;

/// It is given away in pieces of about this size, in bytes.
const PIECE: usize = 64 * 1024;

/// What was pushed, at one moment.
#[derive(Debug)]
pub struct Page {
    pub(super) form: PageForm,
    pub(super) pieces: Vec<Piece>,
}

#[derive(Debug)]
pub(super) enum Piece {
    /// What is made for this page.
    Made(String),
    /// The samples of a family of this kind, as they are kept.
    Kept(Arc<str>, Kind),
}

impl Page {
    /// Gives it away piece by piece, until `give` returns false.
    pub fn write(self, give: &mut dyn FnMut(String) -> bool) {
        let mut out = String::new();
        for piece in self.pieces {
            match piece {
                Piece::Made(text) => out.push_str(&text),
                Piece::Kept(text, kind) => {
                    for line in text.split_inclusive('\n') {
                        form::lines(&mut out, line, kind, self.form);
                        if out.len() >= PIECE && !give(std::mem::take(&mut out)) {
                            return;
                        }
                    }
                }
            }
        }
        if !out.is_empty() {
            give(out);
        }
    }
}
