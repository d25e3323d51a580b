//! A log in Kafka as the model is: offsets without gaps, and topics that are numbered from zero.
//!
//! Kafka has marks of transactions between events, and the store has the outbox as its first topic. What goes in and out
//! is translated, and nothing else is different: the same steps come to the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{mpsc, watch};
use weir_log::{
    Capabilities, Change, Commit, CommitError, GroupPosition, Hint, Log, LogError, Membership, MembershipEnd,
    ReadLimit, Rejection, TopicInfo, TopicSpec,
};
use weir_schema::{
    Advance, At, Epoch, Fence, GroupName, Millis, Offset, Receipt, Records, RecordsBuilder, ScanPage,
    StateKey, StateRange, TopicId, Transaction, Versioned,
};

/// The store's topics before the first of the log's.
const OWN_TOPICS: u32 = 1;
/// The epochs that the relay has taken before the first group of the log's joins.
const OWN_EPOCHS: u64 = 1;

/// See the module's docs.
#[derive(Clone, Debug)]
pub(crate) struct Dense(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    log: Arc<dyn Log>,
    /// Of each partition the events that were ever there: their offsets in Kafka, and their bytes.
    events: Mutex<HashMap<At, Vec<Event>>>,
    /// Of groups that began at an earliest offset: that number, and the offset that stands for it.
    begun: Mutex<HashMap<(GroupName, At), (u64, u64)>>,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    offset: u64,
    bytes: u64,
}

impl Dense {
    pub(crate) fn new(log: Arc<dyn Log>) -> Self {
        Self(Arc::new(Inner { log, events: Mutex::default(), begun: Mutex::default() }))
    }
}

/// A partition as the log has it.
fn there(at: At) -> At {
    At { topic: TopicId(at.topic.0 + OWN_TOPICS), ..at }
}

/// A partition of the log's as the model has it.
fn here(at: At) -> At {
    At { topic: topic_here(at.topic), ..at }
}

fn topic_here(topic: TopicId) -> TopicId {
    TopicId(topic.0 - OWN_TOPICS)
}

fn epoch_there(epoch: Epoch) -> Epoch {
    Epoch(epoch.0 + OWN_EPOCHS)
}

fn epoch_here(epoch: Epoch) -> Epoch {
    Epoch(epoch.0 - OWN_EPOCHS)
}

