//! Looks now and then at what others have done to topics: added partitions, removed a topic, made it anew.
//!
//! A topic that is made anew has the same name and other events. Kafka's clients do not tell that, but it has another id, where
//! brokers have such; and its partitions end before where they have been seen to end, or, if it has been filled again, have another
//! event where the last one was that has been seen. These two are kept in the store, so that it is noticed as well what happened
//! while no process was there. Every group that has a position in such a partition then gets a row ([`lost_key`]) which says that
//! what it had not handled is gone: whoever runs the group stands still until someone has decided where it is to go on.

use super::mirror::Topic;
use super::native::Id;
use super::notes::{self, Notes, unchanged};
use super::parts::Parts;
use super::shared::Shared;
use crate::lost::lost_key;
use crate::{LogError, ReadLimit, TopicInfo};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use weir_schema::{At, GroupName, Millis, Offset, Op, StateKey, TopicId, Versioned};

/// The table in which it is kept how far partitions have been seen. Key: topic and partition; value: the offset, how often
/// the partition has been another one, and the offset and time of the last event, if there was one.
const TABLE: &str = "_weir_tails";
/// How often it looks.
const LOOK: Duration = Duration::from_secs(3);
/// A partition that ends too early is looked at so often before it counts: a new leader may be behind for a moment.
const DOUBTS: u32 = 5;
const DOUBT: Duration = Duration::from_millis(200);

/// See the module's docs.
#[derive(Debug)]
pub(super) struct Lookout {
    parts: Arc<Parts>,
    notes: Notes,
    /// Whether this process has the relay's lease: then it keeps the table.
    keeps: Arc<AtomicBool>,
    /// Where work that waits for brokers runs.
    handle: Handle,
    /// How often each partition has been another one, as far as this process knows.
    seen: Mutex<HashMap<At, u64>>,
    /// By which ids Kafka knew topics.
    ids: std::sync::Mutex<HashMap<TopicId, Id>>,
}

/// A partition as Kafka has it now: the earliest offset that is kept, and the first that cannot be read.
#[derive(Clone, Copy, Debug)]
struct Window {
    low: Offset,
    end: Offset,
}

/// What is known of a partition before it is looked at.
#[derive(Clone, Copy, Debug)]
struct Found {
    is_there: bool,
    /// Whether its topic has another id than it had.
    is_other: bool,
}

/// What is kept of a partition.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Kept {
    tail: Offset,
    /// How often it has been another one.
    anew: u64,
    /// The last event, and its time.
    last: Option<(Offset, Millis)>,
}

impl Lookout {
    pub(super) fn new(parts: Arc<Parts>, notes: Notes, keeps: Arc<AtomicBool>, handle: Handle) -> Arc<Self> {
        Arc::new(Self {
            parts,
            notes,
            keeps,
            handle,
            seen: Mutex::default(),
            ids: std::sync::Mutex::default(),
        })
    }

