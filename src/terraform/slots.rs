//! How many plans run at the same time.

use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The time between two looks whether the wait is over.
const TICK: Duration = Duration::from_millis(100);

/// Places for plans that run: a provider takes hundreds of megabytes.
#[derive(Debug)]
pub struct Slots {
    free: Mutex<usize>,
    given_back: Condvar,
}

/// A place, given back when it is dropped.
pub(super) struct Slot<'a>(&'a Slots);

impl Slots {
    /// So many places.
    #[must_use]
    pub fn new(count: NonZeroUsize) -> Self {
        Self { free: Mutex::new(count.get()), given_back: Condvar::new() }
    }

    /// Waits for a place; `None` when `is_over` before there is one.
    pub(super) fn take(&self, is_over: &dyn Fn() -> bool) -> Option<Slot<'_>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            if is_over() {
                return None;
            }
            free = self.given_back.wait_timeout(free, TICK).unwrap_or_else(PoisonError::into_inner).0;
        }
        *free -= 1;
        Some(Slot(self))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_once_until_it_is_given_back() {
        let slots = Slots::new(NonZeroUsize::MIN);
        let first = slots.take(&|| false).unwrap();
        assert!(slots.take(&|| true).is_none());
        drop(first);
        assert!(slots.take(&|| true).is_some());
    }
}
