//! Small numbers for backends, by which a worker finds what it keeps of one without hashing a name.
//!
//! A number is given back when its backend is dropped, so the numbers stay as small as the most backends that ever
//! lived at once. Whoever keeps something under a number also keeps the backend, or the number may mean another.

use std::sync::{Mutex, PoisonError};

/// Numbers that were given back, and the first that was never given.
static FREE: Mutex<(Vec<usize>, usize)> = Mutex::new((Vec::new(), 0));

/// The number of a live backend; no other live backend of the process has it.
#[derive(Debug, PartialEq, Eq)]
pub struct BackendId(usize);

impl BackendId {
    pub(super) fn take() -> Self {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = free.0.pop() {
            return Self(number);
        }
        free.1 += 1;
        Self(free.1 - 1)
    }

    /// Returns the number, as an index into what a worker keeps.
    #[must_use]
    pub fn index(&self) -> usize {
        self.0
    }
}

impl Drop for BackendId {
    fn drop(&mut self) {
        FREE.lock().unwrap_or_else(PoisonError::into_inner).0.push(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_have_different_numbers() {
        let ids: Vec<BackendId> = (0..20).map(|_| BackendId::take()).collect();
        let mut numbers: Vec<usize> = ids.iter().map(BackendId::index).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 20);
    }
}
