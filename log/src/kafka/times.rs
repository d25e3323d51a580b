//! The times that events are given: never below the last that this process gave in their partition.

use foldhash::HashMap;
use std::sync::{Mutex, PoisonError};
use weir_schema::{At, Millis};

/// The last time of each partition.
#[derive(Default, Debug)]
pub(super) struct Times(Mutex<HashMap<At, Millis>>);

impl Times {
    /// Has `send` send an event to `at` with the time `now`, or the last one's if that is later. One goes at a time, so
    /// that the order of times is that of events.
    pub(super) fn stamp<T>(&self, at: At, now: Millis, send: impl FnOnce(Millis) -> T) -> T {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = times.entry(at).or_insert(now);
        *last = (*last).max(now);
        send(*last)
    }
}
