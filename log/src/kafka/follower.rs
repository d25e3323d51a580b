//! The thread that follows every partition: what it has read is visible to all.

use super::clients::{ANSWER, BREATH, Clients, Consumer, patiently};
use super::error::{Words, is_silence, is_unknown};
use super::met::Met;
use super::mirror::{Topic, number, offset};
use super::placing::Placing;
use super::shared::Shared;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset as Place, TopicPartitionList};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use weir_schema::{At, Millis, Offset};

/// How far before its end a partition is looked at for its last event: behind it there are only marks of transactions.
const BACK: u64 = 64;
/// How long the thread waits for an event before it sees whether it is asked something.
const POLL: Duration = Duration::from_millis(20);
/// How long a partition's leader may take to answer until it is looked for again.
const LEADERS_ANSWER: Duration = Duration::from_secs(2);
/// How long it may take to get to the end of what was there.
const CATCH_UP: Duration = Duration::from_secs(2);

/// Follows partitions from the end on. Stops when it is dropped.
pub(super) struct Follower {
    consumer: Arc<Consumer>,
    /// Asks where partitions begin and end: a question on the other's connection would wait behind its fetches.
    asker: Consumer,
    shared: Arc<Shared>,
    signs: Arc<Signs>,
}

#[derive(Default)]
struct Signs {
    stop: AtomicBool,
    /// Someone wants to know how far it has come.
    asked: AtomicBool,
}

impl Follower {
    pub(super) fn open(clients: &Clients, shared: Arc<Shared>) -> Result<Self, KafkaError> {
        let consumer = clients.consumer(&[
            // so that it is known when events may have been passed over
            ("auto.offset.reset", "error"),
            // a partition that is added waits for the fetch that is on its way
            ("fetch.wait.max.ms", "100"),
            ("queued.max.messages.kbytes", "4096"),
            ("fetch.queue.backoff.ms", "5"),
        ])?;
        let (consumer, asker) = (Arc::new(consumer), clients.consumer(&[])?);
        let follower = Self { consumer, asker, shared, signs: Arc::default() };
        let (consumer, shared, signs) =
            (follower.consumer.clone(), follower.shared.clone(), follower.signs.clone());
        let words = clients.words.clone();
        let work = move || follow(&consumer, &shared, &signs, &words);
        std::thread::Builder::new()
            .name("weir-kafka-tails".into())
            .spawn(work)
            .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(follower)
    }

    /// Follows a topic's partitions, those of them that it does not follow yet.
    pub(super) fn add(&self, topic: &Topic) -> Result<(), KafkaError> {
        let followed = self.consumer.assignment()?;
        let mut places = TopicPartitionList::new();
        for (at, partition) in topic.partitions() {
            if followed.find_partition(&topic.name, partition).is_some() {
                continue;
            }
            let (low, end) = self.window(topic, at)?;
            if low == end {
                self.shared.tails.begin(&[(at, end)]);
            }
            let from = low.0.max(end.0.saturating_sub(BACK));
            places.add_partition_offset(&topic.name, partition, Place::Offset(from.cast_signed()))?;
        }
        if places.count() > 0 {
            topic.partitions().for_each(|(at, _)| self.shared.recent.forget(at));
            self.consumer.incremental_assign(&places)?;
        }
        Ok(())
    }

    /// Follows a partition no more.
    pub(super) fn remove(&self, topic: &Topic, at: At) -> Result<(), KafkaError> {
        let partition = number(at.partition);
        if self.consumer.assignment()?.find_partition(&topic.name, partition).is_none() {
            return Ok(());
        }
        let mut places = TopicPartitionList::new();
        places.add_partition(&topic.name, partition);
        self.consumer.incremental_unassign(&places)?;
        self.shared.recent.forget(at);
        Ok(())
    }

    /// The earliest offset that a partition keeps, and the first that cannot be read yet.
    pub(super) fn window(&self, topic: &Topic, at: At) -> Result<(Offset, Offset), KafkaError> {
        let ask = |within| self.asker.fetch_watermarks(&topic.name, number(at.partition), within);
        let (low, end) = self.ask_leader(&topic.name, ask)?;
        Ok((offset(low), offset(end)))
    }

    /// The offset of the first event that is not earlier than `time`; none: there is none.
    pub(super) fn offset_at(
        &self,
        topic: &Topic,
        at: At,
        time: Millis,
    ) -> Result<Option<Offset>, KafkaError> {
        let (name, partition) = (topic.name.as_str(), number(at.partition));
        let mut times = TopicPartitionList::new();
        times.add_partition_offset(name, partition, Place::Offset(time.0.max(0)))?;
        let found = self.ask_leader(name, |within| self.asker.offsets_for_times(times.clone(), within))?;
        Ok(match found.find_partition(name, partition).map(|element| element.offset()) {
            Some(Place::Offset(found)) => Some(offset(found)),
            _ => None,
        })
    }

