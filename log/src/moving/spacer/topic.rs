//! One topic.

use super::record::{self, Record, Stamps};
use super::{Imported, SpacerTopic};
use crate::moving::refusal::unavailable;
use crate::moving::{Count, Edit, Import, Outline, Position};
use crate::postgres::{Message, Spacer, Standing};
use crate::{GroupPosition, LogError, TopicSpec};
use futures::{Stream, TryStreamExt as _};
use weir_schema::{At, Epoch, GroupName, Millis, Offset, RecordsBuilder, TopicId};

/// How many messages, and about how many bytes of them, are written at once.
const EVENTS: usize = 4096;
const BYTES: usize = 4 << 20;

/// A topic that may be imported.
pub(super) struct Topic<'a> {
    pub(super) table: &'a str,
    pub(super) standing: Standing,
    wanted: &'a SpacerTopic,
    id: TopicId,
    spec: TopicSpec,
    /// By partition.
    tails: Vec<u64>,
    /// What was imported before.
    before: u64,
    /// How many events here are not Spacer's.
    others: u64,
    record: Record,
    /// The groups that the import moves, as they stand.
    moving: Vec<(GroupName, Vec<Option<Position>>)>,
}

/// What is written at once.
#[derive(Default)]
struct Portion {
    partitions: Vec<RecordsBuilder>,
    events: usize,
    bytes: usize,
}

impl<'a> Topic<'a> {
    /// Looks whether `wanted` may be imported.
    pub(super) async fn open(
        log: &mut dyn Import,
        spacer: &mut Spacer,
        wanted: &'a SpacerTopic,
        table: &'a str,
        group: &str,
    ) -> Result<Self, LogError> {
        let outline = log.outline().await?;
        let known = outline.topics.iter().find(|(_, spec)| spec.name == wanted.name).cloned();
        let (id, spec) = known.ok_or_else(|| LogError::NoTopic(wanted.name.to_string()))?;
        let from = spacer.place().to_owned();
        let new = || {
            let stands = |group: &GroupName| Some((group.clone(), record::positions(&outline, group, id)?));
            let positions = wanted.triggers.iter().filter_map(stands).collect();
            Record { from: from.clone(), last: 0, events: 0, positions }
        };
        let record = Record::read(log, &wanted.name).await?.unwrap_or_else(new);
        let standing = spacer.standing(&wanted.name, table, group, record.last).await?;
        let tails = (0..spec.partitions).map(|partition| At { topic: id, partition });
        let tails: Vec<_> =
            tails.map(|at| outline.partition(at).map_or(0, |partition| partition.tail.0)).collect();
        let before = record.events;
        let others = tails.iter().sum::<u64>() - before;
        let moving = wanted.triggers.iter().filter(|group| {
            let stands = record::positions(&outline, group, id);
            // behind events of other origin a position says nothing of Spacer's
            others == 0 && (stands.is_none() || stands.as_ref() == record.positions.get(*group))
        });
        let moving =
            moving.map(|group| (group.clone(), stored(&outline, group, id, spec.partitions))).collect();
        let topic = Self { table, standing, wanted, id, spec, tails, before, others, record, moving };
        topic.check(&from)?;
        Ok(topic)
    }

    /// Whether what is new can be added such that nothing runs twice.
    fn check(&self, from: &str) -> Result<(), LogError> {
        let name = &self.wanted.name;
        let refused = |why: String| Err(unavailable("import", &format!("{from} topic {name}"), &why, false));
        if self.record.from != from {
            return refused(format!("it has been imported from {}: name that as then", self.record.from));
        }
        if self.standing.new == 0 {
            return Ok(());
        }
        if self.others > 0 {
            return refused(format!(
                "{} events here are not Spacer's, and its {} new ones cannot be put before them: import into a log of \
                 its own",
                self.others, self.standing.new
            ));
        }
        let is_moved = |group: &&GroupName| {
            self.record.positions.contains_key(*group)
                && !self.moving.iter().any(|(moving, _)| moving == *group)
        };
        match self.wanted.triggers.iter().find(is_moved) {
            None => Ok(()),
            Some(group) => refused(format!(
                "the trigger {group} has gone on by itself since the last import, and would run the {} new events \
                 that Spacer may have handled",
                self.standing.new
            )),
        }
    }

