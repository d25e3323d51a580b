//! Removes what a topic need not keep: events past its retention, but for those that somebody still has to handle.

use crate::manager::Triggers;
use crate::parked_list;
use std::collections::HashMap;
use std::time::Duration;
use weir_log::{LogError, TopicInfo};
use weir_runtime::Session;
use weir_schema::{At, GroupName, Offset};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(60);

/// What keeps events of a partition past the topic's retention.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    /// The partition.
    pub at: At,
    /// The first event that is still needed.
    pub offset: Offset,
    /// By which group.
    pub group: GroupName,
    /// Whether it is a parked event that needs it, or the group's position.
    pub is_parked: bool,
}

/// Every so many looks at the topics, expired rows of state are looked for.
const SWEEP_EVERY: u64 = 10;

/// Trims topics, and sweeps tables, until the process stops.
pub(crate) async fn run(triggers: Triggers, shutdown: tokio_util::sync::CancellationToken) {
    for look in 1u64.. {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if let Err(error) = triggers.trim_expired().await {
            tracing::warn!(%error, "cannot remove old events");
        }
        if look.is_multiple_of(SWEEP_EVERY) {
            match triggers.sweep().await {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "expired rows of state were removed"),
                Err(error) => tracing::warn!(%error, "cannot remove expired rows"),
            }
        }
    }
}

/// Trims every topic that has a retention, as far as nobody needs its events.
pub(crate) async fn trim_expired(session: &Session, enabled: &[GroupName]) -> Result<(), LogError> {
    let holds = holds(session, enabled).await?;
    for topic in session.log().topics().await? {
        let Some(retention) = topic.spec.retention else { continue };
        for at in topic.partitions() {
            trim(session, &topic, at, retention, holds.get(&at)).await?;
        }
    }
    Ok(())
}

async fn trim(
    session: &Session,
    topic: &TopicInfo,
    at: At,
    retention: Duration,
    hold: Option<&Hold>,
) -> Result<(), LogError> {
    let old = session.clock().now().before(retention);
    let mut before = session.log().offset_at(at, old).await?;
    if let Some(hold) = hold.filter(|h| h.offset < before) {
        let (topic, group) = (&topic.spec.name, &hold.group);
        tracing::warn!(%topic, partition = at.partition, offset = %hold.offset, %group, is_parked = hold.is_parked,
            "events past the topic's retention are kept: they have not been handled");
        before = hold.offset;
    }
    let earliest = topic.earliest.get(at.partition as usize).copied().unwrap_or_default();
    if before > earliest {
        let kept = session.log().trim(at, before).await?;
        tracing::info!(topic = %topic.spec.name, partition = at.partition, %kept, "old events were removed");
    }
    Ok(())
}

/// The first event of each partition that somebody still needs.
///
/// # Errors
/// The log's.
pub async fn holds(session: &Session, enabled: &[GroupName]) -> Result<HashMap<At, Hold>, LogError> {
    let mut holds: HashMap<At, Hold> = HashMap::new();
    let mut need = |hold: Hold| {
        let first = holds.entry(hold.at).or_insert_with(|| hold.clone());
        if hold.offset < first.offset {
            *first = hold;
        }
    };
    for group in enabled {
        for p in session.log().positions(Some(group)).await? {
            need(Hold { at: p.at, offset: p.position, group: group.clone(), is_parked: false });
        }
    }
    let topics = session.log().topics().await?;
    for event in parked_list::list(session, None).await? {
        let Some(topic) = topics.iter().find(|t| t.spec.name == event.entry.topic) else { continue };
        let at = At { topic: topic.id, partition: event.entry.partition };
        need(Hold { at, offset: event.entry.offset, group: event.group, is_parked: true });
    }
    Ok(holds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use weir_log::{Driver, LogConfig, ManualClock, TopicSpec};
    use weir_schema::{Millis, Partitioner, RecordsBuilder, TopicName, Transaction};

    async fn session_with(events: u64) -> (Session, Arc<ManualClock>, TopicInfo) {
        let clock = Arc::new(ManualClock::new(Millis(0)));
        let log = weir_log::open(LogConfig { driver: Driver::Memory, app: None, clock: clock.clone() }).await;
        let session = Session::new(log.expect("memory opens"), clock.clone(), BTreeMap::new());
        let spec = TopicSpec {
            name: TopicName::new("orders").expect("valid"),
            partitions: 1,
            partitioner: Partitioner::Murmur2,
            retention: Some(Duration::from_millis(10)),
        };
        let topic = session.log().create_topic(&spec).await.expect("created");
        for i in 0..events {
            clock.set(Millis(i64::try_from(i).expect("small")));
            let mut records = RecordsBuilder::default();
            records.push(At { topic: topic.id, partition: 0 }, None, Some(b"1"), []);
            let mut transaction = Transaction::new(session.next_id(), session.catalog());
            transaction.appends.push(records.build());
            session.log().commit(Arc::new(transaction)).await.expect("committed");
        }
        (session, clock, topic)
    }

    async fn earliest(session: &Session) -> Offset {
        session.log().topics().await.expect("listed")[0].earliest[0]
    }

    #[tokio::test]
    async fn events_past_the_retention_are_removed() {
        let (session, clock, _) = session_with(20).await;
        clock.set(Millis(25));
        trim_expired(&session, &[]).await.expect("trimmed");
        assert_eq!(earliest(&session).await, Offset(15));
    }

    #[tokio::test]
    async fn what_a_trigger_has_not_handled_is_kept() {
        let (session, clock, topic) = session_with(20).await;
        let group = GroupName::new("orders/on_order").expect("valid");
        let at = At { topic: topic.id, partition: 0 };
        let membership = session.log().join(&group, &[(at, Offset(7))]).await.expect("joined");
        clock.set(Millis(1000));
        trim_expired(&session, std::slice::from_ref(&group)).await.expect("trimmed");
        assert_eq!(earliest(&session).await, Offset(7));
        drop(membership);
        trim_expired(&session, &[]).await.expect("trimmed");
        assert_eq!(earliest(&session).await, Offset(20));
    }
}
