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
    /// So many events, or events of so many partitions, are passed on at once at most.
    const EVENTS: usize = 256;
    const PARTITIONS: usize = 64;

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
            push(records, at, event);
        }
        self.events += 1;
        self.events >= Self::EVENTS || self.partitions.len() >= Self::PARTITIONS
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
        self.events = 0;
    }
}
