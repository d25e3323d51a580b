//! Removes rows of state whose time is over. Readers do not see them anyway: this gives their space back.

use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use weir_log::{CommitError, LogError, all_rows};
use weir_runtime::Session;
use weir_schema::{Millis, Op, Read, StateKey, StateRange, TableName, Transaction, Versioned, Write};

/// How long a row stays after its time: an event that is handled late reads by its own time, not by the clock's.
const GRACE: Duration = Duration::from_secs(24 * 3600);

/// Rows that one transaction removes at most.
const STEP: u32 = 500;

/// Tables of the platform's own whose rows expire.
const OWN: [&str; 2] = ["_weir_idempotency", "_weir_immediate"];

/// Removes what expired more than a day ago; how many rows.
pub(crate) async fn sweep(session: &Session) -> Result<usize, LogError> {
    let before = session.clock().now().before(GRACE);
    let mut removed = 0;
    for table in tables(session).await? {
        let mut range = StateRange { table, generation: 0, from: Bytes::new(), to: None };
        loop {
            let page = session.log().scan(&range, STEP).await?;
            removed += remove(session, &range.table, page.rows, before).await?;
            match page.next {
                Some(next) => range.from = next,
                None => break,
            }
        }
    }
    Ok(removed)
}

async fn remove(
    session: &Session,
    table: &TableName,
    rows: Vec<(Bytes, Versioned)>,
    before: Millis,
) -> Result<usize, LogError> {
    let mut transaction = Transaction::new(session.next_id(), session.catalog());
    let stamp = transaction.id;
    for (key, row) in rows.into_iter().filter(|(_, row)| row.expires.is_some_and(|e| e < before)) {
        let key = StateKey { table: table.clone(), generation: 0, key };
        transaction.reads.push(Read::Key(key.clone(), Some(row.stamp)));
        transaction.writes.push(Write { key, op: Op::Delete, stamp });
    }
    let count = transaction.writes.len();
    if count == 0 {
        return Ok(0);
    }
    match session.log().commit(Arc::new(transaction)).await {
        Ok(_) => Ok(count),
        // one was written again in the meantime: the next sweep looks again
        Err(CommitError::Conflict { .. }) => Ok(0),
        Err(error) => {
            let operation = format!("remove expired rows of {table}");
            Err(LogError::Unavailable { operation, source: error.into(), retry: true })
        }
    }
}

/// Every table that a function has written, and the platform's own.
async fn tables(session: &Session) -> Result<BTreeSet<TableName>, LogError> {
    let table = |name: &str| TableName::new(name).ok();
    let mut tables: BTreeSet<_> = OWN.iter().filter_map(|name| table(name)).collect();
    let writers = table(Session::WRITERS).expect("a constant that is well-formed");
    let range = StateRange { table: writers, generation: 0, from: Bytes::new(), to: None };
    let rows = all_rows(&**session.log(), range).await?;
    let names = rows.iter().filter_map(|(key, _)| std::str::from_utf8(key).ok()?.split('\0').next());
    tables.extend(names.filter_map(table));
    Ok(tables)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use weir_log::{Driver, LogConfig, ManualClock};
    use weir_runtime::Effects;
    use weir_schema::FunctionName;

    #[tokio::test]
    async fn rows_are_removed_a_day_after_their_time_and_others_stay() {
        let clock = Arc::new(ManualClock::new(Millis(0)));
        let log = weir_log::open(LogConfig { driver: Driver::Memory, app: None, clock: clock.clone() }).await;
        let session = Session::new(log.expect("memory opens"), clock.clone(), BTreeMap::new());
        let table = TableName::new("visits").expect("valid");
        let key = |name: &'static str| StateKey { table: table.clone(), generation: 0, key: name.into() };
        let put = |expires| Op::Put { value: "1".into(), expires };
        let effects = Effects {
            writes: vec![
                (key("kept"), put(None)),
                (key("short"), put(Some(Millis(10)))),
                (key("long"), put(Some(Millis(i64::MAX)))),
            ],
            writers: vec![(FunctionName::new("f").expect("valid"), table.clone())],
            ..Effects::default()
        };
        session
            .log()
            .commit(Arc::new(session.transaction(session.next_id(), effects)))
            .await
            .expect("committed");
        clock.set(Millis(10).after(GRACE));
        assert_eq!(sweep(&session).await.expect("swept"), 0);
        clock.set(Millis(11).after(GRACE));
        assert_eq!(sweep(&session).await.expect("swept"), 1);
        let rows = session.log().get(&[key("kept"), key("short"), key("long")]).await.expect("read");
        assert_eq!(rows.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    }
}
