//! One turn of the relay: from an assignment of the lease until it goes.
//!
//! Transactions go by two transactors in turns, so that none waits until the marks of the one before it are written. Where as many
//! rows wait as go into one, the next begins and sends its events while the last is being committed; its own commit is asked
//! for when that has succeeded. So Kafka has transactions in the order of their rows, and what has been sent behind one that fails is
//! never committed.

use super::record;
use super::refused::{Aside, Origin, Refused};
use super::transactor::{Outgoing, Transactor, Undelivered};
use super::{Relay, group};
use crate::kafka::mirror::Topic;
use crate::kafka::outbox::{self, Row};
use crate::kafka::relayed::Bases;
use crate::{BoxError, ReadLimit};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use weir_schema::{At, Epoch, Millis, Offset, Records, TopicId, WriterId};

/// How much of the outbox goes into one transaction of Kafka's.
const BATCH: ReadLimit = ReadLimit { events: 1000, bytes: 4 << 20 };
/// How often the store is looked at where nothing is heard of it.
const LOOK: Duration = Duration::from_millis(200);
/// After so many looks in vain it is idle.
const IDLE_LOOKS: u32 = 25;
/// How long it waits after a failure.
const PAUSE: Duration = Duration::from_millis(200);
/// So many rows that are in Kafka may be left in the outbox.
const LEFT: u64 = 4096;

/// See the module's docs.
pub(super) struct Session {
    relay: Relay,
    epoch: Epoch,
    stop: CancellationToken,
    /// What is being committed, while the next one begins.
    committing: Option<oneshot::Receiver<Result<(), Unsure>>>,
    /// A batch whose commit failed: the number that it records, and where its events would be.
    unsure: Option<(u64, Arrived)>,
    /// Topics that other processes have made.
    others: HashMap<TopicId, Arc<Topic>>,
    /// Rows below are removed, or about to be.
    trimmed: u64,
    refused: Refused,
}

/// Where transactions came to be, by the numbers of their last rows.
#[derive(Default)]
struct Arrived {
    /// Those that this process waits for.
    here: Vec<(u64, Bases)>,
    elsewhere: Vec<(u64, Bases)>,
}

/// A commit that failed: why, and of what.
struct Unsure {
    error: BoxError,
    batch: (u64, Arrived),
}

/// Rows of the outbox, whole transactions only.
struct Batch {
    rows: Vec<(u64, Row)>,
    /// The number of the first row that is not in it.
    end: u64,
}

impl Session {
    pub(super) fn new(relay: Relay, epoch: Epoch, stop: CancellationToken) -> Self {
        let (others, refused) = (HashMap::new(), Refused::default());
        Self { relay, epoch, stop, committing: None, unsure: None, others, trimmed: 0, refused }
    }

    /// Relays until it is told to stop, or the lease has gone to another.
    pub(super) fn run(mut self) {
        self.relay_until_it_goes();
        // whatever held it up is another's now
        self.relay.shared.hold_up(None);
    }

