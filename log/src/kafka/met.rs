//! Events that the follower has met one after the other, until it passes them on.

use super::mirror::offset;
use super::read::push;
use super::shared::Shared;
use rdkafka::message::Message;
use weir_schema::{At, Millis, Offset, RecordsBuilder};

/// See the module's docs.
#[derive(Default, Debug)]
pub(super) struct Met {
    partitions: Vec<Partition>,
    events: usize,
    bytes: usize,
}

/// What was met of one.
#[derive(Debug)]
struct Partition {
    at: At,
    /// The last event, and its time.
    last: (Offset, Millis),
    /// All of them, if somebody reads it.
    records: Option<RecordsBuilder>,
}

impl Met {
    /// So many events, or events of so many partitions, are passed on at once at most, and no more once they have so many bytes.
    const EVENTS: usize = 256;
    const PARTITIONS: usize = 64;
    const BYTES: usize = 1 << 20;

    /// Adds an event; tells whether it is time to pass on what has been met.
    pub(super) fn add(&mut self, shared: &Shared, event: &impl Message) -> bool {
        let number = u32::try_from(event.partition());
        let (Some(topic), Ok(partition)) = (shared.mirror.id(event.topic()), number) else { return false };
        let (at, offset) = (At { topic, partition }, offset(event.offset()));
        let last = (offset, Millis(event.timestamp().to_millis().unwrap_or(0)));
        let known = self.partitions.iter().position(|known| known.at == at);
        let index = known.unwrap_or_else(|| {
            let records = shared.recent.is_read(at).then(RecordsBuilder::default);
            self.partitions.push(Partition { at, last, records });
            self.partitions.len() - 1
        });
        let met = &mut self.partitions[index];
        met.last = last;
        if let Some(records) = &mut met.records {
            let before = records.bytes();
            push(records, at, event);
            self.bytes += records.bytes() - before;
        }
        self.events += 1;
        self.events >= Self::EVENTS || self.partitions.len() >= Self::PARTITIONS || self.bytes >= Self::BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// Passes on what has been met.
    pub(super) fn pass_on(&mut self, shared: &Shared) {
        if self.is_empty() {
            return;
        }
        let mut last = Vec::with_capacity(self.partitions.len());
        for Partition { at, last: (offset, time), records } in self.partitions.drain(..) {
            last.push((at, offset, time));
            // before anyone hears of them
            if let Some(records) = records {
                shared.recent.add(at, records.build());
            }
        }
        shared.tails.see(&last);
        (self.events, self.bytes) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ReadLimit, TopicInfo, TopicSpec};
    use rdkafka::Timestamp;
    use rdkafka::message::OwnedMessage;
    use weir_schema::{Partitioner, TopicId, TopicName};

    const AT: At = At { topic: TopicId(1), partition: 0 };

    fn event(offset: i64, bytes: usize) -> OwnedMessage {
        let (topic, time) = ("shop_events".to_owned(), Timestamp::CreateTime(7));
        OwnedMessage::new(
            Some(vec![b'x'; bytes]),
            None,
            topic,
            time,
            AT.partition.cast_signed(),
            offset,
            None,
        )
    }

    fn shared() -> Shared {
        let shared = Shared::new("shop");
        let name = TopicName::new("events").expect("valid");
        let spec = TopicSpec { name, partitions: 1, partitioner: Partitioner::Murmur2, retention: None };
        let (earliest, tail) = (vec![Offset::ZERO], vec![Offset::ZERO]);
        shared.mirror.add(&TopicInfo { id: AT.topic, spec, earliest, tail, bytes: 0 });
        shared
    }

    #[test]
    fn what_somebody_reads_is_kept_before_it_is_told_and_large_events_are_passed_on_at_once() {
        let (shared, mut met) = (shared(), Met::default());
        assert!(shared.recent.read(AT, Offset(0), ReadLimit::default()).is_none());
        assert!(!met.add(&shared, &event(3, 10)));
        assert!(met.add(&shared, &event(5, Met::BYTES)));
        met.pass_on(&shared);
        assert_eq!(shared.tails.known(AT), Offset(6));
        let kept = shared.recent.read(AT, Offset(3), ReadLimit { events: 1, bytes: 1 }).expect("it is kept");
        let first = kept.get(0).expect("there is one");
        assert_eq!((first.meta.offset, first.meta.time, kept.bytes()), (Offset(3), Millis(7), 10));
        assert!(!met.add(&shared, &event(6, 10)), "it is counted anew");
    }
}