impl Inner {
    fn events(&self) -> MutexGuard<'_, HashMap<At, Vec<Event>>> {
        self.events.lock().expect("nobody panics while it is held")
    }

    fn begun(&self) -> MutexGuard<'_, HashMap<(GroupName, At), (u64, u64)>> {
        self.begun.lock().expect("nobody panics while it is held")
    }

    /// Finds out which events are there now.
    async fn learn(&self, at: At) -> Result<(), LogError> {
        loop {
            let known = self.events().entry(at).or_default().last().map_or(0, |last| last.offset + 1);
            let page = self.log.read(there(at), Offset(known), ReadLimit::default()).await?;
            if page.is_empty() {
                return Ok(());
            }
            let mut events = self.events();
            let events = events.entry(at).or_default();
            for event in page.iter() {
                // another may have learned it meanwhile
                if events.last().is_none_or(|last| last.offset < event.meta.offset.0) {
                    events.push(Event { offset: event.meta.offset.0, bytes: event.meta.bytes() as u64 });
                }
            }
        }
    }

    /// The number of events that were ever before an offset in Kafka.
    fn number(&self, at: At, offset: Offset) -> Offset {
        let events = self.events();
        Offset(events.get(&at).map_or(0, |events| events.partition_point(|known| known.offset < offset.0))
            as u64)
    }

    /// The offset in Kafka of an event, or one that no event has yet.
    fn offset(&self, at: At, number: Offset) -> Offset {
        let events = self.events();
        let known = events.get(&at).map_or(&[][..], Vec::as_slice);
        let end = known.last().map_or(0, |last| last.offset + 1);
        let index = usize::try_from(number.0).expect("numbers are small");
        let event = known.get(index).map(|event| event.offset);
        Offset(event.unwrap_or_else(|| end + (index.saturating_sub(known.len())) as u64))
    }

    /// A group's position as the store has it. What a position counts is the store's affair but for the earliest offset,
    /// so only that, and what comes after it, is moved.
    fn position_there(&self, group: &GroupName, at: At, position: Offset) -> Offset {
        match self.begun().get(&(group.clone(), at)) {
            Some((number, offset)) if position.0 >= *number => Offset(position.0 - number + offset),
            _ => position,
        }
    }

    fn position_here(&self, group: &GroupName, at: At, position: Offset) -> Offset {
        match self.begun().get(&(group.clone(), at)) {
            Some((number, offset)) if position.0 >= *offset => Offset(position.0 - offset + number),
            _ => position,
        }
    }

    fn transaction_there(&self, transaction: &Transaction) -> Transaction {
        let mut there_is = transaction.clone();
        there_is.appends = transaction.appends.iter().map(records_there).collect();
        if let Some(Fence { group, at, epoch }) = &transaction.fence {
            there_is.fence = Some(Fence { group: group.clone(), at: there(*at), epoch: epoch_there(*epoch) });
            there_is.advance = transaction.advance.map(|advance| Advance {
                from: self.position_there(group, *at, advance.from),
                to: self.position_there(group, *at, advance.to),
            });
        }
        there_is
    }

    async fn receipt_here(&self, mut receipt: Receipt) -> Receipt {
        for (at, base, _) in &mut receipt.bases {
            *at = here(*at);
            self.learn(*at).await.expect("what is committed can be read");
            *base = self.number(*at, *base);
        }
        receipt
    }

    fn error_here(&self, error: CommitError, fence: Option<&Fence>) -> CommitError {
        match (error, fence) {
            (CommitError::Moved(position), Some(fence)) => {
                CommitError::Moved(self.position_here(&fence.group, fence.at, position))
            }
            (CommitError::Rejected(Rejection::NoTopic { topic, partition }), _) => {
                CommitError::Rejected(Rejection::NoTopic { topic: topic_here(topic), partition })
            }
            (CommitError::Fenced(epoch), _) => CommitError::Fenced(epoch_here(epoch)),
            (error, _) => error,
        }
    }

    fn log_error_here(&self, at: At, error: LogError) -> LogError {
        match error {
            LogError::Trimmed { earliest } => LogError::Trimmed { earliest: self.number(at, earliest) },
            LogError::NoTopic(_) => {
                LogError::NoTopic(format!("{} with a partition {}", at.topic.0, at.partition))
            }
            error => error,
        }
    }

    async fn info_here(&self, mut info: TopicInfo) -> Result<TopicInfo, LogError> {
        info.id = topic_here(info.id);
        let partitions: Vec<_> = info.partitions().collect();
        for (index, at) in partitions.into_iter().enumerate() {
            self.learn(at).await?;
            // Kafka does not tell them
            let events = self.events();
            let kept = events[&at].iter().filter(|event| event.offset >= info.earliest[index].0);
            info.bytes += kept.map(|event| event.bytes).sum::<u64>();
            drop(events);
            info.earliest[index] = self.number(at, info.earliest[index]);
            info.tail[index] = self.number(at, info.tail[index]);
        }
        Ok(info)
    }

    fn change_here(&self, group: &GroupName, change: &Change) -> Change {
        match *change {
            Change::Assigned { at, epoch, position, incarnation, unclean } => {
                let at = here(at);
                let position = self.position_here(group, at, position);
                Change::Assigned { at, epoch: epoch_here(epoch), position, incarnation, unclean }
            }
            Change::Revoking { at, within } => Change::Revoking { at: here(at), within },
            Change::Lost { at } => Change::Lost { at: here(at) },
        }
    }
}

#[async_trait::async_trait]
impl Log for Dense {
    fn capabilities(&self) -> &Capabilities {
        self.0.log.capabilities()
    }

    async fn create_topic(&self, spec: &TopicSpec) -> Result<TopicInfo, LogError> {
        self.0.info_here(self.0.log.create_topic(spec).await?).await
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        let mut infos = Vec::new();
        for info in self.0.log.topics().await? {
            infos.push(self.0.info_here(info).await?);
        }
        Ok(infos)
    }

    fn commit(&self, transaction: Arc<Transaction>) -> Commit {
        let commit = self.0.log.commit(Arc::new(self.0.transaction_there(&transaction)));
        let (done, outcome) = Commit::channel();
        let inner = self.0.clone();
        in_background(async move {
            let outcome = match commit.await {
                Ok(receipt) => Ok(inner.receipt_here(receipt).await),
                Err(error) => Err(inner.error_here(error, transaction.fence.as_ref())),
            };
            done.send(outcome).expect("the model's test waits for it");
        });
        outcome
    }