    pub(super) async fn run(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(error) = self.look().await {
                tracing::debug!(%error, "topics cannot be looked at for now");
            }
        }
    }

    /// Looks once.
    pub(super) async fn look(&self) -> Result<(), LogError> {
        let mut seen = self.seen.lock().await;
        let topics = self.shared().mirror.all();
        let named = topics.clone();
        let ids = self.ask(move |parts| Ok(parts.ids(&named))).await?;
        for topic in topics {
            let id = ids.get(&topic.name);
            self.look_at(topic, id, &mut seen).await?;
        }
        Ok(())
    }

    /// Looks at a topic that has this id now.
    async fn look_at(
        &self,
        topic: Arc<Topic>,
        id: Option<&Id>,
        seen: &mut HashMap<At, u64>,
    ) -> Result<(), LogError> {
        let name = topic.name.clone();
        let count = self.ask(move |parts| parts.partitions(&name)).await?;
        let was_gone = self.shared().is_gone(topic.id);
        self.shared().set_gone(&topic, count.is_none());
        if was_gone && count.is_some() {
            let back = topic.clone();
            self.ask(move |parts| parts.follow(&back)).await?;
        }
        let topic = match count {
            Some(count) if count > topic.spec.partitions => self.grow(&topic, count).await?,
            _ => topic,
        };
        let is_other = id.is_some_and(|id| self.ids().get(&topic.id).is_some_and(|before| before != id));
        let mut news = Vec::new();
        for (at, _) in topic.partitions() {
            let is_there = count.is_some_and(|count| at.partition < count);
            let found = Found { is_there, is_other };
            news.extend(self.look_at_partition(&topic, at, found, seen).await?);
        }
        if !news.is_empty() {
            self.notes.write(news).await.map_err(|error| self.failed(error))?;
        }
        match id {
            // what comes in its place has been told of
            _ if count.is_none() => drop(self.ids().remove(&topic.id)),
            Some(id) => drop(self.ids().insert(topic.id, *id)),
            None => {}
        }
        Ok(())
    }

    /// Learns what Kafka knows a topic by, unless it has looked at it already.
    pub(super) async fn learn(&self, topic: Arc<Topic>) -> Result<(), LogError> {
        if self.ids().contains_key(&topic.id) {
            return Ok(());
        }
        let named = topic.clone();
        let ids = self.ask(move |parts| Ok(parts.ids(&[named]))).await?;
        if let Some(id) = ids.get(&topic.name) {
            self.ids().entry(topic.id).or_insert(*id);
        }
        Ok(())
    }

    fn ids(&self) -> MutexGuard<'_, HashMap<TopicId, Id>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shared(&self) -> &Shared {
        &self.parts.shared
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Parts) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let parts = self.parts.clone();
        self.handle.spawn_blocking(move || question(&parts)).await.map_err(|_| LogError::Closed)?
    }

    fn failed(&self, error: crate::CommitError) -> LogError {
        let operation = "keep how far topics go".to_owned();
        LogError::Unavailable { operation, source: error.into(), retry: true }
    }

    /// Takes new partitions in; groups begin there at the earliest event.
    async fn grow(&self, topic: &Topic, count: u32) -> Result<Arc<Topic>, LogError> {
        let store = &self.notes.store;
        let known = store.topics().await?.into_iter().find(|info| info.id == topic.id);
        let mut info: TopicInfo = known.ok_or_else(|| LogError::NoTopic(topic.name.clone()))?;
        if info.spec.partitions < count {
            store.grow(topic.id, count).await?;
            info.spec.partitions = count;
            tracing::info!(topic = topic.name, partitions = count, "the topic has new partitions");
        }
        let mut new = Vec::new();
        for partition in topic.spec.partitions..count {
            let at = At { topic: topic.id, partition };
            new.push((at, self.window(topic, at).await?.low));
        }
        let groups = store.positions(None).await?.into_iter().filter(|p| p.at.topic == topic.id);
        let groups: std::collections::BTreeSet<_> = groups.map(|position| position.group).collect();
        for group in groups {
            store.begin(&group, &new).await?;
        }
        let topic = self.shared().mirror.add(&info);
        let followed = topic.clone();
        self.ask(move |parts| parts.follow(&followed)).await?;
        self.shared().alter(topic.id);
        Ok(topic)
    }

    async fn window(&self, topic: &Topic, at: At) -> Result<Window, LogError> {
        let topic = topic.clone();
        let (low, end) = self.ask(move |parts| parts.window(&topic, at)).await?;
        Ok(Window { low, end })
    }

    /// Looks at a partition; what of it is to be kept now.
    async fn look_at_partition(
        &self,
        topic: &Topic,
        at: At,
        Found { is_there, is_other }: Found,
        seen: &mut HashMap<At, u64>,
    ) -> Result<Option<(StateKey, Op)>, LogError> {
        let key = key(at);
        let row = self.notes.store.get(std::slice::from_ref(&key)).await?.into_iter().flatten().next();
        let kept = row.as_ref().and_then(Kept::read).unwrap_or_default();
        let known = self.shared().tails.known(at).max(kept.tail);
        let mut window = Window { low: Offset::ZERO, end: Offset::ZERO };
        for _ in 0..DOUBTS {
            if is_there {
                window = self.window(topic, at).await?;
            }
            if window.end >= known || !is_there {
                break;
            }
            tokio::time::sleep(DOUBT).await;
        }
        // what fails is done again by the next look: nothing is seen before it is done
        let is_first = !seen.contains_key(&at);
        let is_another =
            is_other || is_first && is_there && self.has_another(topic, at, window, kept.last).await?;
        let before = *seen.entry(at).or_insert(kept.anew);
        if before < kept.anew {
            // another process was faster
            self.restart(topic, at, window, is_there).await?;
            seen.insert(at, kept.anew);
        } else if window.end < known || is_another {
            self.declare(topic, at, window, kept, row.as_ref()).await?;
            self.restart(topic, at, window, is_there).await?;
            seen.insert(at, kept.anew + 1);
        } else if known > kept.tail && self.keeps.load(Ordering::SeqCst) {
            let last = self.shared().tails.last(at);
            return Ok(Some((key, Kept { tail: known, last, ..kept }.op())));
        }
        Ok(None)
    }

    /// Whether there is another event where the last one was that has been seen. One that is gone tells nothing.
    async fn has_another(
        &self,
        topic: &Topic,
        at: At,
        window: Window,
        last: Option<(Offset, Millis)>,
    ) -> Result<bool, LogError> {
        let Some((offset, time)) = last.filter(|(offset, _)| (window.low..window.end).contains(offset))
        else {
            return Ok(false);
        };
        let (topic, one) = (topic.clone(), ReadLimit { events: 1, bytes: 1 });
        let read = self.ask(move |parts| parts.read(&topic, at, offset, one)).await?;
        Ok(read.get(0).is_some_and(|event| event.meta.offset == offset && event.meta.time != time))
    }

    /// Removes what a group has been told: it is to be forgotten.
    pub(super) async fn untell(&self, group: &GroupName) -> Result<(), LogError> {
        let positions = self.notes.store.positions(Some(group)).await?;
        let keys: Vec<_> = positions.iter().map(|p| lost_key(group, p.at.partition)).collect();
        let told = self.notes.store.get(&keys).await?;
        let told = keys.into_iter().zip(told).filter(|(_, row)| row.is_some());
        let rows: Vec<_> = told.map(|(key, _)| (key, Op::Delete)).collect();
        if rows.is_empty() {
            return Ok(());
        }
        self.notes.write(rows).await.map_err(|error| self.failed(error))
    }

    /// Says for good that a partition is another one than it was.
    async fn declare(
        &self,
        topic: &Topic,
        at: At,
        window: Window,
        kept: Kept,
        row: Option<&Versioned>,
    ) -> Result<(), LogError> {
        let key = key(at);
        let now = Kept { tail: window.end, anew: kept.anew + 1, last: None };
        let mut rows = vec![(key.clone(), now.op())];
        for position in self.notes.store.positions(None).await?.into_iter().filter(|p| p.at == at) {
            let low = window.low.to_string().into();
            rows.push((lost_key(&position.group, at.partition), Op::Put { value: low, expires: None }));
        }
        let read = unchanged(&key, row);
        let declared = self.notes.commit(|transaction| transaction.reads.push(read.clone()), rows).await;
        match declared {
            Ok(()) => {
                let (topic, end) = (&topic.name, window.end);
                tracing::error!(topic, partition = at.partition, %end, "the topic is gone, or was made anew, or its brokers have lost events: \
                    triggers that had a position there stand still (weir triggers)");
                Ok(())
            }
            // another process says so
            Err(crate::CommitError::Conflict { .. }) => Ok(()),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Follows a partition anew.
    async fn restart(&self, topic: &Topic, at: At, window: Window, is_there: bool) -> Result<(), LogError> {
        let again = topic.clone();
        self.ask(move |parts| parts.unfollow(&again, at)).await?;
        self.shared().tails.reset(at, window.end);
        if is_there {
            let again = topic.clone();
            self.ask(move |parts| parts.follow(&again)).await?;
        }
        self.shared().alter(topic.id);
        Ok(())
    }
}

impl Kept {
    /// None: it is not of this form.
    fn read(row: &Versioned) -> Option<Self> {
        let mut numbers = std::str::from_utf8(&row.value).ok()?.split(' ');
        let mut number = || numbers.next()?.parse().ok();
        let (tail, anew) = (Offset(number()?), number()?);
        let last = number().zip(numbers.next().and_then(|time| time.parse().ok()));
        Some(Self { tail, anew, last: last.map(|(offset, time)| (Offset(offset), Millis(time))) })
    }

    fn op(self) -> Op {
        let Self { tail, anew, last } = self;
        let last = last.map(|(offset, time)| format!(" {offset} {}", time.0)).unwrap_or_default();
        Op::Put { value: format!("{tail} {anew}{last}").into(), expires: None }
    }
}

fn key(at: At) -> StateKey {
    notes::key(TABLE, Bytes::from(format!("{}/{}", at.topic.0, at.partition)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_schema::TxnId;

    #[test]
    fn what_is_kept_reads_back() {
        for last in [None, Some((Offset(6), Millis(-1)))] {
            let kept = Kept { tail: Offset(7), anew: 2, last };
            let Op::Put { value, expires } = kept.op() else { unreachable!("it is put") };
            assert_eq!(Kept::read(&Versioned { value, stamp: TxnId(1), expires }), Some(kept));
        }
        let other = Versioned { value: "x".into(), stamp: TxnId(1), expires: None };
        assert_eq!(Kept::read(&other), None);
    }
}