    fn relay_until_it_goes(&mut self) {
        loop {
            let Err(error) = self.relay_all() else {
                if self.stop.is_cancelled() {
                    return;
                }
                continue;
            };
            if self.stop.is_cancelled() || !self.is_owner() {
                return;
            }
            if is_fenced(&error) {
                // another has sent the same rows, and they are elsewhere
                self.unsure = None;
            }
            let undelivered = error.downcast_ref::<Undelivered>();
            if undelivered
                .is_some_and(|undelivered| self.refused.note(undelivered, &self.relay.clients.words))
            {
                // without it, or so that its own error is told
                continue;
            }
            let words = match error.downcast_ref::<KafkaError>() {
                Some(error) => self.relay.clients.words.explain(error),
                None => error.to_string(),
            };
            if self.relay.shared.hold_up(Some(&words)) {
                tracing::warn!(error = words, "what is committed does not reach Kafka; trying again");
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Whether the lease is still this session's, as far as the store tells.
    fn is_owner(&self) -> bool {
        let group = group();
        let positions = self.relay.handle.block_on(self.relay.store.positions(Some(&group)));
        positions.map_or(true, |positions| positions.iter().all(|p| p.epoch == self.epoch))
    }

    /// Relays until it is told to stop, or is to begin anew.
    fn relay_all(&mut self) -> Result<(), BoxError> {
        let (clients, singly) = (self.relay.clients.clone(), self.refused.singly);
        let batch = self.relay.shared.limits.batch(clients.batch());
        let transactors = Transactor::open(&clients, batch, singly, &self.stop)?;
        let next = self.begin(record::reached(&clients)??)?;
        let relayed = self.relay_from(next, &transactors);
        // an error of what is being committed comes first: what follows it was begun for nothing
        self.settle().and(relayed)
    }

    fn relay_from(&mut self, mut next: u64, transactors: &[Arc<Transactor>; 2]) -> Result<(), BoxError> {
        let mut over = next;
        for transactor in transactors.iter().cycle() {
            let Some(batch) = self.gather(next)? else { break };
            let arrived = self.produce(transactor, &batch)?;
            // this transactor's last one is over, and its number there for everybody
            if over.saturating_sub(self.trimmed) >= LEFT {
                self.tidy(over);
            }
            self.settle()?;
            self.refused.forget(next);
            (over, next) = (next, batch.end);
            self.commit(transactor.clone(), (next, arrived), batch.time())?;
            if std::mem::take(&mut self.refused.singly) {
                // the next ones go together again
                break;
            }
        }
        Ok(())
    }

    /// Commits what a transactor has begun, and tells whoever waits for it.
    fn commit(
        &mut self,
        transactor: Arc<Transactor>,
        batch: (u64, Arrived),
        time: Millis,
    ) -> Result<(), BoxError> {
        let (relay, stop) = (self.relay.clone(), self.stop.clone());
        let (tell, committing) = oneshot::channel();
        let work = move || {
            let committed = match transactor.commit(&stop) {
                Ok(()) => {
                    relay.committed(batch, time);
                    Ok(())
                }
                Err(error) => Err(Unsure { error, batch }),
            };
            // the session may have ended
            drop(tell.send(committed));
        };
        // a thread of its own: those that serve everything else may all wait for what this brings
        std::thread::Builder::new().name("weir-kafka-commit".into()).spawn(work)?;
        self.committing = Some(committing);
        Ok(())
    }

    /// Waits until what is being committed is.
    fn settle(&mut self) -> Result<(), BoxError> {
        let Some(committing) = self.committing.take() else { return Ok(()) };
        let committed = self.relay.handle.block_on(committing);
        self.settled(committed)
    }

    fn settled(
        &mut self,
        committed: Result<Result<(), Unsure>, oneshot::error::RecvError>,
    ) -> Result<(), BoxError> {
        committed?.map_err(|Unsure { error, batch }| {
            self.unsure = Some(batch);
            error
        })
    }

    /// The first row that is not in Kafka.
    fn begin(&mut self, reached: Option<u64>) -> Result<u64, BoxError> {
        let topics = self.relay.handle.block_on(self.relay.store.topics())?;
        let outbox = topics.iter().find(|topic| topic.id == self.relay.outbox.topic);
        let outbox = outbox.ok_or("the store has lost its outbox")?;
        let next = first(reached, outbox.earliest[0].0, outbox.tail[0].0)?;
        let unsure = self.unsure.take().filter(|(end, _)| *end <= next);
        self.relay.arrived(next, unsure.map(|(_, arrived)| arrived).unwrap_or_default(), Millis(0));
        Ok(next)
    }

    /// A topic, whoever has made it.
    fn topic(&mut self, at: At) -> Result<Arc<Topic>, BoxError> {
        let known = self.relay.shared.mirror.topic(at).or_else(|| self.others.get(&at.topic).cloned());
        if let Some(topic) = known {
            return Ok(topic);
        }
        for info in self.relay.handle.block_on(self.relay.store.topics())? {
            self.others.insert(info.id, Arc::new(self.relay.shared.mirror.named(&info)));
        }
        Ok(self.others.get(&at.topic).cloned().ok_or_else(|| crate::topic::no_topic(at))?)
    }

    /// Waits for rows from `next` on; none when it is to stop.
    fn gather(&mut self, next: u64) -> Result<Option<Batch>, BoxError> {
        let (relay, stop) = (self.relay.clone(), self.stop.clone());
        let mut news = relay.store.watch();
        relay.handle.block_on(async {
            let (mut batch, mut looks) = (Batch { rows: Vec::new(), end: next }, 0);
            loop {
                let read = relay.store.read(relay.outbox, Offset(batch.end), BATCH);
                let Some(records) = stop.run_until_cancelled(read).await else { return Ok(None) };
                let records = records?;
                batch.add(&records)?;
                let is_full = records.len() >= BATCH.events || records.bytes() >= BATCH.bytes;
                if !is_full && let Some(committing) = self.committing.take() {
                    // a transaction costs the same whatever is in it: what comes meanwhile goes along
                    self.settled(committing.await)?;
                    continue;
                }
                if batch.is_whole() && !batch.rows.is_empty() {
                    return Ok(Some(batch));
                }
                if !batch.rows.is_empty() {
                    continue;
                }
                match stop.run_until_cancelled(tokio::time::timeout(LOOK, news.changed())).await {
                    None => return Ok(None),
                    Some(Ok(_)) => {}
                    Some(Err(_)) if looks >= IDLE_LOOKS => self.tidy(next),
                    Some(Err(_)) => looks += 1,
                }
            }
        })
    }

    /// Begins a transaction with a batch; returns where its events are when it is committed.
    fn produce(&mut self, transactor: &Transactor, batch: &Batch) -> Result<Arrived, BoxError> {
        let (mut events, mut aside) = (Vec::new(), Vec::new());
        for (number, row) in &batch.rows {
            for (index, event) in row.events.iter().enumerate() {
                let (at, origin) = (event.meta.at, (*number, index));
                if row.is_again {
                    self.refused.insist(*number, at);
                }
                let topic = self.topic(at)?;
                if let Some(why) = self.refused.why(origin, at) {
                    let topic = topic.spec.name.to_string();
                    aside.push(Aside { origin, topic, event, time: row.time, why });
                    continue;
                }
                let time = self.relay.shared.times.stamp(at, row.time, |time| time);
                events.push(Outgoing { origin, topic, event, time });
            }
        }
        // before the number passes them
        self.relay.handle.block_on(self.relay.set_aside(&aside))?;
        let offsets = transactor.begin(&events, batch.end, &self.stop)?;
        let offsets: Vec<_> = events.iter().map(|event| event.origin).zip(offsets).collect();
        Ok(batch.arrived(&offsets, self.relay.writer))
    }

    /// Removes the rows below `reached`, which are in Kafka.
    fn tidy(&mut self, reached: u64) {
        if reached == self.trimmed {
            return;
        }
        self.trimmed = reached;
        let (store, outbox) = (self.relay.store.clone(), self.relay.outbox);
        drop(self.relay.handle.spawn(async move {
            if let Err(error) = store.trim(outbox, Offset(reached)).await {
                tracing::debug!(%error, "rows that are in Kafka stay in the outbox for now");
            }
        }));
    }
}

impl Relay {
    /// Tells whoever waits for a batch that it is in Kafka.
    fn committed(&self, (next, arrived): (u64, Arrived), time: Millis) {
        if self.shared.hold_up(None) {
            tracing::info!("what is committed reaches Kafka again");
        }
        self.arrived(next, arrived, time);
    }

    /// Tells whoever waits that the rows below `next` are in Kafka.
    fn arrived(&self, next: u64, arrived: Arrived, time: Millis) {
        let Arrived { here, elsewhere } = arrived;
        self.shared.relayed.arrive(next, here);
        if elsewhere.is_empty() {
            return;
        }
        let relay = self.clone();
        drop(self.handle.spawn(async move {
            if let Err(error) = relay.tell(&elsewhere, time).await {
                tracing::debug!(%error, "another process finds out by itself what is in Kafka");
            }
        }));
    }
}

/// Whether another has opened the relay's name.
fn is_fenced(error: &BoxError) -> bool {
    let undelivered = error.downcast_ref::<Undelivered>().map(|undelivered| &undelivered.error);
    let code = error.downcast_ref::<KafkaError>().or(undelivered).and_then(KafkaError::rdkafka_error_code);
    matches!(
        code,
        Some(
            RDKafkaErrorCode::Fenced
                | RDKafkaErrorCode::ProducerFenced
                | RDKafkaErrorCode::InvalidProducerEpoch
        )
    )
}

/// The first row that is not in Kafka, by the number that Kafka has and the rows that the store has.
pub(in crate::kafka) fn first(reached: Option<u64>, earliest: u64, tail: u64) -> Result<u64, String> {
    match reached {
        Some(reached) if reached > tail => Err(format!(
            "Kafka has {reached} transactions of this log, and the store has committed {tail}: the store is an older one. \
             Bring the right one back, or give this log another topicPrefix"
        )),
        Some(reached) if reached < earliest => Err(format!(
            "Kafka has {reached} transactions of this log, and the store has let go of {earliest}: the brokers have lost \
             events, or are others. Bring the right ones back, or give this log another store"
        )),
        Some(reached) => Ok(reached),
        None if earliest == 0 || earliest == tail => Ok(earliest),
        None => Err(format!(
            "Kafka does not know how many transactions of this log it has (its topic ___relay says so, and is empty), and the \
             store has {} that may be there or not",
            tail - earliest
        )),
    }
}

impl Batch {
    fn add(&mut self, records: &Records) -> Result<(), BoxError> {
        for record in records.iter() {
            let row = record.value().and_then(outbox::unpack);
            let row = row.ok_or_else(|| format!("row {} of the outbox is damaged", record.meta.offset))?;
            self.rows.push((record.meta.offset.0, row));
            self.end = record.meta.offset.next().0;
        }
        Ok(())
    }

    /// When it was committed.
    fn time(&self) -> Millis {
        self.rows.last().map_or(Millis(0), |(_, row)| row.time)
    }

    fn is_whole(&self) -> bool {
        self.rows.last().is_none_or(|(_, row)| row.is_last)
    }

    /// Where the transactions came to be, those that `writer` waits for apart from the others'. An event without an offset
    /// was set aside.
    fn arrived(&self, offsets: &[(Origin, Offset)], writer: WriterId) -> Arrived {
        let (mut arrived, mut bases) = (Arrived::default(), Bases::new());
        let mut offsets = offsets.iter().peekable();
        for (number, row) in &self.rows {
            for (index, event) in row.events.iter().enumerate() {
                if let Some((_, offset)) = offsets.next_if(|(origin, _)| *origin == (*number, index)) {
                    crate::topic::extend_runs(&mut bases, event.meta.at, *offset);
                }
            }
            if row.is_last {
                let bases = std::mem::take(&mut bases);
                let whose = if row.writer == writer { &mut arrived.here } else { &mut arrived.elsewhere };
                whose.push((*number, bases));
            }
        }
        arrived
    }
}

#[cfg(test)]
mod tests {
    use super::first;

    #[test]
    fn a_relay_goes_on_from_the_number_that_kafka_has() {
        assert_eq!(first(None, 0, 0), Ok(0));
        assert_eq!(first(None, 0, 5), Ok(0), "nothing was ever recorded, so nothing was sent");
        assert_eq!(first(Some(3), 0, 5), Ok(3));
        assert_eq!(first(Some(5), 5, 5), Ok(5));
        assert_eq!(first(None, 5, 5), Ok(5), "the number is gone, and everything was sent");
    }

    #[test]
    fn a_store_and_brokers_that_do_not_belong_together_are_not_guessed_about() {
        assert!(first(Some(6), 0, 5).expect_err("the store is older").contains("topicPrefix"));
        assert!(first(Some(2), 3, 5).expect_err("the brokers are others").contains("another store"));
        assert!(first(None, 3, 5).expect_err("it may be there or not").contains("___relay"));
    }
}
