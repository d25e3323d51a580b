//! What the parts of the log share.

use super::limits::Limits;
use super::mirror::{Mirror, Topic};
use super::pending::Pending;
use super::recent::Recent;
use super::relayed::Relayed;
use super::tails::Tails;
use super::times::Times;
use std::collections::{BTreeMap, HashSet};
use std::sync::{PoisonError, RwLock};
use tokio::sync::watch;
use weir_schema::TopicId;

/// See the module's docs. Owns no client: the threads of clients hold on to it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) mirror: Mirror,
    pub(super) tails: Tails,
    pub(super) recent: Recent,
    pub(super) pending: Pending,
    pub(super) relayed: Relayed,
    pub(super) times: Times,
    pub(super) limits: Limits,
    /// Topics that Kafka does not have any more.
    gone: RwLock<HashSet<TopicId>>,
    /// Why what is committed does not reach Kafka.
    held_up: RwLock<Option<String>>,
    /// How often each topic has become another.
    altered: watch::Sender<BTreeMap<TopicId, u64>>,
}

impl Shared {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            mirror: Mirror::new(prefix),
            tails: Tails::default(),
            recent: Recent::default(),
            pending: Pending::default(),
            relayed: Relayed::default(),
            times: Times::default(),
            limits: Limits::default(),
            gone: RwLock::default(),
            held_up: RwLock::default(),
            altered: watch::Sender::default(),
        }
    }

    pub(super) fn is_gone(&self, topic: TopicId) -> bool {
        self.gone.read().unwrap_or_else(PoisonError::into_inner).contains(&topic)
    }

    /// Notes whether Kafka has a topic.
    pub(super) fn set_gone(&self, topic: &Topic, is_gone: bool) {
        let mut gone = self.gone.write().unwrap_or_else(PoisonError::into_inner);
        let changed = if is_gone { gone.insert(topic.id) } else { gone.remove(&topic.id) };
        drop(gone);
        let topic = &topic.name;
        match (changed, is_gone) {
            (true, true) => tracing::error!(
                topic,
                "Kafka does not have the topic any more: nothing can be appended to it"
            ),
            (true, false) => tracing::info!(topic, "Kafka has the topic again"),
            (false, _) => {}
        }
    }

    /// Notes why what is committed does not reach Kafka; none: it does, or it is another process that brings it there.
    /// Returns whether that is news.
    pub(super) fn hold_up(&self, why: Option<&str>) -> bool {
        let mut held_up = self.held_up.write().unwrap_or_else(PoisonError::into_inner);
        let is_news = held_up.as_deref() != why;
        if is_news {
            *held_up = why.map(str::to_owned);
        }
        is_news
    }

    /// Why what is committed does not reach Kafka, in a line.
    pub(super) fn trouble(&self) -> Option<String> {
        let held_up = self.held_up.read().unwrap_or_else(PoisonError::into_inner);
        held_up
            .as_ref()
            .map(|why| format!("what is committed does not reach Kafka, and is tried again: {why}"))
    }

    /// Says that a topic has become another: it has new partitions, or other events.
    pub(super) fn alter(&self, topic: TopicId) {
        self.altered.send_modify(|altered| *altered.entry(topic).or_default() += 1);
    }

    pub(super) fn altered(&self) -> watch::Receiver<BTreeMap<TopicId, u64>> {
        self.altered.subscribe()
    }

    /// Lets go of everyone who waits for something.
    pub(super) fn close(&self) {
        self.tails.close();
        self.relayed.close();
        self.pending.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_events_up_is_news_once_and_gone_when_it_is() {
        let shared = Shared::new("shop");
        assert!(!shared.hold_up(None) && shared.trouble().is_none());
        assert!(shared.hold_up(Some("no broker answers")) && !shared.hold_up(Some("no broker answers")));
        assert!(shared.trouble().is_some_and(|trouble| trouble.contains("no broker answers")));
        assert!(shared.hold_up(Some("the user may not")) && shared.hold_up(None));
        assert_eq!(shared.trouble(), None);
    }
}
