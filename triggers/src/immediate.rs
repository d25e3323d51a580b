//! Appends outside an invocation's transaction, once for each (invocation, number), however often it runs.
//!
//! | table | key | value |
//! |---|---|---|
//! | `_weir_immediate` | id of the invocation `\0` number | `{"offsets":[[topic id, partition, offset],…]}`, or `{}` between the append and its note |
//!
//! The append and the row go in one transaction. Its offsets are known only after it, so they are noted by a second
//! one; a process that ends between the two leaves `{}`, and the re-run gets no offsets, but appends nothing twice.

use crate::host::unavailable;
use bytes::Bytes;
use std::time::Duration;
use weir_runtime::{HostError, Session};
use weir_schema::{
    At, InvocationId, Offset, Op, Read, Receipt, Records, StateKey, TableName, TopicId, Transaction, Write,
};

const TABLE: &str = "_weir_immediate";

/// How long it is remembered.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Note {
    #[serde(default)]
    offsets: Vec<(TopicId, u32, Offset)>,
}

/// Appends, or says where an earlier run of the same invocation appended.
pub(crate) async fn append(
    session: &Session,
    invocation: InvocationId,
    n: u32,
    records: Records,
) -> Result<Vec<(At, Offset)>, HostError> {
    let table = TableName::new(TABLE).expect("a constant that is well-formed");
    let key = StateKey { table, generation: 0, key: format!("{invocation}\0{n}").into() };
    let rows = session.log().get(std::slice::from_ref(&key)).await.map_err(unavailable)?;
    if let Some(row) = rows.into_iter().next().flatten() {
        return Ok(read_note(&row.value));
    }
    let mut transaction = Transaction::new(session.next_id(), session.catalog());
    transaction.reads.push(Read::Key(key.clone(), None));
    transaction.writes.push(put(session, &key, &Note::default(), transaction.id));
    transaction.appends.push(records);
    let receipt = commit(session, transaction).await?;
    let offsets: Vec<_> = receipt.offsets().collect();
    let note = Note { offsets: offsets.iter().map(|(at, o)| (at.topic, at.partition, *o)).collect() };
    let mut transaction = Transaction::new(session.next_id(), session.catalog());
    transaction.writes.push(put(session, &key, &note, transaction.id));
    commit(session, transaction).await?;
    Ok(offsets)
}

fn put(session: &Session, key: &StateKey, note: &Note, stamp: weir_schema::Stamp) -> Write {
    let value: Bytes = serde_json::to_vec(note).expect("numbers always have a JSON form").into();
    let expires = Some(session.clock().now().after(KEPT));
    Write { key: key.clone(), op: Op::Put { value, expires }, stamp }
}

fn read_note(value: &[u8]) -> Vec<(At, Offset)> {
    let note: Note = serde_json::from_slice(value).unwrap_or_default();
    note.offsets.into_iter().map(|(topic, partition, offset)| (At { topic, partition }, offset)).collect()
}

async fn commit(session: &Session, transaction: Transaction) -> Result<Receipt, HostError> {
    session.commit_surely(transaction).await.map_err(|e| HostError::Unavailable(e.to_string()))
}
