//! The latest of something, the oldest of which makes room for the next.

/// How many are remembered.
pub(super) const REMEMBERED: usize = 128;

#[derive(Debug)]
pub(super) struct Ring<T> {
    pub(super) kept: Vec<T>,
    oldest: usize,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { kept: Vec::with_capacity(REMEMBERED), oldest: 0 }
    }
}

impl<T> Ring<T> {
    pub(super) fn push(&mut self, one: T) {
        if self.kept.len() < REMEMBERED {
            // Within the capacity: does not allocate.
            self.kept.push(one);
            return;
        }
        self.kept[self.oldest] = one;
        self.oldest = (self.oldest + 1) % REMEMBERED;
    }
}
