//! Parked events, and what else the platform keeps of a trigger's partition: rows of reserved tables, written by the
//! same transactions that move the position.
//!
//! | table | key | value |
//! |---|---|---|
//! | `_weir_parked` | group `\0` partition (u32, big endian) `\0` offset (u64, big endian) | an [`Entry`] as JSON |
//! | `_weir_marks` | group `\0` partition | the offset that is about to run on probation, as a decimal |
//! | `_weir_audit` | group `\0` partition `\0` offset `\0` id of the transaction | an [`Audit`] as JSON |

use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use weir_schema::{Fence, GroupName, Millis, Offset, StateKey, StateRange, TableName, TopicName, TxnId};

/// The table of parked events.
pub const PARKED: &str = "_weir_parked";
/// The table of marks.
pub const MARKS: &str = "_weir_marks";
/// The table of events that were dropped.
pub const AUDIT: &str = "_weir_audit";

/// Bytes of one error's text that an entry keeps.
const MAX_ERROR: usize = 4 << 10;
/// Errors that an entry keeps: the first one and the last ones.
const MAX_ERRORS: usize = 100;

/// Whether a parked event waits for its time or for someone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryState {
    /// It runs again when it is due and first of its key.
    Waiting,
    /// It was slow, so the others passed it; its attempt may still run.
    Running,
    /// Its attempts are used up, or it ended the process too often: it waits for someone.
    Held,
}

/// One failed attempt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EntryError {
    /// When it was judged.
    pub time: Millis,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The error's text.
    pub error: String,
}

/// A parked event. The event itself stays in the log, which does not remove it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Its topic.
    pub topic: TopicName,
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: Offset,
    /// Its key.
    #[serde(with = "base64_bytes", default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Bytes>,
    /// Its time: by it rows expire for the function.
    pub time: Millis,
    /// Waiting, running or held.
    pub state: EntryState,
    /// Failed attempts.
    pub attempts: u32,
    /// How often the process ended while it ran beside the main line.
    pub crashes: u32,
    /// Whether an attempt has begun of which no end is known.
    pub started: bool,
    /// Not before this.
    pub due: Millis,
    /// The failed attempts: the first one and the last 99.
    pub errors: Vec<EntryError>,
    /// How often its value has been edited.
    #[serde(default)]
    pub edit: u32,
    /// The value that the function is given instead of the event's own.
    #[serde(with = "base64_bytes", default, skip_serializing_if = "Option::is_none")]
    pub edited: Option<Bytes>,
}

/// Why a row is no entry.
#[derive(Debug, thiserror::Error)]
#[error("row {key:?} of {PARKED} is damaged: {source}")]
pub struct EntryDamaged {
    key: Bytes,
    source: serde_json::Error,
}

impl Entry {
    /// An event that waits from `due` on and of which no attempt is known.
    #[must_use]
    pub fn waiting(
        topic: TopicName,
        partition: u32,
        offset: Offset,
        key: Option<Bytes>,
        time: Millis,
        due: Millis,
    ) -> Self {
        Self {
            topic,
            partition,
            offset,
            key,
            time,
            state: EntryState::Waiting,
            attempts: 0,
            crashes: 0,
            started: false,
            due,
            errors: Vec::new(),
            edit: 0,
            edited: None,
        }
    }

    /// Reads a row of [`PARKED`].
    ///
    /// # Errors
    /// `EntryDamaged`: someone else has written it.
    pub fn from_row(key: &Bytes, value: &[u8]) -> Result<Self, EntryDamaged> {
        serde_json::from_slice(value).map_err(|source| EntryDamaged { key: key.clone(), source })
    }

    /// The row's value.
    #[must_use]
    pub fn to_json(&self) -> Bytes {
        serde_json::to_vec(self).expect("an entry always has a JSON form").into()
    }

    /// The row's key, for the group that owns `fence`.
    #[must_use]
    pub fn key(fence: &Fence, offset: Offset) -> StateKey {
        Self::row(&fence.group, fence.at.partition, offset)
    }

    /// The row's key, for whoever clears a group away.
    pub(crate) fn row(group: &GroupName, partition: u32, offset: Offset) -> StateKey {
        let mut key = prefix(group, partition);
        key.push(0);
        key.extend_from_slice(&offset.0.to_be_bytes());
        reserved(PARKED, key)
    }

    /// The rows of one partition of a group.
    #[must_use]
    pub fn range(group: &GroupName, partition: u32) -> StateRange {
        let mut from = prefix(group, partition);
        from.push(0);
        let to = StateRange::end_of_prefix(&from);
        StateRange { table: table(PARKED), generation: 0, from: from.into(), to }
    }

