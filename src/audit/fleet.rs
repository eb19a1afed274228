//! Several things at once: at most so many at a time, and one that fails never stops the others.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;

use crate::control::Events;
use crate::control::progress::{self, Task, Watch};

/// How several things are done.
pub(crate) struct Fleet<'a> {
    /// How many at once.
    pub(crate) jobs: NonZeroUsize,
    /// Receives how far they are.
    pub(crate) events: &'a dyn Events,
    /// Ends them all.
    pub(crate) cancel: &'a Watch,
}

impl Fleet<'_> {
    /// Does `work` with each of `items`, which are called as `name` says. The results are in the order of the
    /// items; there is none of an item whose work panicked, or that was not begun when the user ended the run.
    pub(crate) fn each<'i, I: Sync, T: Send>(
        &self,
        items: &'i [I],
        name: impl Fn(&I) -> String,
        work: impl Fn(&'i I, &Watch) -> T + Sync,
    ) -> Vec<Option<T>> {
        let tasks: Arc<[Task]> = items.iter().map(|item| Task::new(&name(item), self.cancel)).collect();
        let results: Vec<Mutex<Option<T>>> = items.iter().map(|_| Mutex::new(None)).collect();
        let next = AtomicUsize::new(0);
        let worker = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let (Some(item), Some(task)) = (items.get(at), tasks.get(at)) else { return };
                if self.cancel.is_cancelled() {
                    return;
                }
                let carry_out = || task.run(|watch| work(item, watch));
                let within = || progress::for_target(Some(task.name().to_owned()), carry_out);
                let result = catch_unwind(AssertUnwindSafe(within));
                *results[at].lock().unwrap_or_else(PoisonError::into_inner) = result.ok();
            }
        };
        let display = self.events.show(&tasks);
        std::thread::scope(|scope| {
            for _ in 1..self.jobs.get().min(items.len()) {
                // Without another thread there is still this one.
                let _ = Builder::new().spawn_scoped(scope, worker);
            }
            worker();
        });
        drop(display);
        results.into_iter().map(|one| one.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::control::events::Silent;
    use std::time::{Duration, Instant};

    use super::*;

    fn each<T: Send>(jobs: usize, n: usize, work: impl Fn(usize, &Watch) -> T + Sync) -> Vec<Option<T>> {
        let jobs = NonZeroUsize::new(jobs).unwrap();
        let items: Vec<usize> = (0..n).collect();
        Fleet { jobs, events: &Silent, cancel: &Watch::default() }.each(
            &items,
            ToString::to_string,
            |item, watch| work(*item, watch),
        )
    }

    #[test]
    fn the_results_are_in_the_order_of_the_items() {
        let slow_first = |item: usize, _: &Watch| {
            std::thread::sleep(Duration::from_millis(20_u64.saturating_sub(item as u64)));
            item * 2
        };
        for jobs in [1, 3, 100] {
            let expected: Vec<Option<usize>> = (0..20).map(|item| Some(item * 2)).collect();
            assert_eq!(each(jobs, 20, slow_first), expected, "{jobs} at once");
        }
        assert_eq!(each(3, 0, slow_first), []);
    }

    #[test]
    fn no_more_than_asked_for_are_at_work_and_no_less() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let started = Instant::now();
        each(4, 24, |_, _| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            while most.load(Ordering::SeqCst) < 4 && started.elapsed().as_secs() < 30 {
                std::thread::sleep(Duration::from_millis(1));
            }
            now.fetch_sub(1, Ordering::SeqCst);
        });
        assert_eq!(most.into_inner(), 4);
    }

    #[test]
    fn one_that_panics_does_not_stop_the_others() {
        let results = each(2, 5, |item, _| {
            assert_ne!(item, 1, "this one is meant to panic");
            item
        });
        assert_eq!(results, [Some(0), None, Some(2), Some(3), Some(4)]);
    }

    #[test]
    fn what_was_not_begun_when_the_run_was_ended_is_not_begun() {
        let results = each(1, 5, |item, watch| {
            if item == 1 {
                watch.cancel();
            }
        });
        assert_eq!(results, [Some(()), Some(()), None, None, None]);
    }
}
