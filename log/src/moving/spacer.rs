//! Topics of a Spacer database, brought into a log.
//!
//! A message becomes an event with its key, its value and its time; messages of one key stay in order, in the partition
//! that later events of the key go to. How far that is, is a row of the table [`IMPORTED`], written together with the
//! events: so what breaks off goes on, and nothing comes twice. Where Spacer's group stood becomes the position of the
//! triggers, as long as they have not moved by themselves.

mod record;
mod topic;

use super::progress::{Count, Phase, Watcher};
use super::refusal::unavailable;
use crate::open::hold_target;
use crate::postgres::Spacer;
use crate::{Driver, LogError, PostgresOptions};
use topic::Topic;
use weir_schema::{GroupName, TopicName, WriterId};

/// What is to be imported.
#[derive(Clone, Debug)]
pub struct SpacerImport {
    /// Spacer's database.
    pub from: PostgresOptions,
    /// Spacer's consumer group.
    pub group: String,
    /// Topics of the log. Those that Spacer does not have are left out.
    pub topics: Vec<SpacerTopic>,
}

/// A topic, and who is to go on with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpacerTopic {
    /// Its name, there and here.
    pub name: TopicName,
    /// The groups of its triggers.
    pub triggers: Vec<GroupName>,
}

/// What came of one topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Imported {
    /// Its name.
    pub topic: TopicName,
    /// How many events this import has brought.
    pub events: u64,
    /// How many earlier ones had.
    pub before: u64,
    /// How many of them all Spacer has not handled: they run.
    pub to_run: u64,
    /// Triggers that go on where Spacer stood.
    pub moved: Vec<GroupName>,
    /// Triggers that have positions of their own already, and keep them.
    pub kept: Vec<GroupName>,
}

/// Imports topics of Spacer's into the log `into`, which has them already and which nobody uses. `writer` is a number that
/// the log has given to the caller. Returns what came of the topics that Spacer has, and the names of those of its own that
/// nobody asked for.
///
/// # Errors
/// `Unavailable` if one of the two cannot be read or written, or where an import would make events run that Spacer has
/// handled: events of other origin stand in the topic, or its triggers have moved. What was imported before stays.
pub async fn import_spacer(
    what: &SpacerImport,
    into: Driver,
    writer: WriterId,
    watcher: &mut Watcher<'_>,
) -> Result<(Vec<Imported>, Vec<String>), LogError> {
    let mut log = hold_target(into).await?;
    let mut spacer = Spacer::connect(&what.from).await?;
    let tables = spacer.topics().await?;
    let mut topics = Vec::new();
    for wanted in &what.topics {
        let Some(table) = crate::postgres::find(&tables, &wanted.name) else { continue };
        topics.push(Topic::open(&mut *log, &mut spacer, wanted, table, &what.group).await?);
    }
    if topics.is_empty() {
        let why = "it has no table of a topic that is asked for: tables are called topic_NAME";
        return Err(unavailable("import", spacer.place(), why, false));
    }
    let total = topics.iter().map(|topic| topic.standing.new).sum();
    let mut stamps = record::Stamps::new(writer);
    let mut progress = Count::new(Phase::Copying, total, watcher);
    let mut imported = Vec::new();
    for topic in &mut topics {
        imported.push(topic.import(&mut *log, &spacer, &mut stamps, &mut progress).await?);
    }
    let others = tables.iter().filter(|table| !topics.iter().any(|topic| topic.table == **table));
    Ok((imported, others.cloned().collect()))
}