    async fn read(&self, at: At, from: Offset, max: ReadLimit) -> Result<Records, LogError> {
        let read = self.0.log.read(there(at), self.0.offset(at, from), max).await;
        let read = read.map_err(|error| self.0.log_error_here(at, error))?;
        let mut records = RecordsBuilder::default();
        for event in read.iter() {
            let number = self.0.number(at, event.meta.offset);
            let (time, headers) = (event.meta.time, event.headers_encoded());
            records.push_encoded(at, number, time, event.key(), event.value(), headers);
        }
        Ok(records.build())
    }

    async fn offset_at(&self, at: At, time: Millis) -> Result<Offset, LogError> {
        let found = self.0.log.offset_at(there(at), time).await;
        Ok(self.0.number(at, found.map_err(|error| self.0.log_error_here(at, error))?))
    }

    fn watch(&self) -> watch::Receiver<Hint> {
        let hint = self.0.log.watch().borrow().clone();
        let tails = hint.tails.into_iter().map(|(at, tail)| (here(at), self.0.number(here(at), tail)));
        watch::channel(Hint { tails: tails.collect(), ..hint }).1
    }

    async fn get(&self, keys: &[StateKey]) -> Result<Vec<Option<Versioned>>, LogError> {
        self.0.log.get(keys).await
    }

    async fn scan(&self, range: &StateRange, limit: u32) -> Result<ScanPage, LogError> {
        self.0.log.scan(range, limit).await
    }

    async fn join(&self, group: &GroupName, start: &[(At, Offset)]) -> Result<Membership, LogError> {
        let known = self.positions(Some(group)).await?;
        let start_there: Vec<_> = start.iter().map(|(at, offset)| (there(*at), *offset)).collect();
        let joined = self.0.log.join(group, &start_there).await;
        let membership = joined.map_err(|error| self.0.log_error_here(start[0].0, error))?;
        for begun in self.0.log.positions(Some(group)).await? {
            let at = here(begun.at);
            let is_given = known.is_empty() && start.iter().any(|(given, _)| *given == at);
            if !is_given && !known.iter().any(|position| position.at == at) {
                let number = self.0.number(at, begun.position);
                self.0.begun().insert((group.clone(), at), (number.0, begun.position.0));
            }
        }
        Ok(forward(self.0.clone(), group.clone(), membership))
    }

    async fn positions(&self, group: Option<&GroupName>) -> Result<Vec<GroupPosition>, LogError> {
        let mut positions = self.0.log.positions(group).await?;
        positions.retain(|position| position.at.topic.0 >= OWN_TOPICS);
        for position in &mut positions {
            position.at = here(position.at);
            position.epoch = epoch_here(position.epoch);
            position.position = self.0.position_here(&position.group, position.at, position.position);
        }
        Ok(positions)
    }

    async fn forget(&self, group: &GroupName) -> Result<(), LogError> {
        self.0.log.forget(group).await?;
        self.0.begun().retain(|(begun, _), _| begun != group);
        Ok(())
    }

    async fn trim(&self, at: At, before: Offset) -> Result<Offset, LogError> {
        let trimmed = self.0.log.trim(there(at), self.0.offset(at, before)).await;
        Ok(self.0.number(at, trimmed.map_err(|error| self.0.log_error_here(at, error))?))
    }

    async fn close(&self) -> Result<(), LogError> {
        self.0.log.close().await
    }
}

/// A membership whose partitions and positions are the model's.
fn forward(inner: Arc<Inner>, group: GroupName, mut there_is: Membership) -> Membership {
    let (changed, changes) = mpsc::channel(64);
    let (ends, mut ended) = mpsc::channel(64);
    in_background(async move {
        loop {
            tokio::select! {
                biased;
                Some(change) = there_is.changes.recv() => {
                    // a member that has gone hears nothing
                    changed.send(inner.change_here(&group, &change)).await.unwrap_or(());
                }
                Some(end) = ended.recv() => match end {
                    MembershipEnd::Release(at, epoch, done) => {
                        done.send(there_is.release(there(at), epoch_there(epoch)).await).expect("it waits");
                    }
                    MembershipEnd::Settled(at, epoch, done) => {
                        done.send(there_is.settled(there(at), epoch_there(epoch)).await).expect("it waits");
                    }
                },
                () = changed.closed() => return,
            }
        }
    });
    Membership::new(changes, ends)
}

#[expect(clippy::disallowed_methods, reason = "it ends with the case's runtime")]
fn in_background(work: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(work));
}

fn records_there(records: &Records) -> Records {
    let mut moved = RecordsBuilder::default();
    for record in records.iter() {
        moved.push(there(record.meta.at), record.key(), record.value(), record.headers());
    }
    moved.build()
}
