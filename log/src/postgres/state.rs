//! Rows of state.

use super::error::Failure;
use crate::LogError;
use crate::moving::Row as Moved;
use crate::scan::key_after;
use bytes::Bytes;
use deadpool_postgres::{Client, GenericClient};
use std::collections::HashMap;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use weir_schema::{Millis, ScanPage, Stamp, StateKey, StateRange, TableName, TxnId, Versioned, counter};

/// Rows by their keys, in one snapshot: the position of the key, the row.
const GET: &str = "SELECT u.i, r.value, r.counter, r.stamp, r.expires
    FROM unnest($1::text[], $2::int[], $3::bytea[]) WITH ORDINALITY u(t, g, k, i)
    JOIN tables n ON n.name = u.t JOIN rows r ON r.tbl = n.id AND r.gen = u.g AND r.key = u.k";

/// The rows of `keys`, in their order.
pub(super) async fn get(
    client: &impl GenericClient,
    keys: &[StateKey],
) -> Result<Vec<Option<Versioned>>, Failure> {
    let statement = client.prepare_cached(GET).await?;
    let tables: Vec<_> = keys.iter().map(|key| key.table.as_str()).collect();
    let generations: Vec<_> = keys.iter().map(|key| key.generation.cast_signed()).collect();
    let names: Vec<_> = keys.iter().map(|key| &*key.key).collect();
    let mut rows = vec![None; keys.len()];
    for row in client.query(&statement, &[&tables, &generations, &names]).await? {
        let index = usize::try_from(row.get::<_, i64>(0) - 1).expect("the server counts from 1");
        rows[index] = Some(versioned(&row, 1));
    }
    Ok(rows)
}

/// Up to `limit` rows of `range`, and at least one if there is one.
pub(super) async fn scan(client: &Client, range: &StateRange, limit: u32) -> Result<ScanPage, Failure> {
    // two statements: with `$6 IS NULL OR key < $6` the index would not end the scan
    let end = if range.to.is_some() { "AND key < $5" } else { "" };
    let sql = format!(
        "SELECT key, value, counter, stamp, expires FROM rows
         WHERE tbl = (SELECT id FROM tables WHERE name = $1) AND gen = $2 AND key >= $3 {end} ORDER BY key LIMIT $4"
    );
    let statement = client.prepare_cached(&sql).await?;
    let limit = limit.max(1) as usize;
    let (table, generation) = (range.table.as_str(), range.generation.cast_signed());
    let (from, to, count) = (&*range.from, range.to.as_deref(), i64::try_from(limit + 1).unwrap_or(i64::MAX));
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&table, &generation, &from, &count];
    values.extend(to.as_ref().map(|to| to as &(dyn ToSql + Sync)));
    let rows = client.query(&statement, &values).await?;
    let page: Vec<_> = rows.iter().take(limit).map(|row| (bytes(row, 0), versioned(row, 1))).collect();
    let next = page.last().filter(|_| rows.len() > limit).map(|(key, _)| key_after(key));
    Ok(ScanPage { rows: page, next })
}

/// What a range held at one moment.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// In the order of the keys.
    pub(super) rows: Vec<(Bytes, Stamp)>,
    /// As the server computes it, to be compared by the server only.
    pub(super) print: Vec<u8>,
}

/// What `range` holds.
pub(super) async fn held(client: &impl GenericClient, range: &StateRange) -> Result<Held, Failure> {
    let end = if range.to.is_some() { "AND r.key < $4" } else { "AND $4::bytea IS NULL" };
    let sql = format!(
        "SELECT weir_print(n.id, $2, $3, $4), p.keys, p.stamps
         FROM (SELECT coalesce((SELECT id FROM tables WHERE name = $1), 0) AS id) n,
         LATERAL (SELECT array_agg(key ORDER BY key) AS keys, array_agg(stamp ORDER BY key) AS stamps FROM rows r
           WHERE r.tbl = n.id AND r.gen = $2 AND r.key >= $3 {end}) p"
    );
    let statement = client.prepare_cached(&sql).await?;
    let (table, from, to) = (range.table.as_str(), &*range.from, range.to.as_deref());
    let values: [&(dyn ToSql + Sync); 4] = [&table, &range.generation.cast_signed(), &from, &to];
    let row = client.query_one(&statement, &values).await?;
    let keys: Option<Vec<&[u8]>> = row.get(1);
    let stamps: Option<Vec<i64>> = row.get(2);
    let keys = keys.unwrap_or_default().into_iter().map(Bytes::copy_from_slice);
    let stamps = stamps.unwrap_or_default().into_iter().map(stamp);
    Ok(Held { rows: keys.zip(stamps).collect(), print: row.get(0) })
}

/// Up to `limit` rows behind `after`, in the order of table, generation and key.
pub(super) async fn rows(
    client: &Client,
    after: Option<&StateKey>,
    limit: u32,
) -> Result<Vec<Moved>, Failure> {
    let first = after.map_or("", |after| after.table.as_str());
    let sql =
        "SELECT gen, key, value, counter, stamp, expires FROM rows WHERE tbl = $1 AND (gen, key) > ($2, $3)
        ORDER BY gen, key LIMIT $4";
    let statement = client.prepare_cached(sql).await?;
    let mut found = Vec::new();
    for (id, table) in tables(client).await?.into_iter().filter(|(_, table)| table.as_str() >= first) {
        let begin = after.filter(|after| after.table == table);
        let (generation, key) =
            begin.map_or((-1, &[][..]), |after| (after.generation.cast_signed(), &*after.key));
        let left = i64::from(limit) - i64::try_from(found.len()).unwrap_or(i64::MAX);
        let rows = client.query(&statement, &[&id, &generation, &key, &left]).await?;
        found.extend(rows.iter().map(|row| Moved { key: key_at(row, 0, &table), row: versioned(row, 2) }));
    }
    Ok(found)
}