    /// Imports what is new, and sets the positions.
    pub(super) async fn import(
        &mut self,
        log: &mut dyn Import,
        spacer: &Spacer,
        stamps: &mut Stamps,
        progress: &mut Count<'_, '_>,
    ) -> Result<Imported, LogError> {
        let name = self.wanted.name.clone();
        // first: so that it is known where the triggers stood, also if this breaks off
        log.write(vec![self.record.edit(&name, stamps)]).await?;
        let mut messages = spacer.messages(self.table, self.record.last, self.standing.last).await?;
        let mut is_over = false;
        while !is_over {
            let portion = self.portion(&mut messages).await?;
            is_over = portion.events == 0;
            let count = portion.events as u64;
            let mut edits: Vec<_> =
                portion.partitions.into_iter().map(|events| Edit::Events(events.build())).collect();
            edits.push(self.record.edit(&name, stamps));
            log.write(edits).await?;
            progress.add(count);
        }
        let to_run = self.unhandled(spacer).await?;
        let positions = self.positions(&to_run);
        log.write(vec![Edit::Positions(positions), self.record.edit(&name, stamps)]).await?;
        let (moved, kept) = self
            .wanted
            .triggers
            .iter()
            .cloned()
            .partition(|g| self.moving.iter().any(|(group, _)| group == g));
        Ok(Imported {
            topic: name,
            events: self.record.events - self.before,
            before: self.before,
            to_run: to_run.iter().sum(),
            moved,
            kept,
        })
    }

    /// The next messages as events; none: it is over.
    async fn portion(
        &mut self,
        messages: &mut (impl Stream<Item = Result<Message, LogError>> + Unpin),
    ) -> Result<Portion, LogError> {
        let mut portion = Portion::default();
        portion.partitions.resize_with(self.tails.len(), RecordsBuilder::default);
        while portion.events < EVENTS && portion.bytes < BYTES {
            let Some(message) = messages.try_next().await? else { break };
            let at = self.place(&message);
            let tail = &mut self.tails[at.partition as usize];
            let (key, value) = (message.key.as_deref(), message.value.as_deref());
            let (key, value) = (key.map(str::as_bytes), value.map(str::as_bytes));
            // no time: that of the event before
            let time = message.time.unwrap_or(Millis(0));
            let events = &mut portion.partitions[at.partition as usize];
            events.push_encoded(at, Offset(*tail), time, key, value, &[]);
            *tail += 1;
            self.record.last = message.offset;
            self.record.events += 1;
            portion.events += 1;
            portion.bytes += key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        }
        Ok(portion)
    }

    /// The partition of a message: its key's; without one the first, where they all stay in order.
    fn place(&self, message: &Message) -> At {
        let key = message.key.as_ref();
        let partition =
            key.map_or(0, |key| self.spec.partitioner.partition(key.as_bytes(), self.spec.partitions));
        At { topic: self.id, partition }
    }

    /// How many events of each partition Spacer has not handled.
    async fn unhandled(&self, spacer: &Spacer) -> Result<Vec<u64>, LogError> {
        let mut counts = vec![0; self.tails.len()];
        let after = self.standing.handled.unwrap_or(i64::MIN);
        let mut messages = spacer.messages(self.table, after, self.record.last).await?;
        while let Some(message) = messages.try_next().await? {
            counts[self.place(&message).partition as usize] += 1;
        }
        Ok(counts)
    }

    /// The positions to which the import moves its groups; noted in the record too.
    fn positions(&mut self, to_run: &[u64]) -> Vec<Position> {
        let places: Vec<_> =
            self.tails.iter().zip(to_run).map(|(tail, left)| tail.saturating_sub(*left)).collect();
        let mut positions = Vec::new();
        for (group, stored) in &self.moving {
            self.record.positions.insert(group.clone(), places.clone());
            for ((partition, place), stored) in (0..).zip(&places).zip(stored) {
                let at = At { topic: self.id, partition };
                let mut position = stored.clone().unwrap_or_else(|| new_position(group, at));
                position.standing.position = Offset(*place);
                positions.push(position);
            }
        }
        positions
    }
}

/// What is stored of a group in each partition of a topic.
fn stored(outline: &Outline, group: &GroupName, topic: TopicId, partitions: u32) -> Vec<Option<Position>> {
    let partitions = (0..partitions).map(|partition| At { topic, partition });
    let is_here = |position: &&Position, at| position.standing.group == *group && position.standing.at == at;
    partitions.map(|at| outline.positions.iter().find(|p| is_here(p, at)).cloned()).collect()
}

fn new_position(group: &GroupName, at: At) -> Position {
    let (group, position, epoch) = (group.clone(), Offset::ZERO, Epoch(0));
    Position {
        standing: GroupPosition { group, at, position, epoch, incarnation: 0, unclean: 0 },
        owned: false,
    }
}
