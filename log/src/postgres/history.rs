//! Whether the database is still the one that this process has known. A backup that was restored, or a failover to a
//! server that lacked the last commits, sets it back: then nothing that this process remembers can be relied on.
//!
//! What comes back lies behind what was seen, or its tables are other ones: this process then refuses to go on. A server
//! on another timeline that seems to lack nothing may have lost what another process wrote and this one has read. So the
//! partitions of this process are taken from itself, with everything that it has read ahead.

use super::error::Failure;
use super::{Shared, topics};
use crate::{Hint, LogError};
use deadpool_postgres::Client;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The part of the name of the current segment of the write-ahead log that is its timeline. None: a standby, or a server
/// that keeps it to itself.
const TIMELINE: &str =
    "SELECT CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END";
const REMEDY: &str = "was it restored from a backup, or is it a replica that lacked the last commits? Stop every node, then start them again";

/// What this process has known.
#[derive(Debug)]
pub(super) struct History {
    tables: u32,
    timeline: Mutex<Option<String>>,
    /// Why this process does not go on.
    broken: OnceLock<String>,
}

impl History {
    pub(super) fn new(tables: u32, timeline: Option<String>) -> Self {
        Self { tables, timeline: Mutex::new(timeline), broken: OnceLock::new() }
    }

    /// An error if this process does not go on.
    pub(super) fn check(&self, place: &str) -> Result<(), LogError> {
        self.broken.get().map_or(Ok(()), |why| Err(refusal(place, why)))
    }

    /// Compares what was `known` before the database was asked with what it has told.
    pub(super) fn compare(
        &self,
        place: &str,
        known: &Hint,
        told: &Hint,
        tables: u32,
    ) -> Result<(), LogError> {
        let mut behind = known.tails.iter().filter_map(|(at, tail)| {
            let told = told.tails.get(at).copied().unwrap_or_default();
            (told < *tail).then(|| {
                let (topic, partition) = (at.topic.0, at.partition);
                format!("partition {partition} of topic {topic} ends at {told}, and had events up to {tail}")
            })
        });
        let why = if tables != self.tables {
            Some("its tables are not those that it had".to_owned())
        } else if let Some(behind) = behind.next() {
            Some(behind)
        } else if told.catalog < known.catalog || told.control < known.control {
            Some("its catalog is older than it was".to_owned())
        } else {
            None
        };
        why.map_or(Ok(()), |why| Err(self.refuse(place, why)))
    }

    fn refuse(&self, place: &str, why: String) -> LogError {
        let error = refusal(place, &why);
        if self.broken.set(why).is_ok() {
            tracing::error!(%error, "this process does not go on");
        }
        error
    }

    /// Takes note of the timeline; whether it is another one than before.
    fn moves_to(&self, timeline: Option<String>) -> bool {
        let mut known = self.timeline.lock().unwrap_or_else(PoisonError::into_inner);
        let moves = known.is_some() && timeline.is_some() && *known != timeline;
        if timeline.is_some() {
            *known = timeline;
        }
        moves
    }
}

fn refusal(place: &str, why: &str) -> LogError {
    let source = format!("it has been set back: {why}; {REMEDY}").into();
    LogError::Unavailable { operation: format!("go on with log {place}"), source, retry: false }
}

/// The timeline of the server that `client` is connected to.
pub(super) async fn timeline(client: &Client) -> Option<String> {
    match client.query_one(TIMELINE, &[]).await {
        Ok(row) => row.get(0),
        Err(error) => {
            tracing::debug!(%error, "the server does not tell its timeline");
            None
        }
    }
}

/// To be asked on a new connection, before it commits anything: whether the database has all that this process knows of,
/// the batch `last` of its own among it.
pub(super) async fn verify(shared: &Shared, client: &Client, last: u64) -> Result<(), Failure> {
    let (place, known) = (&shared.server.place, shared.hint.borrow().clone());
    let (told, tables) = topics::news(client).await?;
    shared.history.compare(place, &known, &told, tables)?;
    let batch = "SELECT batch FROM lanes WHERE writer = $1 ORDER BY batch DESC LIMIT 1";
    let batch =
        client.query_opt(batch, &[&shared.node()]).await?.map(|row| row.get::<_, i64>(0).cast_unsigned());
    if batch.is_none_or(|batch| batch < last) {
        let why = "it lacks what this process has committed".to_owned();
        return Err(shared.history.refuse(place, why).into());
    }
    if shared.history.moves_to(timeline(client).await) {
        let count = super::groups::disown(client, shared.node()).await?;
        tracing::warn!(
            partitions = count,
            "{place} is on another timeline (a failover): partitions are taken anew"
        );
        shared.regroup.notify_one();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_schema::{At, CatalogVersion, Offset, TopicId};

    const AT: At = At { topic: TopicId(7), partition: 0 };

    fn hint(tail: u64, catalog: u64) -> Hint {
        Hint { tails: [(AT, Offset(tail))].into(), catalog: CatalogVersion(catalog), control: 0 }
    }

    #[test]
    fn a_database_that_lacks_something_is_refused_for_good() {
        for (told, tables) in [(hint(4, 1), 1), (hint(5, 0), 1), (Hint::default(), 1), (hint(9, 9), 2)] {
            let history = History::new(1, None);
            history.check("db").expect("nothing is wrong yet");
            history.compare("db", &hint(5, 1), &hint(6, 2), 1).expect("it has more than was known");
            assert!(history.compare("db", &hint(5, 1), &told, tables).is_err(), "{told:?}");
            let error = history.check("db").expect_err("it stays so");
            assert!(!error.is_retryable() && error.to_string().contains("Stop every node"), "{error}");
        }
    }

    #[test]
    fn only_a_timeline_that_was_known_can_change() {
        let (one, two) = (|| Some("00000001".to_owned()), || Some("00000002".to_owned()));
        let history = History::new(1, one());
        assert!(!history.moves_to(one()) && !history.moves_to(None) && history.moves_to(two()));
        assert!(!history.moves_to(two()));
        assert!(!History::new(1, None).moves_to(one()));
    }
}
