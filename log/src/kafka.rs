//! Durability: a commit is in the store when it resolves, as the store says, and its events are on all in-sync brokers
//! (`acks=all`, idempotent).
//!
//! Events are in Kafka; state, positions, leases and everything else are in a store, which is a log in a file or in
//! PostgreSQL. A transaction is one of the store's: its appends go into an outbox there ([`outbox`]), and a relay
//! ([`relay`]) brings them to Kafka in commit order, each once. A transaction that is one event and nothing else goes to
//! Kafka at once ([`append`]). One thread follows every partition ([`follower`]): what it has read is what is visible, and
//! a commit resolves when its events are. The last of what it has read is kept ([`recent`]), so that only reads of older events ask
//! brokers ([`read`]).

mod append;
mod clients;
mod commit;
mod error;
mod follower;
mod foreign;
mod limits;
mod lookout;
mod membership;
mod met;
mod mirror;
mod native;
mod notes;
mod opening;
mod outbox;
mod parts;
mod pending;
mod placing;
mod read;
mod recent;
mod relay;
mod relayed;
mod shared;
mod showing;
mod tails;
mod times;
mod topics;

use crate::keeper::Keeper;
use crate::store::Store;
use crate::{
    Capabilities, Commit, FirstPosition, GroupPosition, Hint, Log, LogError, Membership, ReadLimit,
    TopicInfo, TopicSpec, batch,
};
use append::Appender;
use lookout::Lookout;
use membership::Member;
use mirror::Topic;
use notes::Notes;
use parts::Parts;
use pending::Entered;
use shared::Shared;
use showing::Showing;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, oneshot, watch};
use tokio_util::sync::CancellationToken;
use weir_schema::{
    At, GroupName, Millis, Offset, Records, ScanPage, StateKey, StateRange, Transaction, Versioned,
};

/// How long a log that is closed waits for Kafka to take what was committed.
const LAST_WAIT: Duration = Duration::from_secs(30);
/// And how long for where groups stand to be shown, and how far topics go to be told.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// A log in Kafka. See the module's docs.
#[derive(Debug)]
pub(crate) struct KafkaLog {
    capabilities: Capabilities,
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    /// In the store.
    outbox: At,
    appender: Appender,
    parts: Arc<Parts>,
    keeper: Keeper,
    /// Held by whoever makes a topic or takes one in.
    changing: Mutex<()>,
    lookout: Arc<Lookout>,
    notes: Notes,
    /// None: positions are not shown.
    showing: Option<Arc<Showing>>,
    relay: RelayEnd,
    closed: AtomicBool,
}

/// How the relay is ended.
#[derive(Debug)]
struct RelayEnd {
    stop: CancellationToken,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

impl KafkaLog {
    fn check_open(&self) -> Result<(), LogError> {
        if self.closed.load(Ordering::SeqCst) { Err(LogError::Closed) } else { Ok(()) }
    }

    /// Does `work`, which waits for brokers, on a thread where that is no matter.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Parts) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        self.check_open()?;
        let parts = self.parts.clone();
        self.keeper.run(move || work(&parts)).await.ok_or(LogError::Closed)?
    }

    /// The topic of a partition; another process may have made it.
    async fn topic(&self, at: At) -> Result<Arc<Topic>, LogError> {
        self.check_open()?;
        if let Some(topic) = self.shared.mirror.topic(at) {
            return Ok(topic);
        }
        self.infos().await?;
        self.shared.mirror.topic(at).ok_or_else(|| crate::topic::no_topic(at))
    }

    /// The topics that the store has, as it has them; takes in those that are new.
    async fn infos(&self) -> Result<Vec<TopicInfo>, LogError> {
        let mut infos = self.store.topics().await?;
        infos.retain(|info| info.id != self.outbox.topic);
        let _changing = self.changing.lock().await;
        for info in &infos {
            if self.shared.mirror.topic(At { topic: info.id, partition: 0 }).is_none() {
                let topic = self.shared.mirror.add(info);
                self.follow(topic).await?;
            }
        }
        Ok(infos)
    }

    /// Follows a topic, and learns how large its events may be.
    async fn follow(&self, topic: Arc<Topic>) -> Result<(), LogError> {
        self.work(move |parts| parts.follow(&topic)).await?;
        self.parts.look_at_limits().await;
        Ok(())
    }

