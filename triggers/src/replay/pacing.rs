//! How fast a replay goes, and how far: what its homes read.

use crate::trigger::ReplayRun;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use weir_log::{LogError, ReadLimit};
use weir_runtime::Session;
use weir_schema::{At, Millis, Offset, Records};

/// How long a read waits at most before it looks again.
const LOOK: Duration = Duration::from_millis(100);

/// So many events a second: a bucket that fills as time passes, and holds one second's events.
#[derive(Debug)]
pub struct Pace {
    per_second: u32,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    /// Events that may run, in thousandths.
    milli_events: u64,
    filled_at: Option<Millis>,
}

impl Pace {
    /// A pace that begins with a full bucket.
    #[must_use]
    pub fn new(per_second: NonZeroU32) -> Self {
        let per_second = per_second.get();
        let bucket = Bucket { milli_events: u64::from(per_second) * 1000, filled_at: None };
        Self { per_second, bucket: Mutex::new(bucket) }
    }

    /// Takes up to `wanted` events out of the bucket, and says how many.
    pub(crate) fn take(&self, wanted: usize, now: Millis) -> usize {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = bucket.filled_at.map_or(Duration::ZERO, |at| now.since(at));
        let passed = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        // a thousandth of an event per millisecond and unit of the rate
        let filled = bucket.milli_events.saturating_add(passed.saturating_mul(self.per_second.into()));
        bucket.milli_events = filled.min(u64::from(self.per_second) * 1000);
        bucket.filled_at = Some(bucket.filled_at.map_or(now, |at| at.max(now)));
        let taken = wanted.min(usize::try_from(bucket.milli_events / 1000).unwrap_or(usize::MAX));
        bucket.milli_events -= taken as u64 * 1000;
        taken
    }
}

/// The next events of the range, as many as the pace lets through; empty at the range's end.
pub(crate) async fn read(
    session: &Session,
    at: At,
    from: Offset,
    limit: ReadLimit,
    replay: &ReplayRun,
) -> Result<Records, LogError> {
    if replay.to.get(at.partition as usize).is_none_or(|to| from >= *to) {
        return Ok(Records::default());
    }
    let records = replay.within(at.partition, &session.log().read(at, from, limit).await?);
    loop {
        let paced = replay.paced(&records, session.clock().now());
        if records.is_empty() || !paced.is_empty() {
            return Ok(paced);
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(per_second: u32) -> Pace {
        Pace::new(NonZeroU32::new(per_second).expect("not zero"))
    }

    #[test]
    fn a_pace_lets_a_second_of_events_through_and_then_as_many_as_time_brings() {
        let pace = pace(10);
        assert_eq!(pace.take(100, Millis(0)), 10);
        assert_eq!(pace.take(100, Millis(99)), 0);
        assert_eq!(pace.take(100, Millis(100)), 1);
        assert_eq!(pace.take(100, Millis(350)), 2);
        assert_eq!(pace.take(100, Millis(400)), 1, "the half event of before was kept");
        assert_eq!(pace.take(100, Millis(60_000)), 10, "a long wait saves up one second, not a minute");
    }

    #[test]
    fn a_clock_that_goes_back_brings_no_events() {
        let pace = pace(1);
        assert_eq!(pace.take(1, Millis(10_000)), 1);
        assert_eq!(pace.take(1, Millis(0)), 0);
        assert_eq!(pace.take(1, Millis(10_500)), 0);
        assert_eq!(pace.take(1, Millis(11_000)), 1);
    }
}
