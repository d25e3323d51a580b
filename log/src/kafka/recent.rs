//! The last events of partitions that somebody reads, as the follower has read them: whoever goes on where they come in asks no
//! broker for them again.
//!
//! A partition's events are kept without a gap: the follower reads each one, in order, and says when it may have passed some over.

use crate::ReadLimit;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use weir_schema::{At, Meta, Offset, Record, Records, RecordsBuilder};

/// How many bytes are kept, of all partitions together.
const BYTES: usize = 32 << 20;

/// See the module's docs.
#[derive(Debug)]
pub(super) struct Recent {
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Default, Debug)]
struct Kept {
    /// Of each partition that somebody reads, what was read together, in order.
    runs: HashMap<At, VecDeque<Records>>,
    /// Which partition's first is the next to go.
    order: VecDeque<At>,
    bytes: usize,
}

impl Default for Recent {
    fn default() -> Self {
        Self::with_limit(BYTES)
    }
}

impl Recent {
    fn with_limit(limit: usize) -> Self {
        Self { limit, kept: Mutex::default() }
    }

    /// Whether somebody reads a partition.
    pub(super) fn is_read(&self, at: At) -> bool {
        self.lock().runs.contains_key(&at)
    }

    /// The events of a partition from an offset on, if all of them are kept and there is one. From now on its events are.
    pub(super) fn read(&self, at: At, from: Offset, max: ReadLimit) -> Option<Records> {
        let mut kept = self.lock();
        let run = kept.runs.entry(at).or_default();
        // before the first one there may be others
        run.front()?.get(0).filter(|first| first.meta.offset <= from)?;
        let passed = run.partition_point(|records| end(records) <= from);
        let mut page = RecordsBuilder::default();
        let events = run.range(passed..).flat_map(Records::iter);
        for event in events.skip_while(|event| event.meta.offset < from).take(max.events) {
            if !max.has_room(&page, event.meta.bytes()) {
                break;
            }
            push(&mut page, &event);
        }
        (!page.is_empty()).then(|| page.build())
    }

    /// Adds the events of a partition that have been read behind the last ones.
    pub(super) fn add(&self, at: At, records: Records) {
        let mut kept = self.lock();
        let (Some(run), Some(first)) = (kept.runs.get(&at), records.get(0)) else { return };
        if run.back().is_some_and(|last| first.meta.offset < end(last)) {
            // the topic is another one, or is read again
            kept.forget(at);
        }
        kept.bytes += weight(&records);
        kept.order.push_back(at);
        kept.runs.entry(at).or_default().push_back(records);
        while kept.bytes > self.limit {
            kept.drop_oldest();
        }
    }

    /// A partition may have other events than those that are kept, or others between them and the next.
    pub(super) fn forget(&self, at: At) {
        self.lock().forget(at);
    }

