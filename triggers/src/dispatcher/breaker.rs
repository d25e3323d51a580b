//! Tells many bad events from a fault that hits all of them.

use super::settings::Breaker;
use super::slot::Lane;
use std::collections::{BTreeSet, VecDeque};
use weir_schema::{Millis, Offset};

/// Failures that are remembered: more do not change the verdict.
const MAX_FAILURES: usize = 1024;

/// What was judged lately.
#[derive(Debug, Default)]
pub(super) struct Judged {
    failures: VecDeque<(Millis, Lane)>,
    /// Successes, counted by the tick in which they were committed.
    successes: VecDeque<(Millis, usize)>,
}

/// The breaker is open: one event at a time, in turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Probe {
    pub(super) next: Millis,
    pub(super) last: Offset,
}

impl Judged {
    pub(super) fn failed(&mut self, now: Millis, lane: Lane) {
        self.failures.push_back((now, lane));
        if self.failures.len() > MAX_FAILURES {
            self.failures.pop_front();
        }
    }

    pub(super) fn succeeded(&mut self, now: Millis, count: usize) {
        match self.successes.back_mut() {
            Some((time, n)) if *time == now => *n += count,
            _ => self.successes.push_back((now, count)),
        }
    }

    /// A failure was not real after all.
    pub(super) fn take_back(&mut self, lane: &Lane) {
        if let Some(place) = self.failures.iter().rposition(|(_, l)| l == lane) {
            self.failures.remove(place);
        }
    }

    pub(super) fn clear(&mut self) {
        self.failures.clear();
        self.successes.clear();
    }

    pub(super) fn has_failed(&self, lane: &Lane) -> bool {
        self.failures.iter().any(|(_, l)| l == lane)
    }

    /// Whether it is time to stop.
    pub(super) fn opens(&mut self, now: Millis, breaker: &Breaker) -> bool {
        let since = now.before(breaker.within);
        while self.failures.front().is_some_and(|(time, _)| *time < since) {
            self.failures.pop_front();
        }
        while self.successes.front().is_some_and(|(time, _)| *time < since) {
            self.successes.pop_front();
        }
        let failures = self.failures.len();
        let all = failures + self.successes.iter().map(|(_, n)| n).sum::<usize>();
        failures >= breaker.failures
            && failures as f64 >= breaker.ratio * all as f64
            && self.failures.iter().map(|(_, lane)| lane).collect::<BTreeSet<_>>().len() >= breaker.keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const BREAKER: Breaker = Breaker {
        failures: 4,
        keys: 2,
        ratio: 0.5,
        within: Duration::from_millis(100),
        probe: Duration::from_millis(10),
    };

    fn judged(failures: &[(i64, u64)], successes: &[(i64, usize)]) -> Judged {
        let mut judged = Judged::default();
        for (time, lane) in failures {
            judged.failed(Millis(*time), Lane::One(Offset(*lane)));
        }
        for (time, count) in successes {
            judged.succeeded(Millis(*time), *count);
        }
        judged
    }

    #[test]
    fn it_opens_when_several_keys_fail_often_and_mostly() {
        let many = [(0, 1), (0, 2), (1, 1), (1, 2)];
        assert!(judged(&many, &[(0, 4)]).opens(Millis(1), &BREAKER));
        assert!(!judged(&many, &[(0, 5)]).opens(Millis(1), &BREAKER), "most went well");
        assert!(!judged(&many[..3], &[]).opens(Millis(1), &BREAKER), "too few");
        assert!(!judged(&[(0, 1); 9], &[]).opens(Millis(1), &BREAKER), "one key");
        assert!(!judged(&many, &[]).opens(Millis(101), &BREAKER), "two of them are long ago");
    }

    #[test]
    fn a_failure_that_was_not_real_is_not_counted() {
        let mut judged = judged(&[(0, 1), (0, 2), (1, 1), (1, 2)], &[]);
        judged.take_back(&Lane::One(Offset(2)));
        assert!(!judged.opens(Millis(1), &BREAKER));
    }
}
