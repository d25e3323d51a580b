//! Rows of state.
//!
//! A value that is a counter stands in a column of its own, so that an `Add` reads no text; what is read back is the
//! same bytes, because only canonical decimals are counters.

use super::error::Failure;
use crate::LogError;
use crate::moving::Row as Moved;
use crate::scan::key_after;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row};
use weir_schema::{
    Digest, DigestBuilder, Millis, ScanPage, Stamp, StateKey, StateRange, TableName, TxnId, Versioned,
    counter,
};

/// The row of `key`.
pub(super) fn row(connection: &Connection, key: &StateKey) -> rusqlite::Result<Option<Versioned>> {
    let sql = "SELECT value, counter, stamp, expires FROM rows
        WHERE tbl = (SELECT id FROM tables WHERE name = ?1) AND gen = ?2 AND key = ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let name = (key.table.as_str(), key.generation, &*key.key);
    statement.query_row(name, |row| versioned(row, 0)).optional()
}

/// The stamp of the row of `key`.
pub(super) fn stamp(connection: &Connection, key: &StateKey) -> rusqlite::Result<Option<Stamp>> {
    let sql = "SELECT stamp FROM rows
        WHERE tbl = (SELECT id FROM tables WHERE name = ?1) AND gen = ?2 AND key = ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let name = (key.table.as_str(), key.generation, &*key.key);
    statement.query_row(name, |row| stamp_in(row, 0)).optional()
}

/// Up to `limit` rows of `range`, and at least one if there is one.
pub(super) fn scan(connection: &Connection, range: &StateRange, limit: u32) -> rusqlite::Result<ScanPage> {
    let limit = limit.max(1) as usize;
    let mut page = ScanPage::default();
    each(connection, range, "key, value, counter, stamp, expires", |row| {
        if page.rows.len() == limit {
            page.next = page.rows.last().map(|(key, _)| key_after(key));
            return Ok(false);
        }
        page.rows.push((Bytes::copy_from_slice(key_in(row)?), versioned(row, 1)?));
        Ok(true)
    })?;
    Ok(page)
}

/// What `range` holds, as a digest.
pub(super) fn digest(connection: &Connection, range: &StateRange) -> rusqlite::Result<Digest> {
    let mut digest = DigestBuilder::default();
    each(connection, range, "key, stamp", |row| {
        digest.row(key_in(row)?, stamp_in(row, 1)?);
        Ok(true)
    })?;
    Ok(digest.finish())
}