    /// The same of all partitions.
    pub(super) fn forget_all(&self) {
        let mut kept = self.lock();
        kept.runs.values_mut().for_each(VecDeque::clear);
        kept.order.clear();
        kept.bytes = 0;
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn forget(&mut self, at: At) {
        let Some(run) = self.runs.get_mut(&at) else { return };
        self.bytes -= std::mem::take(run).iter().map(weight).sum::<usize>();
        self.order.retain(|other| *other != at);
    }

    fn drop_oldest(&mut self) {
        let Some(at) = self.order.pop_front() else { return };
        if let Some(records) = self.runs.get_mut(&at).and_then(VecDeque::pop_front) {
            self.bytes -= weight(&records);
        }
    }
}

/// Copies an event to the end of a batch.
fn push(page: &mut RecordsBuilder, event: &Record<'_>) {
    let Meta { at, offset, time, .. } = *event.meta;
    page.push_encoded(at, offset, time, event.key(), event.value(), event.headers_encoded());
}

/// The offset behind the last event.
fn end(records: &Records) -> Offset {
    records.last().map_or(Offset::ZERO, |last| last.meta.offset.next())
}

/// What events take in memory.
fn weight(records: &Records) -> usize {
    records.bytes() + records.len() * size_of::<Meta>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_schema::{Millis, TopicId};

    const AT: At = At { topic: TopicId(1), partition: 0 };
    const ALL: ReadLimit = ReadLimit { events: 100, bytes: 1 << 20 };

    fn events(offsets: &[u64]) -> Records {
        let mut builder = RecordsBuilder::default();
        for offset in offsets {
            let value = offset.to_string();
            builder.push_encoded(AT, Offset(*offset), Millis(1), None, Some(value.as_bytes()), &[]);
        }
        builder.build()
    }

    /// That somebody reads, with these kept.
    fn read_with(recent: Recent, kept: &[&[u64]]) -> Recent {
        assert!(recent.read(AT, Offset::ZERO, ALL).is_none());
        kept.iter().for_each(|offsets| recent.add(AT, events(offsets)));
        recent
    }

    fn read(recent: &Recent, from: u64, max: ReadLimit) -> Option<Vec<u64>> {
        let records = recent.read(AT, Offset(from), max)?;
        for event in records.iter() {
            assert_eq!(event.value(), Some(event.meta.offset.0.to_string().as_bytes()));
        }
        Some(records.iter().map(|event| event.meta.offset.0).collect())
    }

    #[test]
    fn events_are_kept_once_somebody_reads_the_partition() {
        let recent = Recent::default();
        recent.add(AT, events(&[0, 1]));
        assert!(!recent.is_read(AT) && read(&recent, 0, ALL).is_none());
        recent.add(AT, events(&[2, 3]));
        assert!(recent.is_read(AT));
        assert_eq!(read(&recent, 2, ALL), Some(vec![2, 3]));
        assert_eq!(read(&recent, 1, ALL), None, "it was not kept");
    }

    #[test]
    fn a_read_goes_on_over_gaps_to_the_end_or_its_limit() {
        let recent = read_with(Recent::default(), &[&[3, 5], &[9], &[10, 11]]);
        assert_eq!(read(&recent, 3, ALL), Some(vec![3, 5, 9, 10, 11]));
        assert_eq!(read(&recent, 6, ALL), Some(vec![9, 10, 11]));
        assert_eq!(read(&recent, 5, ReadLimit { events: 2, ..ALL }), Some(vec![5, 9]));
        assert_eq!(read(&recent, 9, ReadLimit { bytes: 3, ..ALL }), Some(vec![9, 10]));
        assert_eq!(
            read(&recent, 10, ReadLimit { bytes: 1, ..ALL }),
            Some(vec![10]),
            "the first is always read"
        );
        assert_eq!(read(&recent, 12, ALL), None);
    }

    #[test]
    fn what_comes_after_something_unknown_is_not_joined_to_what_was_before() {
        let recent = read_with(Recent::default(), &[&[3, 4]]);
        recent.forget(AT);
        recent.add(AT, events(&[7]));
        assert_eq!((read(&recent, 3, ALL), read(&recent, 5, ALL)), (None, None));
        assert_eq!(read(&recent, 7, ALL), Some(vec![7]));
        recent.forget_all();
        recent.add(AT, events(&[9]));
        assert_eq!((read(&recent, 8, ALL), read(&recent, 9, ALL)), (None, Some(vec![9])));
        recent.add(AT, events(&[0, 1]));
        assert_eq!(
            (read(&recent, 9, ALL), read(&recent, 0, ALL)),
            (None, Some(vec![0, 1])),
            "it was made anew"
        );
    }

    #[test]
    fn the_oldest_go_when_it_is_too_much() {
        let weight = weight(&events(&[1]));
        let recent = read_with(Recent::with_limit(2 * weight), &[&[1], &[2], &[3]]);
        assert_eq!(read(&recent, 1, ALL), None);
        assert_eq!(read(&recent, 2, ALL), Some(vec![2, 3]));
        recent.forget(AT);
        let kept = recent.lock();
        assert!(kept.bytes == 0 && kept.order.is_empty());
    }
}