    /// The topic with what Kafka knows of it.
    async fn described(&self, mut info: TopicInfo) -> Result<TopicInfo, LogError> {
        let topic = self.topic(At { topic: info.id, partition: 0 }).await?;
        // the store may know of new partitions already that this process has yet to take in
        info.spec.partitions = topic.spec.partitions;
        if self.shared.is_gone(info.id) {
            let none = vec![Offset::ZERO; info.spec.partitions as usize];
            (info.earliest, info.tail) = (none.clone(), none);
            return Ok(info);
        }
        let ends = self.work(move |parts| parts.ends(&topic)).await?;
        (info.earliest, info.tail) = ends.into_iter().unzip();
        Ok(info)
    }

    /// Has Kafka show where groups stand, and keeps how far topics go for whoever opens the log next.
    async fn look_and_show(&self) {
        let show = async {
            if let Some(showing) = &self.showing {
                showing.show().await;
            }
        };
        let ((), looked) = tokio::join!(show, self.lookout.look());
        if let Err(error) = looked {
            tracing::debug!(%error, "it is not kept how far topics go");
        }
    }

    /// Writes the positions of a group that the store would begin at its own earliest offset, which is not Kafka's.
    async fn begin(&self, group: &GroupName, start: &[(At, Offset)]) -> Result<(), LogError> {
        let known = self.store.positions(Some(group)).await?;
        let mut missing = Vec::new();
        for (at, _) in start {
            let topic = self.topic(*at).await?;
            let named = topic.clone();
            let ends = self.work(move |parts| parts.ends(&named)).await?;
            for ((at, _), (earliest, _)) in topic.partitions().zip(ends) {
                let is_missing = !known.iter().any(|position| position.at == at)
                    && !missing.iter().any(|(begun, _)| *begun == at);
                if is_missing {
                    let given = start.iter().find(|(given, _)| *given == at && known.is_empty());
                    missing.push((at, given.map_or(earliest, |(_, offset)| *offset)));
                }
            }
        }
        self.store.begin(group, &missing).await
    }
}

#[async_trait::async_trait]
impl Log for KafkaLog {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn create_topic(&self, spec: &TopicSpec) -> Result<TopicInfo, LogError> {
        self.check_open()?;
        topics::check_name(&self.shared.mirror, &self.parts.clients, spec)?;
        let info = {
            let _changing = self.changing.lock().await;
            self.create(spec).await?
        };
        self.described(info).await
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        self.check_open()?;
        let mut described = Vec::new();
        for info in self.infos().await? {
            described.push(self.described(info).await?);
        }
        Ok(described)
    }

    fn commit(&self, transaction: Arc<Transaction>) -> Commit {
        if self.check_open().is_err() {
            return batch::refuse(LogError::Closed);
        }
        if transaction.appends.iter().all(Records::is_empty) {
            return self.pass_on(transaction);
        }
        match self.shared.pending.enter(&transaction) {
            Entered::Known(commit) => commit,
            Entered::New(commit) => {
                self.send(&transaction);
                commit
            }
        }
    }

    async fn read(&self, at: At, from: Offset, max: ReadLimit) -> Result<Records, LogError> {
        let topic = self.topic(at).await?;
        if max.events > 0
            && !self.shared.is_gone(at.topic)
            && let Some(records) = self.shared.recent.read(at, from, max)
        {
            return Ok(records);
        }
        self.work(move |parts| parts.read(&topic, at, from, max)).await
    }

    async fn offset_at(&self, at: At, time: Millis) -> Result<Offset, LogError> {
        let topic = self.topic(at).await?;
        self.work(move |parts| parts.offset_at(&topic, at, time)).await
    }

    fn watch(&self) -> watch::Receiver<Hint> {
        self.shared.tails.watch()
    }

    async fn get(&self, keys: &[StateKey]) -> Result<Vec<Option<Versioned>>, LogError> {
        self.check_open()?;
        self.store.get(keys).await
    }

    async fn scan(&self, range: &StateRange, limit: u32) -> Result<ScanPage, LogError> {
        self.check_open()?;
        self.store.scan(range, limit).await
    }

    async fn join(&self, group: &GroupName, start: &[(At, Offset)]) -> Result<Membership, LogError> {
        self.check_open()?;
        self.begin(group, start).await?;
        let (member, membership) = Member::join(self.store.clone(), &self.shared, group, start).await?;
        self.keeper.spawn(member.attend());
        Ok(membership)
    }