/// Shows `see` the rows of `range` in order, until it returns false.
fn each(
    connection: &Connection,
    range: &StateRange,
    columns: &str,
    mut see: impl FnMut(&Row<'_>) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    // two statements: with `?4 IS NULL OR key < ?4` the index would not end the scan
    let end = if range.to.is_some() { "AND key < ?4" } else { "" };
    let sql = format!(
        "SELECT {columns} FROM rows WHERE tbl = (SELECT id FROM tables WHERE name = ?1) AND gen = ?2
         AND key >= ?3 {end} ORDER BY key"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let (table, from) = (range.table.as_str(), &*range.from);
    let mut rows = match &range.to {
        Some(to) => statement.query((table, range.generation, from, &**to))?,
        None => statement.query((table, range.generation, from))?,
    };
    while let Some(row) = rows.next()? {
        if !see(row)? {
            break;
        }
    }
    Ok(())
}

/// Up to `limit` rows behind `after`, in the order of table, generation and key.
pub(super) fn rows(
    connection: &Connection,
    after: Option<&StateKey>,
    limit: u32,
) -> Result<Vec<Moved>, Failure> {
    let first = after.map_or("", |after| after.table.as_str());
    let sql =
        "SELECT gen, key, value, counter, stamp, expires FROM rows WHERE tbl = ?1 AND (gen, key) > (?2, ?3)
        ORDER BY gen, key LIMIT ?4";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = Vec::new();
    for (id, table) in tables(connection)?.into_iter().filter(|(_, table)| table.as_str() >= first) {
        let begin = after.filter(|after| after.table == table);
        let (generation, key) =
            begin.map_or((-1, &[][..]), |after| (i64::from(after.generation), &*after.key));
        let left = i64::from(limit) - i64::try_from(found.len()).unwrap_or(i64::MAX);
        let mut rows = statement.query((id, generation, key, left))?;
        while let Some(row) = rows.next()? {
            found.push(Moved { key: key_at(row, 0, &table)?, row: versioned(row, 2)? });
        }
    }
    Ok(found)
}

/// The last row, in the order of [`rows`].
pub(super) fn last(connection: &Connection) -> Result<Option<StateKey>, Failure> {
    let sql = "SELECT gen, key FROM rows WHERE tbl = ?1 ORDER BY gen DESC, key DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    for (id, table) in tables(connection)?.into_iter().rev() {
        if let Some(last) = statement.query_row([id], |row| key_at(row, 0, &table)).optional()? {
            return Ok(Some(last));
        }
    }
    Ok(None)
}

/// Every table with its number, by name.
fn tables(connection: &Connection) -> Result<Vec<(i64, TableName)>, Failure> {
    let mut statement = connection.prepare_cached("SELECT id, name FROM tables ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut tables = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(1)?;
        let name = TableName::new(&name)
            .map_err(|e| LogError::Corrupt { subject: "the list of tables".into(), detail: e.to_string() })?;
        tables.push((row.get(0)?, name));
    }
    Ok(tables)
}

/// Generation and key in columns from `first` on.
fn key_at(row: &Row<'_>, first: usize, table: &TableName) -> rusqlite::Result<StateKey> {
    let key = Bytes::copy_from_slice(row.get_ref(first + 1)?.as_blob()?);
    Ok(StateKey { table: table.clone(), generation: row.get(first)?, key })
}

/// The number of a table; makes one if it has none.
pub(super) fn table_id(connection: &Connection, table: &TableName) -> rusqlite::Result<i64> {
    let mut statement = connection.prepare_cached("SELECT id FROM tables WHERE name = ?1")?;
    if let Some(id) = statement.query_row([table.as_str()], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    let sql = "INSERT INTO tables(name) VALUES (?1) RETURNING id";
    connection.prepare_cached(sql)?.query_row([table.as_str()], |row| row.get(0))
}

/// Makes the row of `key`, in the table numbered `table`, this.
pub(super) fn put(
    connection: &Connection,
    table: i64,
    key: &StateKey,
    value: &[u8],
    stamp: Stamp,
    expires: Option<Millis>,
) -> rusqlite::Result<()> {
    let sql =
        "INSERT INTO rows(tbl, gen, key, value, counter, stamp, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
        ON CONFLICT DO UPDATE SET value = excluded.value, counter = excluded.counter, stamp = excluded.stamp,
        expires = excluded.expires";
    let number = counter(value);
    let blob = if number.is_some() { None } else { Some(value) };
    let expires = expires.map(|e| e.0);
    let values = (table, key.generation, &*key.key, blob, number, stamp.0.cast_signed(), expires);
    connection.prepare_cached(sql)?.execute(values).map(drop)
}

/// Removes the row of `key`.
pub(super) fn delete(connection: &Connection, table: i64, key: &StateKey) -> rusqlite::Result<()> {
    let sql = "DELETE FROM rows WHERE tbl = ?1 AND gen = ?2 AND key = ?3";
    connection.prepare_cached(sql)?.execute((table, key.generation, &*key.key)).map(drop)
}

/// Value, counter, stamp and expiry, in columns from `first` on.
fn versioned(row: &Row<'_>, first: usize) -> rusqlite::Result<Versioned> {
    let value = match row.get::<_, Option<i64>>(first + 1)? {
        Some(number) => Bytes::from(number.to_string()),
        None => Bytes::copy_from_slice(row.get_ref(first)?.as_blob()?),
    };
    let expires = row.get::<_, Option<i64>>(first + 3)?.map(Millis);
    Ok(Versioned { value, stamp: stamp_in(row, first + 2)?, expires })
}

fn stamp_in(row: &Row<'_>, column: usize) -> rusqlite::Result<Stamp> {
    row.get::<_, i64>(column).map(|n| TxnId(n.cast_unsigned()))
}

fn key_in<'r>(row: &'r Row<'_>) -> rusqlite::Result<&'r [u8]> {
    Ok(row.get_ref(0)?.as_blob()?)
}
