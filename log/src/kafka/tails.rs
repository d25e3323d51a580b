//! How far each partition can be read: what is visible, who waits for it, and the news of it.

use crate::Hint;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{oneshot, watch};
use weir_schema::{At, CatalogVersion, Millis, Offset};

/// Done when an event can be read.
pub(super) type Done = Box<dyn FnOnce() + Send>;

/// The tail of each partition that is followed: the offset after its last event. What else Kafka has there, the marks of
/// transactions, is no event.
#[derive(Default)]
pub(super) struct Tails {
    partitions: Mutex<HashMap<At, Partition>>,
    hint: watch::Sender<Hint>,
}

#[derive(Default)]
struct Partition {
    /// None: not known yet.
    tail: Option<Offset>,
    /// The last event that was seen, and its time.
    last: Option<(Offset, Millis)>,
    /// How far it has been looked at.
    covered: Offset,
    /// By the offset of the event that is waited for.
    waiting: BTreeMap<Offset, Vec<Done>>,
}

impl Tails {
    pub(super) fn watch(&self) -> watch::Receiver<Hint> {
        self.hint.subscribe()
    }

    /// The catalog's version as far as it is known.
    pub(super) fn catalog(&self) -> CatalogVersion {
        self.hint.borrow().catalog
    }

    /// Takes over what the store knows of the catalog and of control entries.
    pub(super) fn merge(&self, store: &Hint) {
        self.hint.send_if_modified(|hint| hint.merge(&[], store.catalog, store.control));
    }

    /// Takes over tails that are known otherwise than from an event, where none was known.
    pub(super) fn begin(&self, tails: &[(At, Offset)]) {
        let mut partitions = self.lock();
        for (at, tail) in tails {
            partitions.entry(*at).or_default().tail.get_or_insert(*tail);
        }
        drop(partitions);
        self.tell(tails);
    }

    /// Events can be read, up to these, which have these times.
    pub(super) fn see(&self, last: &[(At, Offset, Millis)]) {
        let mut done = Vec::new();
        let mut partitions = self.lock();
        for (at, offset, time) in last {
            let partition = partitions.entry(*at).or_default();
            partition.tail = partition.tail.max(Some(offset.next()));
            partition.last = partition.last.max(Some((*offset, *time)));
            let waiting = partition.waiting.split_off(&offset.next());
            done.extend(std::mem::replace(&mut partition.waiting, waiting));
        }
        drop(partitions);
        let tails: Vec<_> = last.iter().map(|(at, offset, _)| (*at, offset.next())).collect();
        self.tell(&tails);
        done.into_iter().flat_map(|(_, done)| done).for_each(|done| done());
    }

    /// Partitions have been looked at up to these offsets, and every event below them has been seen.
    pub(super) fn cover(&self, covered: &[(At, Offset)]) {
        let mut partitions = self.lock();
        for (at, offset) in covered {
            let partition = partitions.entry(*at).or_default();
            partition.covered = partition.covered.max(*offset);
        }
    }

    /// The tail of a partition, as far as it is known.
    pub(super) fn known(&self, at: At) -> Offset {
        self.lock().get(&at).and_then(|partition| partition.tail).unwrap_or_default()
    }

    /// The last event of a partition that was seen, and its time.
    pub(super) fn last(&self, at: At) -> Option<(Offset, Millis)> {
        self.lock().get(&at).and_then(|partition| partition.last)
    }

    /// A partition is another one, with this tail. Whoever waits for what was there has it.
    pub(super) fn reset(&self, at: At, tail: Offset) {
        let reset = Partition { tail: Some(tail), ..Partition::default() };
        let before = self.lock().insert(at, reset);
        self.hint.send_modify(|hint| {
            hint.tails.insert(at, tail);
        });
        let waiting = before.map(|partition| partition.waiting).unwrap_or_default();
        waiting.into_values().flatten().for_each(|done| done());
    }

    /// The tail of a partition that can be read up to `end`, if everything below `end` has been looked at.
    pub(super) fn settled(&self, at: At, end: Offset) -> Option<Offset> {
        let partitions = self.lock();
        let partition = partitions.get(&at)?;
        let has_seen = partition.covered >= end || partition.tail >= Some(end);
        has_seen.then(|| partition.tail.unwrap_or(end))
    }

    /// Does `done` as soon as the event at `offset` can be read.
    pub(super) fn when_visible(&self, at: At, offset: Offset, done: Done) {
        let mut partitions = self.lock();
        let partition = partitions.entry(at).or_default();
        if partition.tail.is_none_or(|tail| tail <= offset) {
            partition.waiting.entry(offset).or_default().push(done);
        } else {
            drop(partitions);
            done();
        }
    }

    /// Waits until the event at `offset` can be read, or the log is closed.
    pub(super) async fn visible(&self, at: At, offset: Offset) {
        let (seen, wait) = oneshot::channel();
        // whoever waits may have gone
        self.when_visible(at, offset, Box::new(move || seen.send(()).unwrap_or(())));
        drop(wait.await);
    }

    /// Lets go of everyone who waits.
    pub(super) fn close(&self) {
        self.lock().values_mut().for_each(|partition| partition.waiting.clear());
    }

    fn tell(&self, tails: &[(At, Offset)]) {
        self.hint.send_if_modified(|hint| hint.merge(tails, hint.catalog, hint.control));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<At, Partition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Tails {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tails").field("hint", &self.hint).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use weir_schema::TopicId;

    const AT: At = At { topic: TopicId(1), partition: 0 };

    #[test]
    fn whoever_waits_for_an_event_is_told_when_it_or_a_later_one_is_seen() {
        let (tails, told) = (Tails::default(), Arc::new(AtomicU32::new(0)));
        let wait = |offset| {
            let told = told.clone();
            let tell = move || told.store(told.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
            tails.when_visible(AT, Offset(offset), Box::new(tell));
        };
        wait(3);
        wait(5);
        tails.see(&[(AT, Offset(4), Millis(1))]);
        assert_eq!(told.load(Ordering::SeqCst), 1);
        tails.see(&[(AT, Offset(9), Millis(2))]);
        assert_eq!(tails.last(AT), Some((Offset(9), Millis(2))));
        assert_eq!((told.load(Ordering::SeqCst), tails.settled(AT, Offset(10))), (2, Some(Offset(10))));
        wait(9);
        assert_eq!(told.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn a_tail_that_is_known_is_not_begun_again() {
        let tails = Tails::default();
        tails.see(&[(AT, Offset(4), Millis(1))]);
        tails.begin(&[(AT, Offset(2))]);
        assert_eq!(tails.settled(AT, Offset(5)), Some(Offset(5)));
        assert_eq!(tails.watch().borrow().tails.get(&AT), Some(&Offset(5)));
    }
}
