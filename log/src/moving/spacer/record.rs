//! What is kept of an import: rows of a reserved table, by topic.

use crate::LogError;
use crate::moving::{Edit, Import, Outline, Row};
use bytes::Bytes;
use std::collections::BTreeMap;
use weir_schema::{At, GroupName, StateKey, TableName, TopicId, TopicName, TxnId, Versioned, WriterId};

/// The table.
const IMPORTED: &str = "_weir_imported";

/// How far the import of a topic is.
#[derive(serde::Serialize, serde::Deserialize, Clone, PartialEq, Eq, Debug)]
pub(super) struct Record {
    /// Where Spacer's database is.
    pub(super) from: String,
    /// The offset of the last message that was imported.
    pub(super) last: i64,
    /// How many were.
    pub(super) events: u64,
    /// Where the groups of triggers stood, by partition, when the import was last at work. A group that stands elsewhere has
    /// moved by itself.
    pub(super) positions: BTreeMap<GroupName, Vec<u64>>,
}

/// Stamps for rows that are written.
#[derive(Debug)]
pub(super) struct Stamps {
    writer: WriterId,
    next: u64,
}

impl Stamps {
    pub(super) fn new(writer: WriterId) -> Self {
        Self { writer, next: 0 }
    }
}

impl Record {
    /// What is kept of `topic`.
    pub(super) async fn read(log: &mut dyn Import, topic: &TopicName) -> Result<Option<Self>, LogError> {
        let (mut before, wanted) = (key(""), key(topic.as_str()));
        // one by one: what follows the last of them are rows of other tables
        while let Some(found) = log.rows(Some(before), 1).await?.pop().filter(|row| row.key <= wanted) {
            if found.key == wanted {
                let record = serde_json::from_slice(&found.row.value);
                return record.map(Some).map_err(|error| LogError::Corrupt {
                    subject: format!("the row of {topic} in {IMPORTED}"),
                    detail: error.to_string(),
                });
            }
            before = found.key;
        }
        Ok(None)
    }

    /// The edit that keeps it.
    pub(super) fn edit(&self, topic: &TopicName, stamps: &mut Stamps) -> Edit {
        let value = serde_json::to_vec(self).expect("names and numbers are JSON");
        let stamp = TxnId::new(stamps.writer, stamps.next);
        stamps.next += 1;
        let row = Versioned { value: Bytes::from(value), stamp, expires: None };
        Edit::Rows(vec![Row { key: key(topic.as_str()), row }])
    }
}

/// Where `group` stands in a topic, by partition; none: it does not.
pub(super) fn positions(outline: &Outline, group: &GroupName, topic: TopicId) -> Option<Vec<u64>> {
    let stands = outline.positions.iter().map(|position| &position.standing);
    let here = stands.filter(|standing| standing.group == *group && standing.at.topic == topic);
    let mut places: Vec<(At, u64)> = here.map(|standing| (standing.at, standing.position.0)).collect();
    places.sort_unstable();
    (!places.is_empty()).then(|| places.into_iter().map(|(_, position)| position).collect())
}

fn key(topic: &str) -> StateKey {
    let table = TableName::new(IMPORTED).expect("it is well-formed");
    StateKey { table, generation: 0, key: Bytes::copy_from_slice(topic.as_bytes()) }
}
