//! The events of a range: each partition's in offset order, several partitions merged by time.

use crate::dispatcher::Event;
use crate::replay::Record;
use std::sync::Arc;
use weir_log::{LogError, ReadLimit};
use weir_runtime::Session;
use weir_schema::{At, Offset, Records, TopicId};

/// What one read of a partition brings at most.
const BATCH: ReadLimit = ReadLimit { events: 1000, bytes: 1 << 20 };

/// The events, one after the other.
#[derive(Debug)]
pub(super) struct Merge {
    session: Arc<Session>,
    partitions: Vec<Cursor>,
}

#[derive(Debug)]
struct Cursor {
    at: At,
    /// Where to read on.
    next: Offset,
    to: Offset,
    batch: Arc<Records>,
    index: usize,
}

impl Merge {
    pub(super) fn new(session: Arc<Session>, topic: TopicId, range: &Record) -> Self {
        let bounds = range.from.iter().zip(&range.to).zip(0..);
        let cursor = |((from, to), partition): ((&Offset, &Offset), u32)| Cursor {
            at: At { topic, partition },
            next: *from,
            to: *to,
            batch: Arc::default(),
            index: 0,
        };
        Self { session, partitions: bounds.map(cursor).collect() }
    }

    /// The earliest event that is left; of equally old ones that of the lowest partition.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, LogError> {
        for cursor in &mut self.partitions {
            cursor.fill(&self.session).await?;
        }
        let time = |c: &Cursor| c.batch.get(c.index).map(|r| (r.meta.time, r.meta.at.partition));
        let with_event = self.partitions.iter_mut().filter(|c| time(c).is_some());
        Ok(with_event.min_by_key(|c| time(c)).map(Cursor::take))
    }
}

impl Cursor {
    async fn fill(&mut self, session: &Session) -> Result<(), LogError> {
        if self.index < self.batch.len() || self.next >= self.to {
            return Ok(());
        }
        let read = session.log().read(self.at, self.next, BATCH).await?;
        let batch = read.first(read.iter().take_while(|r| r.meta.offset < self.to).count());
        // what was read and is past the end, or nothing at all: the range is done
        let is_last = batch.len() < read.len() || read.is_empty();
        self.next = match batch.last() {
            Some(last) if !is_last => last.meta.offset.next(),
            _ => self.to,
        };
        (self.batch, self.index) = (Arc::new(batch), 0);
        Ok(())
    }

    fn take(&mut self) -> Event {
        let event = Event { batch: self.batch.clone(), index: self.index };
        self.index += 1;
        event
    }
}
