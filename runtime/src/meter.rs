//! How much CPU time a run takes.
//!
//! By the wall, a machine that others take or a process that is stopped would end functions that did nothing. So what
//! counts is the thread's own CPU time. To ask the system for it costs as much as a part of a small function does: it is
//! asked about slices that took long by the wall. In those that did not, wall time counts as CPU time.

use crate::watchdog::SLICE;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// What a worker knows of its thread's CPU time.
#[derive(Default, Debug)]
pub(crate) struct Meter {
    asked: Cell<Option<Asked>>,
}

/// What the system said, and when.
#[derive(Clone, Copy, Debug)]
struct Asked {
    at: Instant,
    used: Duration,
}

/// A slice that began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Began {
    at: Instant,
    /// What the thread had used then, or less than [`SLICE`] before.
    used: Duration,
}

impl Began {
    /// By the wall.
    pub(crate) fn ago(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.at)
    }
}

impl Meter {
    /// A slice begins at `now`, whose run `is_long`: then what others used just before must not count for it, again and
    /// again. `thread_time` asks the system.
    pub(crate) fn begin(&self, now: Instant, is_long: bool, thread_time: impl FnOnce() -> Duration) -> Began {
        let is_new = |asked: &Asked| !is_long && now.saturating_duration_since(asked.at) < SLICE;
        let known = self.asked.get().filter(is_new).map(|asked| asked.used);
        Began { at: now, used: known.unwrap_or_else(|| self.ask(now, thread_time)) }
    }

    /// The CPU time of a slice until `now`: at most [`SLICE`] too much.
    pub(crate) fn used(
        &self,
        began: Began,
        now: Instant,
        thread_time: impl FnOnce() -> Duration,
    ) -> Duration {
        let wall = began.ago(now);
        if wall < SLICE {
            return wall;
        }
        wall.min(self.ask(now, thread_time).saturating_sub(began.used))
    }

    #[cold]
    fn ask(&self, at: Instant, thread_time: impl FnOnce() -> Duration) -> Duration {
        let used = thread_time();
        self.asked.set(Some(Asked { at, used }));
        used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_micros(200);

    /// A worker that is told what time has passed.
    struct Told {
        meter: Meter,
        now: Instant,
        used: Duration,
        questions: Cell<u32>,
    }

    impl Told {
        fn new() -> Self {
            let (meter, questions) = (Meter::default(), Cell::new(0));
            Self { meter, now: Instant::now(), used: Duration::from_secs(7), questions }
        }

        /// So much time passes by the wall, of which the thread has so much.
        fn pass(&mut self, wall: Duration, used: Duration) {
            self.now += wall;
            self.used += used;
        }

        fn say(&self) -> Duration {
            self.questions.set(self.questions.get() + 1);
            self.used
        }

        fn begin(&self, is_long: bool) -> Began {
            self.meter.begin(self.now, is_long, || self.say())
        }

        fn used(&self, began: Began) -> Duration {
            self.meter.used(began, self.now, || self.say())
        }
    }

    #[test]
    fn time_in_which_the_thread_does_not_run_is_not_the_functions() {
        let mut told = Told::new();
        let began = told.begin(false);
        told.pass(Duration::from_secs(3), SHORT);
        assert_eq!(told.used(began), SHORT);
        told.pass(4 * SLICE, 3 * SLICE);
        assert_eq!(told.used(began), SHORT + 3 * SLICE, "counted from where the slice began");
    }

    #[test]
    fn the_system_is_not_asked_about_short_slices_but_once_in_a_while() {
        let mut told = Told::new();
        for _ in 0..20 {
            let began = told.begin(false);
            told.pass(SHORT, SHORT);
            assert_eq!(told.used(began), SHORT);
        }
        assert_eq!(told.questions.get(), 4, "once a millisecond");
    }

    #[test]
    fn what_others_used_before_counts_for_less_than_a_slice_and_once() {
        let mut told = Told::new();
        told.begin(false);
        told.pass(SHORT, SHORT); // of another function
        let began = told.begin(false);
        told.pass(2 * SLICE, SLICE);
        assert_eq!(told.used(began), SHORT + SLICE);
        told.pass(SHORT, SHORT); // of another function
        let again = told.begin(true);
        told.pass(2 * SLICE, SLICE);
        assert_eq!(told.used(again), SLICE);
    }

    #[test]
    fn no_slice_uses_more_than_passed_by_the_wall() {
        let mut told = Told::new();
        told.begin(false);
        told.pass(SHORT, SHORT);
        let began = told.begin(false);
        told.pass(SLICE, SLICE);
        assert_eq!(told.used(began), SLICE);
    }
}