    /// Adds a failed attempt: counts it and keeps its error.
    pub fn failed(&mut self, time: Millis, message: &str) {
        self.attempts += 1;
        self.started = false;
        let ends = (0..=message.len().min(MAX_ERROR)).rev();
        let cut = ends.into_iter().find(|i| message.is_char_boundary(*i)).unwrap_or(0);
        self.errors.push(EntryError { time, attempt: self.attempts, error: message[..cut].to_owned() });
        if self.errors.len() > MAX_ERRORS {
            self.errors.remove(1);
        }
    }
}

/// Says that an event was dropped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Audit {
    /// When.
    pub time: Millis,
    /// Who and why.
    pub reason: String,
    /// What was dropped.
    pub entry: Entry,
}

/// The row of the mark of one partition of a group: the offset that is about to run on probation.
#[must_use]
pub fn mark_key(group: &GroupName, partition: u32) -> StateKey {
    reserved(MARKS, prefix(group, partition))
}

/// The row that says that an event was dropped by the transaction `id`.
#[must_use]
pub fn audit_key(fence: &Fence, offset: Offset, id: TxnId) -> StateKey {
    let mut key = Entry::key(fence, offset).key.to_vec();
    key.push(0);
    key.extend_from_slice(&id.0.to_be_bytes());
    reserved(AUDIT, key)
}

fn prefix(group: &GroupName, partition: u32) -> Vec<u8> {
    let mut key = Vec::with_capacity(group.as_str().len() + 16);
    key.extend_from_slice(group.as_str().as_bytes());
    key.push(0);
    key.extend_from_slice(&partition.to_be_bytes());
    key
}

fn reserved(name: &'static str, key: Vec<u8>) -> StateKey {
    StateKey { table: table(name), generation: 0, key: key.into() }
}

fn table(name: &'static str) -> TableName {
    TableName::new(name).expect("a constant that is well-formed")
}

mod base64_bytes {
    use super::{BASE64, Bytes};
    use base64::Engine as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "the signature that serde asks for")]
    pub(super) fn serialize<S: Serializer>(bytes: &Option<Bytes>, to: S) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => to.serialize_str(&BASE64.encode(bytes)),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Bytes>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
        BASE64.decode(text).map(|b| Some(b.into())).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_schema::{At, Epoch, TopicId};

    fn entry() -> Entry {
        let topic = TopicName::new("orders").expect("valid");
        let key = Some(Bytes::from_static(b"\xff\0k"));
        let entry = Entry::waiting(topic, 2, Offset(7), key, Millis(1000), Millis(0));
        Entry { edit: 1, edited: Some(Bytes::from_static(b"{}")), ..entry }
    }

    #[test]
    fn an_entry_comes_back_from_its_row() {
        let mut entry = entry();
        entry.failed(Millis(5), "no such order");
        let row = entry.to_json();
        assert_eq!(Entry::from_row(&Bytes::new(), &row).expect("an entry"), entry);
        assert!(Entry::from_row(&Bytes::new(), b"{}").is_err());
    }

    #[test]
    fn the_rows_of_a_partition_are_those_of_its_range_in_offset_order() {
        let group = GroupName::new("orders/on_order").expect("valid");
        let fence = |partition| Fence {
            group: group.clone(),
            at: At { topic: TopicId(0), partition },
            epoch: Epoch(1),
        };
        let range = Entry::range(&group, 1);
        assert!(range.contains(&Entry::key(&fence(1), Offset(0))));
        assert!(range.contains(&Entry::key(&fence(1), Offset(u64::MAX))));
        assert!(!range.contains(&Entry::key(&fence(0), Offset(0))));
        assert!(!range.contains(&Entry::key(&fence(2), Offset(0))));
        assert!(Entry::key(&fence(1), Offset(255)) < Entry::key(&fence(1), Offset(256)));
    }

    #[test]
    fn the_history_keeps_the_first_error_and_the_last_ones() {
        let mut entry = entry();
        for n in 1..=150 {
            entry.failed(Millis(n), &format!("error {n} {}", "x".repeat(5000)));
        }
        assert_eq!((entry.attempts, entry.errors.len()), (150, 100));
        assert_eq!((entry.errors[0].attempt, entry.errors[1].attempt), (1, 52));
        assert_eq!(entry.errors[99].error.len(), 4096);
    }
}
