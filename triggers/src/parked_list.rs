//! Parked events as people see them.

use crate::parked::{Entry, EntryState, PARKED};
use bytes::Bytes;
use serde_json::{Value, json};
use weir_log::{LogError, all_rows};
use weir_runtime::Session;
use weir_schema::{GroupName, Offset, StateRange, TableName};

/// A parked event and where it belongs.
#[derive(Clone, Debug)]
pub struct ParkedEvent {
    /// Its trigger's group.
    pub group: GroupName,
    /// The row.
    pub entry: Entry,
}

impl ParkedEvent {
    /// How it is named: `GROUP:PARTITION:OFFSET`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}:{}:{}", self.group, self.entry.partition, self.entry.offset)
    }

    /// Reads an id.
    #[must_use]
    pub fn parse_id(id: &str) -> Option<(GroupName, u32, Offset)> {
        let mut parts = id.rsplitn(3, ':');
        let offset = Offset(parts.next()?.parse().ok()?);
        let partition = parts.next()?.parse().ok()?;
        Some((GroupName::new(parts.next()?).ok()?, partition, offset))
    }

    /// `{id, topic, partition, offset, key, function, state, attempts, first_error, last_error, next_attempt}`.
    #[must_use]
    pub fn to_json(&self, function: &str) -> Value {
        let entry = &self.entry;
        let error = |e: Option<&crate::parked::EntryError>| e.map(|e| e.error.clone());
        let state = match entry.state {
            EntryState::Waiting => "waiting",
            EntryState::Running => "running",
            EntryState::Held => "held",
        };
        json!({
            "id": self.id(),
            "topic": entry.topic,
            "partition": entry.partition,
            "offset": entry.offset,
            "key": entry.key.as_ref().map(|k| String::from_utf8_lossy(k)),
            "function": function,
            "state": state,
            "attempts": entry.attempts,
            "first_error": error(entry.errors.first()),
            "last_error": error(entry.errors.last()),
            "next_attempt": (entry.state == EntryState::Waiting).then(|| entry.due.to_rfc3339()),
        })
    }
}

/// Every parked event, of one group or of all, in the order of group, partition and offset.
///
/// # Errors
/// The log's; `Corrupt` if a row is none.
pub async fn list(session: &Session, group: Option<&GroupName>) -> Result<Vec<ParkedEvent>, LogError> {
    let rows = all_rows(&**session.log(), range(group)).await?;
    rows.iter().map(|(key, row)| read(key, &row.value)).collect()
}

/// How many events of a group are parked.
///
/// # Errors
/// The log's.
pub async fn count(session: &Session, group: &GroupName) -> Result<usize, LogError> {
    let mut range = range(Some(group));
    let mut count = 0;
    loop {
        let page = session.log().scan(&range, 1000).await?;
        count += page.rows.len();
        match page.next {
            Some(next) => range.from = next,
            None => return Ok(count),
        }
    }
}

fn range(group: Option<&GroupName>) -> StateRange {
    let table = TableName::new(PARKED).expect("a constant that is well-formed");
    let prefix = group.map(|g| format!("{g}\0")).unwrap_or_default();
    let to = StateRange::end_of_prefix(prefix.as_bytes());
    StateRange { table, generation: 0, from: Bytes::from(prefix), to }
}

fn read(key: &Bytes, value: &[u8]) -> Result<ParkedEvent, LogError> {
    let damaged = |detail: String| LogError::Corrupt { subject: format!("a row of {PARKED}"), detail };
    let entry = Entry::from_row(key, value).map_err(|e| damaged(e.to_string()))?;
    let group = key.split(|b| *b == 0).next().and_then(|g| GroupName::new(std::str::from_utf8(g).ok()?).ok());
    let group = group.ok_or_else(|| damaged("its key names no group".into()))?;
    Ok(ParkedEvent { group, entry })
}
