//! Whose turn it is on a worker.
//!
//! A run that takes longer than a slice is preempted. If it went on as soon as it is its turn again, a function that burns
//! CPU would get a millisecond for each few microseconds of those that do not. So functions share the worker, however
//! long each of them runs: those that were preempted leave it to the others for as many slices as there are other
//! functions at work, unless the others have nothing to do.

use foldhash::HashSet;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A function counts as at work if it had a turn in this time, or in the one before.
const WINDOW: Duration = Duration::from_millis(50);

/// However many functions are at work, those that take long have a twentieth of the worker.
const MOST_REST: u32 = 19;

/// The turns of one worker.
#[derive(Default, Debug)]
pub(crate) struct Turns {
    /// How many slices were not the continuation of a preempted one.
    fresh: Cell<u64>,
    /// The functions that had turns, and those that were preempted, by the hash of their file.
    at_work: Recent,
    long: Recent,
    window_ends: Cell<Option<Instant>>,
    /// Until then those that were preempted rest.
    rest: Cell<Option<Instant>>,
}

/// What was seen in this window, and in the one before.
#[derive(Default, Debug)]
struct Recent {
    now: RefCell<HashSet<u128>>,
    before: Cell<usize>,
}

impl Recent {
    fn add(&self, function: u128) {
        self.now.borrow_mut().insert(function);
    }

    fn count(&self) -> usize {
        self.now.borrow().len().max(self.before.get())
    }

    fn next_window(&self) {
        let mut now = self.now.borrow_mut();
        self.before.set(now.len());
        now.clear();
    }
}

impl Turns {
    /// `function` has a turn that does not continue a preempted one.
    pub(crate) fn begin(&self, function: u128) {
        self.fresh.set(self.fresh.get().wrapping_add(1));
        self.at_work.add(function);
    }

    /// `function` was preempted at `now` after `ran`.
    pub(crate) fn preempted(&self, function: u128, now: Instant, ran: Duration) {
        if self.window_ends.get().is_none_or(|end| now >= end) {
            self.window_ends.set(Some(now + WINDOW));
            self.at_work.next_window();
            self.long.next_window();
        }
        self.at_work.add(function);
        self.long.add(function);
        let long = self.long.count();
        let others = self.at_work.count().saturating_sub(long);
        let rest = ran.saturating_mul(u32::try_from(others).unwrap_or(u32::MAX))
            / u32::try_from(long).unwrap_or(1).max(1);
        self.rest.set(Some(now + rest.min(ran * MOST_REST)));
    }

    /// Waits until a preempted run may go on: it is rested, or a round of the reactor brought nobody else a turn.
    pub(crate) async fn next(self: Rc<Self>) {
        loop {
            let fresh = self.fresh.get();
            tokio::task::yield_now().await;
            if self.fresh.get() == fresh || self.is_rested(Instant::now()) {
                return;
            }
        }
    }

    fn is_rested(&self, now: Instant) -> bool {
        self.rest.get().is_none_or(|until| now >= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLICE: Duration = Duration::from_millis(1);

    /// How long those that were preempted rest after a slice, where so many functions are long and so many are not.
    fn rest(long: u128, short: u128) -> Duration {
        let (turns, mut now) = (Turns::default(), Instant::now());
        for _ in 0..200 {
            (0..short).for_each(|function| turns.begin(1000 + function));
            (0..long).for_each(|function| turns.preempted(function, now, SLICE));
            now += SLICE;
        }
        turns.rest.get().expect("one was preempted") + SLICE - now
    }

    #[test]
    fn functions_share_the_worker_however_long_each_of_them_runs() {
        assert_eq!(rest(1, 1), SLICE, "one half each");
        assert_eq!(rest(1, 3), 3 * SLICE, "a quarter each");
        assert_eq!(rest(2, 4), 2 * SLICE, "a third for two of six");
        assert_eq!(rest(3, 0), Duration::ZERO, "nobody else is at work");
    }

    #[test]
    fn a_function_that_takes_long_goes_on_however_many_others_there_are() {
        assert_eq!(rest(1, 500), 19 * SLICE);
    }

    #[test]
    fn a_function_that_was_at_work_a_while_ago_does_not_count() {
        let (turns, now) = (Turns::default(), Instant::now());
        (0..9).for_each(|function| turns.begin(1000 + function));
        turns.preempted(1, now, SLICE);
        assert!(!turns.is_rested(now), "just now");
        let later = now + WINDOW;
        turns.preempted(1, later, SLICE);
        assert!(turns.is_rested(later), "long ago");
    }
}
