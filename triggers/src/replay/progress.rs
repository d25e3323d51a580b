//! How a replay is getting on: what it has committed, and how fast it goes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use weir_schema::{Millis, Transaction};

/// What the rate is measured over.
const WINDOW: Duration = Duration::from_secs(10);

/// What a replay's commits came to in this process.
#[derive(Default, Debug)]
pub struct Counts {
    appended: AtomicU64,
    written: AtomicU64,
}

impl Counts {
    /// Counts that go on from these.
    pub(crate) fn from(appended: u64, written: u64) -> Self {
        Self { appended: AtomicU64::new(appended), written: AtomicU64::new(written) }
    }

    /// Adds what a transaction has committed; the platform's own rows do not count.
    pub(crate) fn committed(&self, transaction: &Transaction) {
        let events: usize = transaction.appends.iter().map(weir_schema::Records::len).sum();
        let rows = transaction.writes.iter().filter(|w| !w.key.table.is_reserved()).count();
        self.appended.fetch_add(events as u64, Ordering::Relaxed);
        self.written.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// Events appended and rows written.
    pub(crate) fn read(&self) -> (u64, u64) {
        (self.appended.load(Ordering::Relaxed), self.written.load(Ordering::Relaxed))
    }
}

/// How fast a count has grown lately.
#[derive(Clone, Default, Debug)]
pub(crate) struct Meter {
    samples: VecDeque<(Millis, u64)>,
}

impl Meter {
    /// Takes note of a count.
    pub(crate) fn note(&mut self, now: Millis, count: u64) {
        self.samples.push_back((now, count));
        // the first one stays just outside the window, so that the window is always full
        while self.samples.get(1).is_some_and(|(at, _)| now.since(*at) >= WINDOW) {
            self.samples.pop_front();
        }
    }

    /// Per second, over the window; 0 as long as there is nothing to compare.
    pub(crate) fn rate(&self) -> f64 {
        let (Some((began, first)), Some((ended, last))) = (self.samples.front(), self.samples.back()) else {
            return 0.0;
        };
        let seconds = ended.since(*began).as_secs_f64();
        if seconds > 0.0 { last.saturating_sub(*first) as f64 / seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut meter = Meter::default();
        assert!(meter.rate().abs() < f64::EPSILON);
        meter.note(Millis(0), 0);
        assert!(meter.rate().abs() < f64::EPSILON, "one look tells nothing");
        for second in 1..=60 {
            let count = if second <= 30 { second * 100 } else { 3000 + (second - 30) * 10 };
            meter.note(Millis(second as i64 * 1000), count);
        }
        assert!((meter.rate() - 10.0).abs() < 0.001, "{}", meter.rate());
    }
}
