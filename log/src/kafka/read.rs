//! Reads from any offset: a few consumers that go on where they stand, or are put where a read begins.

use super::clients::{ANSWER, Clients, Consumer};
use super::error::is_silence;
use super::mirror::{Topic, number, offset};
use crate::ReadLimit;
use bytes::BytesMut;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::{Offset as Place, TopicPartitionList};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use weir_schema::{At, Headers, Millis, Offset, Records, RecordsBuilder};

/// How many consumers are kept.
const KEPT: usize = 8;
/// How long one waits for news at a time.
const POLL: Duration = Duration::from_millis(50);

/// The consumers that nobody reads with now, the one that was used last at the end.
#[derive(Debug)]
pub(super) struct Readers {
    clients: Clients,
    idle: Mutex<Vec<Reader>>,
}

/// A consumer and where it stands.
struct Reader {
    consumer: Consumer,
    /// Where its next event is from.
    place: Option<(At, Offset)>,
    /// An event that it has read, and that did not fit.
    held: Option<OwnedMessage>,
}

/// Where a read begins and ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) at: At,
    pub(super) from: Offset,
    /// What comes from here on cannot be read yet.
    pub(super) end: Offset,
}

impl Readers {
    pub(super) fn new(clients: Clients) -> Self {
        Self { clients, idle: Mutex::default() }
    }

    /// The events of a range that are there: Kafka has gaps.
    pub(super) fn read(&self, topic: &Topic, range: Range, max: ReadLimit) -> Result<Records, KafkaError> {
        let mut reader = self.take(range)?;
        let read = reader.read(topic, range, max);
        let mut idle = self.lock();
        idle.push(reader);
        let superfluous = (idle.len() > KEPT).then(|| idle.remove(0));
        drop(idle);
        // takes a while
        drop(superfluous);
        read
    }

    /// The reader that stands where the range begins; else a new one, or the one that was used longest ago.
    fn take(&self, range: Range) -> Result<Reader, KafkaError> {
        let mut idle = self.lock();
        if let Some(index) = idle.iter().position(|reader| reader.place == Some((range.at, range.from))) {
            return Ok(idle.remove(index));
        }
        if idle.len() >= KEPT {
            return Ok(idle.remove(0));
        }
        drop(idle);
        let consumer = self.clients.consumer(&[
            ("enable.partition.eof", "true"),
            ("auto.offset.reset", "error"),
            ("fetch.wait.max.ms", "10"),
            ("queued.max.messages.kbytes", "4096"),
            ("fetch.queue.backoff.ms", "5"),
        ])?;
        Ok(Reader { consumer, place: None, held: None })
    }

    /// Whether a reader stands at an offset.
    pub(super) fn has_come_to(&self, at: At, offset: Offset) -> bool {
        self.lock().iter().any(|reader| reader.place == Some((at, offset)))
    }

    /// Lets go of what was read ahead of a partition.
    pub(super) fn forget(&self, at: At) {
        for reader in self.lock().iter_mut().filter(|reader| reader.place.is_some_and(|(of, _)| of == at)) {
            (reader.place, reader.held) = (None, None);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    fn read(&mut self, topic: &Topic, range: Range, max: ReadLimit) -> Result<Records, KafkaError> {
        let is_there = self.place.take() == Some((range.at, range.from));
        let held = self.held.take().filter(|_| is_there);
        if !is_there {
            self.put(topic, range.at, range.from)?;
        }
        let mut page = Page { records: RecordsBuilder::default(), next: range.from, range, max };
        if let Some(held) = held {
            page.add(&held);
        }
        let (mut is_fresh, mut is_over, patience) = (!is_there, false, Instant::now() + ANSWER);
        while !page.is_full() {
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    if !page.add(&message) {
                        self.held = Some(message.detach());
                        break;
                    }
                }
                // of one that was there before, it may be the end that it had come to then
                Some(Err(KafkaError::PartitionEOF(_))) if is_fresh || !page.records.is_empty() => {
                    is_over = true;
                    break;
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                // the client connects again by itself; what it says may be of connections that were lost long ago
                Some(Err(error)) if is_silence(&error) && Instant::now() < patience => {}
                Some(Err(error)) => return Err(error),
                None if Instant::now() > patience => {
                    return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
                }
                None if is_fresh => {}
                None => {
                    self.put(topic, range.at, page.next)?;
                    is_fresh = true;
                }
            }
        }
        if is_over || page.next >= range.end {
            // it would go on asking for news
            self.consumer.unassign()?;
        } else {
            self.place = Some((range.at, page.next));
        }
        Ok(page.records.build())
    }

    fn put(&self, topic: &Topic, at: At, from: Offset) -> Result<(), KafkaError> {
        let mut place = TopicPartitionList::new();
        let from = Place::Offset(from.0.cast_signed());
        place.add_partition_offset(&topic.name, number(at.partition), from)?;
        self.consumer.assign(&place)
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("place", &self.place).finish_non_exhaustive()
    }
}

/// What a read has come to so far.
struct Page {
    records: RecordsBuilder,
    next: Offset,
    range: Range,
    max: ReadLimit,
}

impl Page {
    fn is_full(&self) -> bool {
        self.records.len() >= self.max.events || self.next >= self.range.end
    }

    /// Adds an event, unless it does not fit.
    fn add(&mut self, message: &impl Message) -> bool {
        let headers = headers(message);
        let len = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let bytes = len(message.key()) + len(message.payload()) + headers.len();
        if !self.max.has_room(&self.records, bytes) {
            return false;
        }
        self.next = push_with(&mut self.records, self.range.at, message, &headers).next();
        true
    }
}

/// Adds an event to a batch.
pub(super) fn push(records: &mut RecordsBuilder, at: At, message: &impl Message) {
    push_with(records, at, message, &headers(message));
}

/// Adds an event with its headers as the log has them; returns its offset.
fn push_with(records: &mut RecordsBuilder, at: At, message: &impl Message, headers: &[u8]) -> Offset {
    let offset = offset(message.offset());
    let time = Millis(message.timestamp().to_millis().unwrap_or(0));
    records.push_encoded(at, offset, time, message.key(), message.payload(), headers);
    offset
}

fn headers(message: &impl Message) -> BytesMut {
    message.headers().map(encode).unwrap_or_default()
}

/// Headers as the log has them. The client panics at a name that is no UTF-8: such a header is left out.
fn encode(headers: &impl rdkafka::message::Headers) -> BytesMut {
    let mut encoded = BytesMut::new();
    for index in 0..headers.count() {
        match catch_unwind(AssertUnwindSafe(|| headers.try_get(index))) {
            Ok(Some(header)) => {
                Headers::encode(&mut encoded, header.key, header.value.unwrap_or_default());
            }
            Ok(None) => {}
            Err(_) => tracing::debug!("a header whose name is no UTF-8 is left out"),
        }
    }
    encoded
}