    async fn positions(&self, group: Option<&GroupName>) -> Result<Vec<GroupPosition>, LogError> {
        self.check_open()?;
        let mut positions = self.store.positions(group).await?;
        positions.retain(|position| position.at != self.outbox);
        Ok(positions)
    }

    async fn first_position(&self, topic: &TopicInfo) -> Result<FirstPosition, LogError> {
        self.check_open()?;
        self.first(topic).await
    }

    async fn forget(&self, group: &GroupName) -> Result<(), LogError> {
        self.check_open()?;
        self.lookout.untell(group).await?;
        self.store.forget(group).await?;
        if let Some(showing) = &self.showing {
            showing.forget(group).await;
        }
        Ok(())
    }

    async fn trim(&self, at: At, before: Offset) -> Result<Offset, LogError> {
        let topic = self.topic(at).await?;
        let described = topic.clone();
        let (earliest, tail) = self.work(move |parts| parts.end(&described, at)).await?;
        let before = before.min(tail);
        if before <= earliest {
            return Ok(earliest);
        }
        self.parts.topics.trim(&topic.name, at, before).await?;
        self.parts.forget(at);
        Ok(before)
    }

    async fn troubles(&self) -> Result<Vec<String>, LogError> {
        self.check_open()?;
        let mut troubles = relay::troubles(&*self.store).await?;
        troubles.extend(self.shared.trouble());
        Ok(troubles)
    }

    async fn close(&self) -> Result<(), LogError> {
        if self.closed.swap(true, Ordering::SeqCst) {
            return Err(LogError::Closed);
        }
        if tokio::time::timeout(LAST_WAIT, self.shared.pending.drained()).await.is_err() {
            tracing::warn!(
                "Kafka has not taken everything that was committed; the next start of a node brings it there"
            );
        }
        if tokio::time::timeout(LAST_LOOK, self.look_and_show()).await.is_err() {
            tracing::debug!(
                "Kafka is not there to be told where groups stand, nor to tell how far topics go"
            );
        }
        self.relay.stop.cancel();
        if let Some(ended) = self.relay.ended.lock().await.take() {
            drop(ended.await);
        }
        self.shared.close();
        let closed = self.store.close().await;
        self.keeper.stop().await;
        closed
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        self.relay.stop.cancel();
        self.shared.close();
    }
}

impl KafkaLog {
    /// Takes another partitioner over, as that of a topic that has all else in common with `wanted`.
    async fn take_partitioner(&self, known: &TopicInfo, wanted: &TopicSpec) -> Result<(), LogError> {
        let placed = TopicSpec { partitioner: wanted.partitioner, ..known.spec.clone() };
        crate::topic::check_same(&placed, wanted)?;
        if placed == known.spec {
            return Ok(());
        }
        let (topic, partitioner) = (&placed.name, crate::topic::partitioner_name(placed.partitioner));
        tracing::info!(%topic, partitioner, "what functions append is placed otherwise from now on");
        self.store.alter(known.id, &placed).await
    }

    /// Makes a topic, in Kafka and then in the store.
    async fn create(&self, spec: &TopicSpec) -> Result<TopicInfo, LogError> {
        let name = self.shared.mirror.name_of(&spec.name);
        let known = self.store.topics().await?.into_iter().find(|info| info.spec.name == spec.name);
        if let Some(known) = &known {
            self.take_partitioner(known, spec).await?;
        }
        let named = name.clone();
        let there = self.work(move |parts| parts.partitions(&named)).await?;
        match there {
            Some(there) => {
                topics::check_partitions(&name, there, spec)?;
                if known.is_none() {
                    self.meet(&name, spec).await?;
                }
            }
            None => {
                self.parts.topics.make(&name, spec).await?;
                let (named, partitions) = (name.clone(), spec.partitions);
                self.work(move |parts| parts.await_leaders(&named, partitions)).await?;
            }
        }
        // a topic of others keeps its events as they have set it, unless another retention is asked for
        let kept = known.and_then(|known| known.spec.retention);
        if there.is_some() && kept != spec.retention {
            self.parts.topics.keep(&name, spec).await?;
        }
        let info = self.store.create_topic(spec).await?;
        let topic = self.shared.mirror.add(&info);
        self.follow(topic.clone()).await?;
        self.lookout.learn(topic).await?;
        Ok(info)
    }
}
