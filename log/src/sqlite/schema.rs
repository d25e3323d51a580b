//! The tables, by version, and how a file comes to have them.
//!
//! `events` keeps the bytes that it was given, below one number for partition and offset ([`super::events`]): appending
//! to a table by rowid fills its pages and compares numbers only, about two thirds of the work of a key of three
//! columns. The views at the end are for people who open the file with `sqlite3`.

use super::error::Failure;
use crate::LogError;
use crate::versions::{Migration, SchemaState, missing};
use rusqlite::{Connection, OptionalExtension};
use std::path::Path;
use weir_schema::{AppName, WriterId};

/// What takes a file from one version to the next, from version 0, an empty file.
const MIGRATIONS: &[Migration] = &[Migration { what: "make the tables", oldest: 1, sql: "
CREATE TABLE meta(name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('schema', 0), ('catalog', 0), ('control', 0), ('writers', 0), ('epochs', 0);
CREATE TABLE lanes(writer INTEGER PRIMARY KEY, batch INTEGER NOT NULL);
CREATE TABLE topics(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL, partitioner TEXT NOT NULL,
  retention_ms INTEGER);
CREATE TABLE partitions(
  id INTEGER PRIMARY KEY CHECK (id < 1 << 18), topic INTEGER NOT NULL, part INTEGER NOT NULL,
  earliest INTEGER NOT NULL DEFAULT 0, tail INTEGER NOT NULL DEFAULT 0 CHECK (tail < 1 << 45),
  last_ts INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, UNIQUE (topic, part));
CREATE TABLE events(id INTEGER PRIMARY KEY, ts INTEGER NOT NULL, key BLOB, value BLOB, headers BLOB NOT NULL);
CREATE TABLE tables(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE rows(
  tbl INTEGER NOT NULL, gen INTEGER NOT NULL, key BLOB NOT NULL, value BLOB, counter INTEGER, stamp INTEGER NOT NULL,
  expires INTEGER, PRIMARY KEY (tbl, gen, key)) WITHOUT ROWID;
CREATE TABLE positions(
  name TEXT NOT NULL, topic INTEGER NOT NULL, part INTEGER NOT NULL, position INTEGER NOT NULL,
  epoch INTEGER NOT NULL DEFAULT 0, incarnation INTEGER NOT NULL DEFAULT 0, unclean INTEGER NOT NULL DEFAULT 0,
  owned INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (name, topic, part)) WITHOUT ROWID;
CREATE VIEW event_view AS
  SELECT t.name AS topic, p.part AS partition, e.id - (p.id << 45) AS \"offset\",
    strftime('%Y-%m-%dT%H:%M:%fZ', e.ts / 1000.0, 'unixepoch') AS time,
    CAST(e.key AS TEXT) AS key, CAST(e.value AS TEXT) AS value, e.headers
  FROM topics t JOIN partitions p ON p.topic = t.id
    JOIN events e ON e.id BETWEEN p.id << 45 AND (p.id << 45) + p.tail;
CREATE VIEW state_view AS
  SELECT t.name AS \"table\", r.gen AS generation, CAST(r.key AS TEXT) AS key,
    coalesce(CAST(r.value AS TEXT), r.counter) AS value,
    strftime('%Y-%m-%dT%H:%M:%fZ', r.expires / 1000.0, 'unixepoch') AS expires
  FROM rows r JOIN tables t ON t.id = r.tbl;
CREATE VIEW position_view AS
  SELECT g.name AS \"group\", t.name AS topic, g.part AS partition, g.position, p.tail - g.position AS lag,
    g.epoch, g.incarnation, g.unclean, g.owned
  FROM positions g JOIN topics t ON t.id = g.topic JOIN partitions p ON p.topic = g.topic AND p.part = g.part;
" }];

/// Numbers of the table `meta` that are there while the log is the half of a copy: of the log it comes from, and of that
/// one's writers.
pub(super) const COPY_ORIGIN: &str = "copy_origin";
pub(super) const COPY_WRITERS: &str = "copy_writers";

/// Brings a file up to date, holds it to one application, and takes a writer number.
pub(super) fn prepare(
    connection: &mut Connection,
    path: &Path,
    app: Option<&AppName>,
) -> Result<WriterId, Failure> {
    let transaction = super::connection::begin(connection)?;
    migrate(&transaction, path)?;
    if number_if_any(&transaction, COPY_ORIGIN)?.is_some() {
        return Err(crate::moving::refusal::half_a_copy(&path.display().to_string()).into());
    }
    if let Some(app) = app {
        claim(&transaction, path, app)?;
    }
    transaction.execute("UPDATE meta SET value = value + 1 WHERE name = 'writers'", [])?;
    let writer = number(&transaction, "writers")?;
    let writer = WriterId(u32::try_from(writer & 0xff_ffff).expect("24 bits fit"));
    transaction.execute("INSERT OR REPLACE INTO lanes VALUES (?1, 0)", [writer.0])?;
    transaction.commit()?;
    Ok(writer)
}

/// The number of the last batch that `writer` has committed.
pub(super) fn last_batch(connection: &Connection, writer: WriterId) -> rusqlite::Result<u64> {
    let sql = "SELECT batch FROM lanes WHERE writer = ?1";
    connection.query_row(sql, [writer.0], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
}

/// Notes, in the batch's own transaction, which one it is: so that it can be told after an error of `COMMIT`.
pub(super) fn set_last_batch(connection: &Connection, writer: WriterId, batch: u64) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("UPDATE lanes SET batch = ?2 WHERE writer = ?1")?;
    statement.execute((writer.0, batch.cast_signed())).map(drop)
}

/// Removes what was kept for a writer that is done.
pub(super) fn leave(connection: &Connection, writer: WriterId) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM lanes WHERE writer = ?1", [writer.0]).map(drop)
}

/// What the schema of the file `path` is and lacks; changes nothing, nor makes a file.
pub(super) fn state(connection: &Connection, path: &Path) -> Result<SchemaState, Failure> {
    let (found, missing) = look(connection, path)?;
    Ok(SchemaState::new(path.display().to_string(), found, MIGRATIONS.len(), missing))
}

/// That of a file that is not there yet.
pub(super) fn state_of_none(path: &Path) -> SchemaState {
    SchemaState::new(path.display().to_string(), 0, MIGRATIONS.len(), MIGRATIONS)
}

/// The version that a file has, and what it lacks.
fn look(connection: &Connection, path: &Path) -> Result<(u64, &'static [Migration]), Failure> {
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let is_ours = connection.table_exists(None, "meta")?;
    if tables > 0 && !is_ours {
        return Err(refused(
            path,
            "it is a SQLite database, but not one of Weir's: name another file".into(),
        ));
    }
    if !is_ours {
        return Ok((0, MIGRATIONS));
    }
    let found = number(connection, "schema")?;
    let oldest = number_if_any(connection, "oldest")?.unwrap_or(found);
    Ok((found, missing(MIGRATIONS, found, oldest).map_err(|why| refused(path, why))?))
}

/// Brings a file up to date, or makes its tables.
pub(super) fn migrate(transaction: &Connection, path: &Path) -> Result<(), Failure> {
    let (_, missing) = look(transaction, path)?;
    let Some(last) = missing.last() else { return Ok(()) };
    for migration in missing {
        transaction.execute_batch(migration.sql)?;
    }
    set_number(transaction, "schema", MIGRATIONS.len() as u64)?;
    let set = "INSERT OR REPLACE INTO meta VALUES ('oldest', ?1)";
    transaction.execute(set, [last.oldest.cast_signed()])?;
    Ok(())
}

/// The application that a log belongs to.
pub(super) fn owner(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT value FROM meta WHERE name = 'app'";
    connection.query_row(sql, [], |row| row.get(0)).optional()
}

fn claim(transaction: &Connection, path: &Path, app: &AppName) -> Result<(), Failure> {
    match owner(transaction)? {
        None => drop(transaction.execute("INSERT INTO meta VALUES ('app', ?1)", [app.as_str()])?),
        Some(owner) if owner != app.as_str() => {
            return Err(crate::open::other_app(&path.display().to_string(), &owner, app, "file").into());
        }
        Some(_) => {}
    }
    Ok(())
}

fn refused(path: &Path, why: String) -> Failure {
    let operation = format!("open log {}", path.display());
    LogError::Unavailable { operation, source: why.into(), retry: false }.into()
}

/// A number of the table `meta`.
pub(super) fn number(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    number_if_any(connection, name)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// A number of the table `meta` that need not be there.
pub(super) fn number_if_any(connection: &Connection, name: &str) -> rusqlite::Result<Option<u64>> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
    statement.query_row([name], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned).optional()
}

/// Sets a number of the table `meta`.
pub(super) fn set_number(connection: &Connection, name: &str, value: u64) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("UPDATE meta SET value = ?2 WHERE name = ?1")?;
    statement.execute((name, value.cast_signed())).map(drop)
}
