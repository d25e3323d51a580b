//! Positions as Kafka's own tools see them.
//!
//! Where groups stand is in the store; nothing here is read again. So that lag can be watched with the tools that a cluster
//! has already, the process that has the relay's lease commits positions that have moved to a consumer group of Kafka's for
//! each trigger, every few seconds.

use super::clients::ANSWER;
use super::mirror::Topic;
use super::parts::Parts;
use super::relay::Relay;
use crate::LogError;
use crate::store::Store;
use rdkafka::admin::AdminOptions;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset as Place, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use weir_schema::{At, GroupName, Offset};

/// How often it looks for positions that have moved.
const EVERY: Duration = Duration::from_secs(5);

/// See the module's docs.
#[derive(Debug)]
pub(super) struct Showing {
    parts: Arc<Parts>,
    store: Arc<dyn Store>,
    /// What the names of the groups in Kafka begin with.
    prefix: String,
    /// Whether this process has the relay's lease.
    runs_here: Arc<AtomicBool>,
    /// Where work that waits for brokers runs.
    handle: Handle,
    /// What has been shown of each group; none: it cannot be, and that was said.
    shown: Mutex<BTreeMap<GroupName, Option<Positions>>>,
}

type Positions = Vec<(At, Offset)>;

impl Showing {
    /// None: the settings name no consumer group.
    pub(super) fn new(parts: &Arc<Parts>, relay: &Relay) -> Option<Arc<Self>> {
        let prefix = parts.clients.options.consumer_group.clone()?;
        Some(Arc::new(Self {
            parts: parts.clone(),
            store: relay.store.clone(),
            prefix,
            runs_here: relay.runs_here.clone(),
            handle: relay.handle.clone(),
            shown: Mutex::default(),
        }))
    }

    pub(super) async fn run(self: Arc<Self>) {
        loop {
            tokio::time::sleep(EVERY).await;
            self.show().await;
        }
    }

    /// Shows what has moved, if that is this process's to do.
    pub(super) async fn show(&self) {
        let mut shown = self.shown.lock().await;
        if !self.runs_here.load(Ordering::SeqCst) {
            return shown.clear();
        }
        if let Err(error) = self.show_moved(&mut shown).await {
            tracing::debug!(%error, "positions cannot be shown to Kafka for now");
        }
    }

    async fn show_moved(&self, shown: &mut BTreeMap<GroupName, Option<Positions>>) -> Result<(), LogError> {
        let mut now: BTreeMap<GroupName, Positions> = BTreeMap::new();
        for position in self.store.positions(None).await? {
            // replays come and go
            let is_known = self.parts.shared.mirror.topic(position.at).is_some();
            if is_known && !position.group.is_replay() {
                now.entry(position.group).or_default().push((position.at, position.position));
            }
        }
        let forgotten: Vec<_> = shown.keys().filter(|group| !now.contains_key(*group)).cloned().collect();
        for group in forgotten {
            self.forget(&group).await;
            shown.remove(&group);
        }
        for (group, positions) in now {
            let before = shown.get(&group);
            if before.is_some_and(|before| before.as_ref() == Some(&positions)) {
                continue;
            }
            let failed_before = before.is_some_and(Option::is_none);
            let outcome = self.commit(&group, positions.clone()).await;
            if let Err(error) = &outcome
                && !failed_before
            {
                tracing::warn!(group = self.name(&group), %error, "Kafka does not take the positions of a trigger: its tools will not show them");
            }
            shown.insert(group, outcome.ok().map(|()| positions));
        }
        Ok(())
    }

    /// Removes what has been shown of a group that is forgotten; of a replay nothing was.
    pub(super) async fn forget(&self, group: &GroupName) {
        if group.is_replay() {
            return;
        }
        let name = self.name(group);
        let options = AdminOptions::new().request_timeout(Some(ANSWER));
        let outcome = self.parts.topics.admin.delete_groups(&[&name], &options).await;
        let outcome = outcome.map(|mut outcomes| outcomes.pop());
        if let Ok(Some(Ok(_) | Err((_, Code::GroupIdNotFound)))) = outcome {
            return;
        }
        tracing::debug!(group = name, ?outcome, "the group is not removed from Kafka");
    }

    async fn commit(&self, group: &GroupName, positions: Positions) -> Result<(), LogError> {
        let (parts, name) = (self.parts.clone(), self.name(group));
        let work = move || {
            let mut places = TopicPartitionList::new();
            for (at, position) in positions {
                let Some(topic) = parts.shared.mirror.topic(at) else { continue };
                let place = Place::Offset(past_marks(&parts, &topic, at, position)?.0.cast_signed());
                let partition = super::mirror::number(at.partition);
                let added = places.add_partition_offset(&topic.name, partition, place);
                added.map_err(|error| parts.in_words("show the position in", &topic.name, &error))?;
            }
            commit(&parts, &name, &places).map_err(|error| parts.in_words("commit to group", &name, &error))
        };
        self.handle.spawn_blocking(work).await.map_err(|_| LogError::Closed)?
    }

    fn name(&self, group: &GroupName) -> String {
        format!("{}.{}", self.prefix, group.as_str().replacen('/', ".", 1))
    }
}

/// A group that has handled the last event has no lag, whatever marks of transactions come behind it.
fn past_marks(parts: &Parts, topic: &Topic, at: At, position: Offset) -> Result<Offset, LogError> {
    if parts.shared.is_gone(topic.id) {
        return Ok(position);
    }
    let (_, end) = parts.window(topic, at)?;
    let is_last = parts.shared.tails.settled(at, end) == Some(position);
    Ok(if is_last { end } else { position })
}

/// The client is gone afterwards: Kafka takes positions from outside a group only while it has no members.
fn commit(parts: &Parts, group: &str, places: &TopicPartitionList) -> Result<(), KafkaError> {
    let consumer = parts.clients.consumer(&[("group.id", group)])?;
    super::clients::patiently(|| consumer.commit(places, CommitMode::Sync))
}
