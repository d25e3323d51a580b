//! What people have decided about triggers, in the reserved table `_weir_control`: key `pause\0GROUP`, there while
//! the trigger is paused by hand.

use std::sync::Arc;
use weir_log::{CommitError, LogError};
use weir_runtime::Session;
use weir_schema::{GroupName, Op, StateKey, TableName, Transaction, Write};

const TABLE: &str = "_weir_control";

pub(crate) fn pause_key(group: &GroupName) -> StateKey {
    let table = TableName::new(TABLE).expect("a constant that is well-formed");
    StateKey { table, generation: 0, key: format!("pause\0{group}").into() }
}

/// Whether a trigger is paused by hand.
pub(crate) async fn is_paused(session: &Session, group: &GroupName) -> Result<bool, LogError> {
    Ok(session.log().get(&[pause_key(group)]).await?.into_iter().flatten().next().is_some())
}

/// What the row holds.
pub(crate) fn paused() -> Op {
    Op::Put { value: "true".into(), expires: None }
}

/// Remembers, or forgets, that a trigger is paused by hand.
pub(crate) async fn remember_pause(
    session: &Session,
    group: &GroupName,
    is_paused: bool,
) -> Result<(), CommitError> {
    let op = if is_paused { paused() } else { Op::Delete };
    let mut transaction = Transaction::new(session.next_id(), session.catalog());
    transaction.writes.push(Write { key: pause_key(group), op, stamp: transaction.id });
    session.log().commit(Arc::new(transaction)).await.map(drop)
}
