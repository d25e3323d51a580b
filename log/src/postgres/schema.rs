//! The tables, by version, and how a schema comes to have them.
//!
//! The views are for people who open the database with `psql`.

use super::connection::{Server, quoted};
use super::error::Failure;
use crate::LogError;
use crate::versions::{Migration, SchemaState, missing};
use deadpool_postgres::{Client, GenericClient, Transaction};
use std::time::Duration;
use weir_schema::{AppName, WriterId};

/// What takes a schema from one version to the next, from version 0, an empty schema.
pub(super) const MIGRATIONS: &[Migration] = &[Migration {
    what: "make the tables",
    sql: concat!(include_str!("sql/001_tables.sql"), include_str!("sql/001_commit.sql")),
    oldest: 1,
}];

/// Numbers of the table `meta` that are there while the log is the half of a copy: of the log it comes from, and of that
/// one's writers.
pub(super) const COPY_ORIGIN: &str = "copy_origin";
pub(super) const COPY_WRITERS: &str = "copy_writers";

/// What this process is in the database.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub(super) writer: WriterId,
    /// The first number of the advisory locks of this schema, which other schemas of the database do not use.
    pub(super) space: i32,
}

/// What a log's schema is and lacks; changes nothing.
pub(super) async fn state(
    client: &Client,
    server: &Server,
    migrations: &'static [Migration],
) -> Result<SchemaState, Failure> {
    let (found, oldest) = version(client, server).await?;
    let missing = missing(migrations, found, oldest).map_err(|why| refused(server, why))?;
    Ok(SchemaState::new(server.place.clone(), found, migrations.len(), missing))
}

/// Brings a schema up to date, holds it to one application, and takes a writer number and a `lease` for it. Of several
/// processes that do so at once, one goes first.
pub(super) async fn prepare(
    client: &mut Client,
    server: &Server,
    app: Option<&AppName>,
    migrations: &'static [Migration],
    lease: Duration,
) -> Result<Seat, Failure> {
    let transaction = client.transaction().await?;
    bring_up_to_date(&transaction, server, migrations).await?;
    let half = "SELECT FROM meta WHERE name = $1";
    if transaction.query_opt(half, &[&COPY_ORIGIN]).await?.is_some() {
        return Err(crate::moving::refusal::half_a_copy(&server.place).into());
    }
    if let Some(app) = app {
        claim(&transaction, server, app).await?;
    }
    let space = "SELECT oid FROM pg_namespace WHERE nspname = $1";
    let space: u32 = transaction.query_one(space, &[&server.schema]).await?.get(0);
    let writer = "UPDATE meta SET value = value % 16777215 + 1 WHERE name = 'writers' RETURNING value::int";
    let writer: i32 = transaction.query_one(writer, &[]).await?.get(0);
    // the numbers come again, after a long time
    transaction.execute("DELETE FROM lanes WHERE writer = $1", &[&writer]).await?;
    transaction.execute("INSERT INTO lanes(writer, batch) VALUES ($1, 0)", &[&writer]).await?;
    super::groups::renew(&transaction, writer, lease).await?;
    transaction.commit().await?;
    Ok(Seat { writer: WriterId(writer.cast_unsigned()), space: space.cast_signed() })
}

/// Makes a schema and its tables, if there are none, and takes no number.
pub(super) async fn make(client: &mut Client, server: &Server) -> Result<(), Failure> {
    let transaction = client.transaction().await?;
    bring_up_to_date(&transaction, server, MIGRATIONS).await?;
    Ok(transaction.commit().await?)
}

/// Whether there are tables of ours.
pub(super) async fn is_made(client: &Client, server: &Server) -> Result<bool, Failure> {
    Ok(version(client, server).await?.0 > 0)
}

async fn bring_up_to_date(
    transaction: &Transaction<'_>,
    server: &Server,
    migrations: &'static [Migration],
) -> Result<(), Failure> {
    let lock = "SELECT pg_advisory_xact_lock(hashtext('weir'), hashtext($1))";
    transaction.execute(lock, &[&server.schema]).await?;
    let known = "SELECT FROM pg_namespace WHERE nspname = $1";
    if transaction.query_opt(known, &[&server.schema]).await?.is_none() {
        transaction.batch_execute(&format!("CREATE SCHEMA {}", quoted(&server.schema))).await?;
    }
    check_use(transaction, server).await?;
    migrate(transaction, server, migrations).await
}

/// Removes what was kept for a writer that is done.
pub(super) async fn leave(client: &Client, writer: WriterId) -> Result<(), Failure> {
    client.execute("DELETE FROM lanes WHERE writer = $1", &[&writer.0.cast_signed()]).await?;
    Ok(())
}

async fn migrate(
    transaction: &Transaction<'_>,
    server: &Server,
    migrations: &'static [Migration],
) -> Result<(), Failure> {
    let (found, oldest) = version(transaction, server).await?;
    let missing = missing(migrations, found, oldest).map_err(|why| refused(server, why))?;
    let Some(last) = missing.last() else { return Ok(()) };
    for migration in missing {
        transaction.batch_execute(migration.sql).await?;
    }
    set_number(transaction, "schema", migrations.len() as u64).await?;
    set_number(transaction, "oldest", last.oldest).await
}

/// A schema that a role may not use is as if it were not there.
async fn check_use(client: &impl GenericClient, server: &Server) -> Result<(), Failure> {
    let row = client.query_one("SELECT current_schema() IS NULL, current_user::text", &[]).await?;
    if row.get(0) {
        let user: &str = row.get(1);
        return Err(refused(server, format!("{user:?} may not use it; {}", super::error::GRANT)));
    }
    Ok(())
}

/// Sets a number of the table `meta`.
pub(super) async fn set_number(client: &impl GenericClient, name: &str, value: u64) -> Result<(), Failure> {
    let sql = "INSERT INTO meta VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    client.execute(sql, &[&name, &value.cast_signed()]).await?;
    Ok(())
}

/// The version that a schema has, 0 if it has no table of ours, and the oldest version whose programs can work with it.
async fn version(client: &impl GenericClient, server: &Server) -> Result<(u64, u64), Failure> {
    let known = "SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = 'meta'";
    if client.query_opt(known, &[&server.schema]).await?.is_none() {
        return Ok((0, 0));
    }
    check_use(client, server).await?;
    let numbers = "SELECT max(value) FILTER (WHERE name = 'schema'), max(value) FILTER (WHERE name = 'oldest') FROM meta";
    let row = client.query_one(numbers, &[]).await?;
    let number = |column| row.get::<_, Option<i64>>(column).map(i64::cast_unsigned);
    let found = number(0).unwrap_or(u64::MAX);
    Ok((found, number(1).unwrap_or(found)))
}

/// The application that a log belongs to.
pub(super) async fn owner(client: &impl GenericClient) -> Result<Option<String>, Failure> {
    Ok(client.query_opt("SELECT app FROM owner", &[]).await?.map(|row| row.get(0)))
}

async fn claim(transaction: &Transaction<'_>, server: &Server, app: &AppName) -> Result<(), Failure> {
    match owner(transaction).await? {
        None => drop(transaction.execute("INSERT INTO owner VALUES ($1)", &[&app.as_str()]).await?),
        Some(owner) if owner != app.as_str() => {
            return Err(crate::open::other_app(&server.place, &owner, app, "schema").into());
        }
        Some(_) => {}
    }
    Ok(())
}

fn refused(server: &Server, why: String) -> Failure {
    let operation = format!("open log {}", server.place);
    LogError::Unavailable { operation, source: why.into(), retry: false }.into()
}

#[cfg(test)]
mod tests;
