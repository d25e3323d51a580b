//! How much of its worker a partition uses, and when that is all there is.

use std::time::Duration;

/// How often it is weighed.
pub(crate) const WEIGHED_EVERY: Duration = Duration::from_secs(1);

/// From this part of the worker on, a partition fills it.
const FULL: f64 = 0.9;

/// Having filled it for so long, it is told; and not again before it has left room for as long.
const LASTING: Duration = Duration::from_secs(10);

/// One partition's.
#[derive(Default, Debug)]
pub(crate) struct Load {
    /// Since it was last weighed.
    used: Duration,
    /// How long the worker has been full of it and it has lagged, or since it was told: how long that is over.
    lasting: Duration,
    is_told: bool,
}

impl Load {
    pub(crate) fn add(&mut self, time: Duration) {
        self.used += time;
    }

    /// The part of the worker that it used in the time that has `passed`, and whether someone should be told now that
    /// it fills the worker while its events pile up.
    pub(crate) fn weigh(&mut self, passed: Duration, lags: bool) -> (f64, bool) {
        let ratio = std::mem::take(&mut self.used).as_secs_f64() / passed.as_secs_f64().max(f64::EPSILON);
        let is_full = ratio >= FULL && lags;
        self.lasting = if is_full == self.is_told { Duration::ZERO } else { self.lasting + passed };
        let has_turned = self.lasting >= LASTING;
        if has_turned {
            self.is_told = !self.is_told;
            self.lasting = Duration::ZERO;
        }
        (ratio, has_turned && self.is_told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Weighs every second for so many seconds; how often someone is told.
    fn told(load: &mut Load, seconds: u32, used: Duration, lags: bool) -> usize {
        let mut second = || {
            load.add(used);
            load.weigh(SECOND, lags).1
        };
        (0..seconds).filter(|_| second()).count()
    }

    #[test]
    fn the_ratio_is_what_was_used_of_what_has_passed() {
        let mut load = Load::default();
        load.add(SECOND / 8);
        load.add(SECOND / 8);
        assert_eq!(load.weigh(SECOND, false).0, 0.25);
        assert_eq!(load.weigh(SECOND, false).0, 0.0);
    }

    #[test]
    fn a_partition_that_fills_its_worker_and_lags_is_told_once() {
        let mut load = Load::default();
        assert_eq!(told(&mut load, 9, SECOND, true), 0);
        assert_eq!(told(&mut load, 1, SECOND, true), 1);
        assert_eq!(told(&mut load, 1000, SECOND, true), 0);
    }

    #[test]
    fn a_partition_that_keeps_up_or_leaves_room_is_not_told() {
        assert_eq!(told(&mut Load::default(), 1000, SECOND, false), 0);
        assert_eq!(told(&mut Load::default(), 1000, SECOND / 2, true), 0);
    }

    #[test]
    fn a_moment_of_room_begins_the_count_anew() {
        let mut load = Load::default();
        assert_eq!(told(&mut load, 9, SECOND, true), 0);
        assert_eq!(told(&mut load, 1, Duration::ZERO, true), 0);
        assert_eq!(told(&mut load, 9, SECOND, true), 0);
    }

    #[test]
    fn it_is_told_again_only_after_it_has_left_room_for_as_long() {
        let mut load = Load::default();
        assert_eq!(told(&mut load, 10, SECOND, true), 1);
        assert_eq!(told(&mut load, 9, Duration::ZERO, false), 0);
        assert_eq!(told(&mut load, 1000, SECOND, true), 0, "room for nine seconds is none");
        assert_eq!(told(&mut load, 10, Duration::ZERO, false), 0);
        assert_eq!(told(&mut load, 10, SECOND, true), 1);
    }
}
