//! Topics, events and rows in maps.

use super::groups::Group;
use crate::ledger::Ledger;
use crate::scan::key_after;
use crate::{Hint, LogError, ReadLimit, TopicInfo, TopicSpec};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use weir_schema::{
    At, CatalogVersion, Digest, DigestBuilder, Epoch, GroupName, Millis, Offset, Record, Records,
    RecordsBuilder, ScanPage, StateKey, StateRange, TopicId, Transaction, Versioned,
};

/// Everything that the log holds.
#[derive(Default, Debug)]
pub(super) struct Store {
    /// By [`TopicId`].
    topics: Vec<Topic>,
    pub(super) rows: BTreeMap<StateKey, Versioned>,
    pub(super) groups: BTreeMap<(GroupName, At), Group>,
    pub(super) ledger: Ledger,
    pub(super) catalog: CatalogVersion,
    pub(super) control: u64,
    /// The last epoch given to any partition of any group, so that none comes twice.
    pub(super) last_epoch: Epoch,
    pub(super) closed: bool,
}

#[derive(Debug)]
struct Topic {
    spec: TopicSpec,
    partitions: Vec<Partition>,
}

/// The events of one partition.
#[derive(Default, Debug)]
pub(super) struct Partition {
    pub(super) earliest: Offset,
    last_time: Millis,
    bytes: usize,
    /// From `earliest` on.
    events: VecDeque<Stored>,
}

#[derive(Debug)]
struct Stored {
    time: Millis,
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Bytes,
}

impl Store {
    pub(super) fn create_topic(&mut self, spec: &TopicSpec) -> Result<TopicInfo, LogError> {
        let found = self.topics.iter().position(|topic| topic.spec.name == spec.name);
        let index = found.unwrap_or(self.topics.len());
        match self.topics.get_mut(index) {
            Some(topic) => {
                crate::topic::check_same(&topic.spec, spec)?;
                topic.spec.retention = spec.retention;
            }
            None => {
                let partitions = (0..spec.partitions).map(|_| Partition::default()).collect();
                self.topics.push(Topic { spec: spec.clone(), partitions });
            }
        }
        Ok(self.topics[index].info(index))
    }

    pub(super) fn topics(&self) -> Vec<TopicInfo> {
        let mut infos: Vec<_> = self.topics.iter().enumerate().map(|(id, topic)| topic.info(id)).collect();
        infos.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        infos
    }

    /// The partitions of a topic; none if there is no such topic.
    pub(super) fn partitions_of(&self, topic: TopicId) -> Option<impl Iterator<Item = At> + use<>> {
        let count = self.topics.get(topic.0 as usize)?.spec.partitions;
        Some((0..count).map(move |partition| At { topic, partition }))
    }

    pub(super) fn partition(&self, at: At) -> Option<&Partition> {
        self.topics.get(at.topic.0 as usize)?.partitions.get(at.partition as usize)
    }

    pub(super) fn partition_mut(&mut self, at: At) -> Option<&mut Partition> {
        self.topics.get_mut(at.topic.0 as usize)?.partitions.get_mut(at.partition as usize)
    }

    fn known(&self, at: At) -> Result<&Partition, LogError> {
        self.partition(at).ok_or_else(|| crate::topic::no_topic(at))
    }

    pub(super) fn read(&self, at: At, from: Offset, max: ReadLimit) -> Result<Records, LogError> {
        let partition = self.known(at)?;
        if from < partition.earliest {
            return Err(LogError::Trimmed { earliest: partition.earliest });
        }
        let mut records = RecordsBuilder::default();
        let skipped = usize::try_from(from.0 - partition.earliest.0).unwrap_or(usize::MAX);
        let events = partition.events.iter().skip(skipped).take(max.events);
        for (event, offset) in events.zip(from.0..) {
            if !max.has_room(&records, event.bytes()) {
                break;
            }
            let (key, value) = (event.key.as_deref(), event.value.as_deref());
            records.push_encoded(at, Offset(offset), event.time, key, value, &event.headers);
        }
        Ok(records.build())
    }

    pub(super) fn offset_at(&self, at: At, time: Millis) -> Result<Offset, LogError> {
        let partition = self.known(at)?;
        let before = partition.events.iter().take_while(|event| event.time < time).count();
        Ok(Offset(partition.earliest.0 + before as u64))
    }

    pub(super) fn trim(&mut self, at: At, before: Offset) -> Result<Offset, LogError> {
        let partition = self.partition_mut(at).ok_or_else(|| crate::topic::no_topic(at))?;
        while partition.earliest < before {
            let Some(event) = partition.events.pop_front() else { break };
            partition.bytes -= event.bytes();
            partition.earliest = partition.earliest.next();
        }
        Ok(partition.earliest)
    }

    pub(super) fn row(&self, key: &StateKey) -> Option<Versioned> {
        self.rows.get(key).cloned()
    }

    pub(super) fn scan(&self, range: &StateRange, limit: u32) -> ScanPage {
        let mut rows = self.range(range).map(|(key, row)| (key.key.clone(), row.clone()));
        let page: Vec<_> = rows.by_ref().take(limit.max(1) as usize).collect();
        let more = rows.next().is_some();
        let next = page.last().filter(|_| more).map(|(key, _)| key_after(key));
        ScanPage { rows: page, next }
    }

    pub(super) fn digest(&self, range: &StateRange) -> Digest {
        let mut digest = DigestBuilder::default();
        self.range(range).for_each(|(key, row)| digest.row(&key.key, row.stamp));
        digest.finish()
    }

    fn range(&self, range: &StateRange) -> impl Iterator<Item = (&StateKey, &Versioned)> {
        let from =
            StateKey { table: range.table.clone(), generation: range.generation, key: range.from.clone() };
        let rows = self.rows.range((Bound::Included(from), Bound::Unbounded));
        rows.take_while(|(key, _)| range.contains(key))
    }

    /// Brings `hint` up to what `transaction` has just changed.
    pub(super) fn refresh(&self, hint: &mut Hint, transaction: &Transaction) {
        for event in transaction.appends.iter().flat_map(Records::iter) {
            let at = event.meta.at;
            hint.tails.insert(at, self.partition(at).map_or(Offset::ZERO, Partition::tail));
        }
        (hint.catalog, hint.control) = (self.catalog, self.control);
    }
}

impl Topic {
    fn info(&self, id: usize) -> TopicInfo {
        TopicInfo {
            id: TopicId(u32::try_from(id).expect("topics are far fewer than 2^32")),
            spec: self.spec.clone(),
            earliest: self.partitions.iter().map(|p| p.earliest).collect(),
            tail: self.partitions.iter().map(Partition::tail).collect(),
            bytes: self.partitions.iter().map(|p| p.bytes as u64).sum(),
        }
    }
}

impl Partition {
    pub(super) fn tail(&self) -> Offset {
        Offset(self.earliest.0 + self.events.len() as u64)
    }

    /// Adds an event; its time is `now`, but never below the last one's.
    pub(super) fn append(&mut self, event: &Record<'_>, now: Millis) {
        self.last_time = self.last_time.max(now);
        let stored = Stored {
            time: self.last_time,
            key: event.key_bytes(),
            value: event.value_bytes(),
            headers: Bytes::copy_from_slice(event.headers_encoded()),
        };
        self.bytes += stored.bytes();
        self.events.push_back(stored);
    }
}

impl Stored {
    fn bytes(&self) -> usize {
        let len = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        len(&self.key) + len(&self.value) + self.headers.len()
    }
}