/// The last row, in the order of [`rows`].
pub(super) async fn last(client: &Client) -> Result<Option<StateKey>, Failure> {
    let sql = "SELECT gen, key FROM rows WHERE tbl = $1 ORDER BY gen DESC, key DESC LIMIT 1";
    for (id, table) in tables(client).await?.into_iter().rev() {
        if let Some(row) = client.query_opt(sql, &[&id]).await? {
            return Ok(Some(key_at(&row, 0, &table)));
        }
    }
    Ok(None)
}

/// Every table with its number, by name.
async fn tables(client: &Client) -> Result<Vec<(i32, TableName)>, Failure> {
    let rows = client.query("SELECT id, name FROM tables ORDER BY name", &[]).await?;
    let table = |row: &Row| match TableName::new(row.get(1)) {
        Ok(name) => Ok((row.get(0), name)),
        Err(error) => {
            let subject = "the list of tables".into();
            Err(LogError::Corrupt { subject, detail: error.to_string() }.into())
        }
    };
    rows.iter().map(table).collect()
}

/// Generation and key in columns from `first` on.
fn key_at(row: &Row, first: usize, table: &TableName) -> StateKey {
    let generation = row.get::<_, i32>(first).cast_unsigned();
    StateKey { table: table.clone(), generation, key: bytes(row, first + 1) }
}

/// Makes rows these, whatever they were.
pub(super) async fn put(client: &impl GenericClient, rows: &[Moved]) -> Result<(), Failure> {
    let mut names: Vec<_> = rows.iter().map(|row| row.key.table.clone()).collect();
    names.dedup();
    let numbers: HashMap<_, _> = table_numbers(client, &names).await?.into_iter().collect();
    let tables: Vec<_> = rows.iter().map(|row| numbers[&row.key.table]).collect();
    let generations: Vec<_> = rows.iter().map(|row| row.key.generation.cast_signed()).collect();
    let keys: Vec<_> = rows.iter().map(|row| &*row.key.key).collect();
    let counters: Vec<_> = rows.iter().map(|row| counter(&row.row.value)).collect();
    let values = rows.iter().zip(&counters);
    let values: Vec<_> = values.map(|(row, counter)| counter.is_none().then_some(&*row.row.value)).collect();
    let stamps: Vec<_> = rows.iter().map(|row| row.row.stamp.0.cast_signed()).collect();
    let expires: Vec<_> = rows.iter().map(|row| row.row.expires.map(|expires| expires.0)).collect();
    let sql = "INSERT INTO rows(tbl, gen, key, value, counter, stamp, expires)
        SELECT * FROM unnest($1::int[], $2::int[], $3::bytea[], $4::bytea[], $5::bigint[], $6::bigint[], $7::bigint[])
        ON CONFLICT (tbl, gen, key) DO UPDATE SET value = excluded.value, counter = excluded.counter,
          stamp = excluded.stamp, expires = excluded.expires";
    let columns: [&(dyn ToSql + Sync); 7] =
        [&tables, &generations, &keys, &values, &counters, &stamps, &expires];
    client.execute(sql, &columns).await?;
    Ok(())
}

/// The numbers of tables; makes one for a table that has none, so that it can be locked.
pub(super) async fn table_numbers(
    client: &impl GenericClient,
    names: &[TableName],
) -> Result<Vec<(TableName, i32)>, Failure> {
    let texts: Vec<_> = names.iter().map(TableName::as_str).collect();
    let sql = "INSERT INTO tables(name) SELECT DISTINCT * FROM unnest($1::text[]) ORDER BY 1 ON CONFLICT DO NOTHING";
    client.execute(sql, &[&texts]).await?;
    // a statement of its own: it sees what another process has just made
    let sql = "SELECT t.id FROM unnest($1::text[]) WITH ORDINALITY u(n, i) JOIN tables t ON t.name = u.n ORDER BY u.i";
    let ids = client.query(sql, &[&texts]).await?;
    Ok(names.iter().cloned().zip(ids.iter().map(|row| row.get(0))).collect())
}

/// A stamp as it is in the database.
pub(super) fn stamp(number: i64) -> Stamp {
    TxnId(number.cast_unsigned())
}

/// Value, counter, stamp and expiry, in columns from `first` on.
fn versioned(row: &Row, first: usize) -> Versioned {
    let value = match row.get::<_, Option<i64>>(first + 1) {
        Some(number) => Bytes::from(number.to_string()),
        None => bytes(row, first),
    };
    let expires = row.get::<_, Option<i64>>(first + 3).map(Millis);
    Versioned { value, stamp: stamp(row.get(first + 2)), expires }
}

fn bytes(row: &Row, column: usize) -> Bytes {
    Bytes::copy_from_slice(row.get(column))
}
