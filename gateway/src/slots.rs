//! How many requests may run a function at once on this node, all workers together, and how many may wait for that.

use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Room for the requests of one function. Those that wait get it in the order in which they came.
#[derive(Debug)]
pub struct Slots {
    running: Semaphore,
    waiting: Semaphore,
}

impl Slots {
    /// Room for `running` requests, and for `waiting` more that stand in line.
    #[must_use]
    pub fn new(running: u32, waiting: u32) -> Self {
        let semaphore = |n: u32| Semaphore::new((n as usize).min(Semaphore::MAX_PERMITS));
        Self { running: semaphore(running), waiting: semaphore(waiting) }
    }

    /// A place for one request until it is dropped; none: the line is full, or it has not moved on within `patience`.
    pub(crate) async fn enter(&self, patience: Duration) -> Option<SemaphorePermit<'_>> {
        if let Ok(place) = self.running.try_acquire() {
            return Some(place);
        }
        let _in_line = self.waiting.try_acquire().ok()?;
        tokio::time::timeout(patience, self.running.acquire()).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::poll;
    use std::pin::pin;

    #[tokio::test]
    async fn past_those_that_run_and_those_in_line_nobody_comes_in() {
        let slots = Slots::new(1, 1);
        let first = slots.enter(Duration::MAX).await;
        assert!(first.is_some());
        let mut second = pin!(slots.enter(Duration::MAX));
        assert!(poll!(&mut second).is_pending());
        assert!(slots.enter(Duration::MAX).await.is_none(), "the line is full");
        drop(first);
        let second = second.await;
        assert!(second.is_some());
        let mut third = pin!(slots.enter(Duration::MAX));
        assert!(poll!(&mut third).is_pending(), "there is room in the line again, and none to run");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_stood_in_line_too_long_is_refused_and_leaves_it() {
        let slots = Slots::new(1, 1);
        let _first = slots.enter(Duration::MAX).await;
        assert!(slots.enter(Duration::from_secs(30)).await.is_none());
        assert_eq!(slots.waiting.available_permits(), 1);
    }
}
