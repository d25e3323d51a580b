//! How long triggers may run between two looks at the sockets.

use std::time::Duration;
use tokio::time::Instant;

/// The least: what a request waits for them at most where they are not kept waiting themselves.
pub(crate) const SLICE: Duration = Duration::from_micros(500);

/// The most, whatever they are owed.
const LONGEST: Duration = Duration::from_millis(20);

/// Triggers get a tenth of the worker at least: for what passes while they have work, a ninth of it is theirs.
const OWED: u32 = 9;

/// The stretches of one worker's triggers. Between two of them the reactor looks at its sockets and runs up to 61 tasks,
/// each for up to a millisecond: so a stretch of fixed length would be worth little beside busy requests.
#[derive(Default, Debug)]
pub(crate) struct Stretches {
    /// When the last one ended with work left.
    waits_since: Option<Instant>,
}

impl Stretches {
    /// One begins; how long it may take.
    pub(crate) fn begin(&mut self, now: Instant) -> Duration {
        let waited = self.waits_since.take().map_or(Duration::ZERO, |since| now - since);
        (waited / OWED).clamp(SLICE, LONGEST)
    }

    /// It ends, with or without work left. Those who want nothing are owed nothing.
    pub(crate) fn end(&mut self, now: Instant, has_more: bool) {
        self.waits_since = has_more.then_some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The part of the time that triggers get which always have work, beside requests that take so long in turn.
    fn share(requests: Duration) -> f64 {
        let (mut stretches, start) = (Stretches::default(), Instant::now());
        let (mut now, mut used) = (start, Duration::ZERO);
        for _ in 0..1000 {
            let stretch = stretches.begin(now);
            used += stretch;
            now += stretch;
            stretches.end(now, true);
            now += requests;
        }
        used.as_secs_f64() / (now - start).as_secs_f64()
    }

    #[test]
    fn hungry_triggers_get_a_tenth_beside_requests_of_any_length() {
        for us in [100, 450, 4500, 10_000, 61_000, 180_000] {
            let share = share(Duration::from_micros(us));
            assert!(share >= 0.0999, "{us} µs: {share}");
        }
    }

    #[test]
    fn where_requests_are_short_a_stretch_stays_short() {
        let (mut stretches, now) = (Stretches::default(), Instant::now());
        stretches.begin(now);
        stretches.end(now, true);
        assert_eq!(stretches.begin(now + 4 * SLICE), SLICE);
    }

    #[test]
    fn triggers_that_had_nothing_to_do_are_owed_nothing() {
        let (mut stretches, now) = (Stretches::default(), Instant::now());
        stretches.begin(now);
        stretches.end(now, false);
        assert_eq!(stretches.begin(now + Duration::from_secs(1)), SLICE);
    }

    #[test]
    fn however_long_they_have_waited_a_stretch_ends() {
        let (mut stretches, now) = (Stretches::default(), Instant::now());
        stretches.begin(now);
        stretches.end(now, true);
        assert_eq!(stretches.begin(now + Duration::from_secs(3600)), LONGEST);
    }
}
