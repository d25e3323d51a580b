//! After the producer has failed for good: another takes its place, and begins with what the first one left.
//!
//! Of an event that failed on its way it is not known whether Kafka has it, so it is looked for: the same bytes with the
//! same time, at an offset that no other transaction of this process has been told of. What is found is acknowledged; what
//! is not is sent again. Nothing is looked for before the brokers have answered, or the client has given up, every request
//! that was on its way.

use super::line::Line;
use super::{Producer, Sent, open_producer};
use crate::kafka::limits::EVENT;
use crate::kafka::parts::Parts;
use crate::{CommitError, LogError, ReadLimit, Rejection};
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer as _;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use weir_schema::{At, Millis, Offset, Record};

/// How long it takes breath before it looks again.
const BREATH: Duration = Duration::from_millis(5);
/// How long it waits after a failure.
const PAUSE: Duration = Duration::from_millis(200);

/// Makes a new producer whenever the last one has failed, until the line is closed.
pub(super) fn mend(line: &Arc<Line>, parts: &Parts, handle: &Handle) {
    while let Some(failed) = line.failed() {
        let why = failed.client().fatal_error().map(|(_, why)| why);
        tracing::warn!(why, "the producer of single events has failed: another takes its place");
        if !drain(&failed, line) {
            return;
        }
        drop(failed);
        // it may be that a topic takes less than it did
        handle.block_on(parts.look_at_limits());
        let mended = insist(line, || {
            open_producer(parts, line).map_err(|error| parts.in_words("open a producer", "", &error))
        });
        let Some(producer) = mended else { return };
        Mending { line, parts, found: HashSet::new() }.hand_over(producer);
    }
}

/// Waits until everything that a producer was given has been reported; false: the line was closed before.
fn drain(producer: &Producer, line: &Line) -> bool {
    while producer.in_flight_count() > 0 {
        if line.is_closed() {
            return false;
        }
        std::thread::sleep(BREATH);
    }
    true
}

/// Asks until it is answered; none: the line was closed before.
fn insist<T>(line: &Line, mut ask: impl FnMut() -> Result<T, LogError>) -> Option<T> {
    while !line.is_closed() {
        match ask() {
            Ok(answer) => return Some(answer),
            Err(error) => tracing::debug!(%error, "single events wait for Kafka"),
        }
        std::thread::sleep(PAUSE);
    }
    None
}

struct Mending<'a> {
    line: &'a Line,
    parts: &'a Parts,
    /// Where events have been found.
    found: HashSet<(At, Offset)>,
}

impl Mending<'_> {
    /// Sends what waits, and then takes the producer into use.
    fn hand_over(mut self, mut producer: Producer) {
        loop {
            for sent in self.line.take() {
                self.settle(&producer, sent);
            }
            match self.line.restore(producer) {
                Ok(()) => return tracing::info!("single events reach Kafka again"),
                Err(_) if self.line.is_closed() => return,
                Err(back) => producer = back,
            }
        }
    }

    fn settle(&mut self, producer: &Producer, sent: Box<Sent>) {
        let found = match sent.time {
            Some(time) => insist(self.line, || self.find(&sent, time)),
            None => Some(None),
        };
        let Some(found) = found else {
            return sent.resolve(Err(CommitError::Ambiguous("the log was closed".into())));
        };
        if let Some(place) = found {
            self.found.insert((sent.at, place));
            return sent.arrived(place.0.cast_signed());
        }
        let (size, limit) = (sent.event.bytes(), sent.shared.limits.event(sent.at.topic));
        if size > limit {
            let why = Rejection::TooLarge { what: EVENT, size, limit };
            return sent.resolve(Err(CommitError::Rejected(why)));
        }
        let time = sent.time.unwrap_or(Millis(0));
        let at = sent.at;
        self.line.join(at);
        if let Err((error, sent)) = sent.produce(producer, time) {
            // one that has failed for good says why elsewhere
            let fatal = producer.client().fatal_error().map(|(code, _)| KafkaError::MessageProduction(code));
            let why = self.parts.clients.words.explain(&fatal.unwrap_or(error));
            sent.resolve(Err(CommitError::Unavailable(why.into())));
            self.line.reported(at);
        }
    }

    /// Where an event is that a producer had with `time`, if it is in Kafka.
    fn find(&self, sent: &Sent, time: Millis) -> Result<Option<Offset>, LogError> {
        let Some(event) = sent.event.get(0) else { return Ok(None) };
        let mut from = self.parts.offset_at(&sent.topic, sent.at, time)?;
        // whatever has arrived by now has been told to whoever waits for it
        let (_, tail) = self.parts.end(&sent.topic, sent.at)?;
        let is_it = |found: &Record<'_>| {
            let place = (sent.at, found.meta.offset);
            let is_free = || !self.found.contains(&place) && !sent.shared.pending.has_told(place);
            found.meta.time == time && is_same(found, &event) && is_free()
        };
        while from < tail {
            let records = self.parts.read(&sent.topic, sent.at, from, ReadLimit::default())?;
            if let Some(found) = records.iter().find(is_it) {
                return Ok(Some(found.meta.offset));
            }
            let Some(last) = records.last() else { break };
            from = last.meta.offset.next();
        }
        Ok(None)
    }
}

fn is_same(a: &Record<'_>, b: &Record<'_>) -> bool {
    (a.key(), a.value(), a.headers_encoded()) == (b.key(), b.value(), b.headers_encoded())
}

#[cfg(test)]
mod tests;