    /// Asks whoever leads a topic's partition. One that is silent may lead it no more, and what the client knows of a new topic,
    /// or of one that is between two leaders, may be nothing: it looks again then, which it does not do by itself.
    fn ask_leader<T>(
        &self,
        topic: &str,
        ask: impl Fn(Duration) -> Result<T, KafkaError>,
    ) -> Result<T, KafkaError> {
        let patience = Instant::now() + ANSWER;
        loop {
            match patiently(|| ask(LEADERS_ANSWER)) {
                Err(error) if may_be_outdated(&error) && Instant::now() < patience => {
                    std::thread::sleep(BREATH);
                    for client in [&self.asker, &*self.consumer] {
                        client.fetch_metadata(Some(topic), ANSWER)?;
                    }
                }
                answer => return answer,
            }
        }
    }

    /// The tail of a partition that can be read up to `end`: waits until what is there has been seen.
    pub(super) fn tail(&self, at: At, end: Offset) -> Offset {
        let patience = Instant::now() + CATCH_UP;
        loop {
            let is_late = Instant::now() > patience;
            let known = self.shared.tails.settled(at, end).or_else(|| is_late.then_some(end));
            if let Some(tail) = known {
                self.shared.tails.begin(&[(at, tail)]);
                return tail;
            }
            self.signs.asked.store(true, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn follow(consumer: &Consumer, shared: &Shared, signs: &Signs, words: &Words) {
    let (mut is_denied, mut is_lost) = (false, false);
    let (mut met, mut placing) = (Met::default(), Placing::default());
    while !signs.stop.load(Ordering::SeqCst) {
        let wait = if met.is_empty() { POLL } else { Duration::ZERO };
        let polled =
            consumer.poll(wait).map(|polled| polled.inspect(|event| placing.look(&shared.mirror, event)));
        match polled {
            Some(Ok(event)) if !met.add(shared, &event) => continue,
            Some(Ok(_)) => {}
            Some(Err(error)) if has_lost_its_place(&error) => is_lost = true,
            Some(Err(error)) if !is_denied && words.right(&error).is_some() => {
                is_denied = true;
                tracing::error!(
                    error = words.explain(&error),
                    "a topic cannot be followed: nothing of it is seen"
                );
            }
            // the client goes on by itself
            Some(Err(error)) => tracing::debug!(%error, "a partition cannot be followed for now"),
            None => {}
        }
        met.pass_on(shared);
        if is_lost {
            shared.recent.forget_all();
            is_lost =
                find_places(consumer).inspect_err(|error| tracing::debug!(%error, "asking again")).is_err();
        }
        if signs.asked.swap(false, Ordering::SeqCst)
            && let Ok(positions) = consumer.position()
        {
            shared.tails.cover(&covered(shared, &positions));
        }
    }
}

/// Whether the events that come next in a partition are gone: it was trimmed or made anew, or its brokers have lost some.
fn has_lost_its_place(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(code, Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::LogTruncation))
}

/// Goes on in every partition: which one has stopped is not told. One that does not have the event that would be next is read from its
/// first.
fn find_places(consumer: &Consumer) -> Result<(), KafkaError> {
    let positions = consumer.position()?;
    // one that is not found keeps none of the others
    positions.elements().iter().map(|element| find_place(consumer, element)).fold(Ok(()), Result::and)
}

fn find_place(consumer: &Consumer, element: &TopicPartitionListElem<'_>) -> Result<(), KafkaError> {
    let (topic, partition) = (element.topic(), element.partition());
    let (low, end) = match consumer.fetch_watermarks(topic, partition, LEADERS_ANSWER) {
        // it is gone, and is followed anew when it is back
        Err(error) if is_unknown(&error) => return Ok(()),
        window => window?,
    };
    let place = match element.offset() {
        // it may be the one that has stopped, at an end that its brokers did not know for a moment
        Place::Offset(next) if (low..=end).contains(&next) => next,
        Place::Offset(_) => low,
        // nothing of it was read yet
        _ => low.max(end.saturating_sub(BACK.cast_signed())),
    };
    consumer.seek(topic, partition, Place::Offset(place), LEADERS_ANSWER)
}

fn may_be_outdated(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    is_silence(error)
        || matches!(code, Some(RDKafkaErrorCode::UnknownPartition | RDKafkaErrorCode::UnknownTopic))
}

fn covered(shared: &Shared, positions: &TopicPartitionList) -> Vec<(At, Offset)> {
    let elements = positions.elements();
    let covered = elements.iter().filter_map(|element| {
        let Place::Offset(position) = element.offset() else { return None };
        let topic = shared.mirror.id(element.topic())?;
        Some((At { topic, partition: u32::try_from(element.partition()).ok()? }, offset(position)))
    });
    covered.collect()
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.signs.stop.store(true, Ordering::SeqCst);
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").finish_non_exhaustive()
    }
}
