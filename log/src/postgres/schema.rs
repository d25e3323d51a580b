//! The tables, by version, and how a schema comes to have them.
//!
//! The views are for people who open the database with `psql`.

use super::connection::{Server, quoted};
use super::error::Failure;
use crate::LogError;
use deadpool_postgres::{Client, Transaction};
use weir_schema::{AppName, WriterId};

/// What takes a schema from one version to the next, from version 0, an empty schema. Never edited, only added to.
const MIGRATIONS: [&str; 1] =
    [concat!(include_str!("sql/001_tables.sql"), include_str!("sql/001_commit.sql"))];

/// What this process is in the database.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub(super) writer: WriterId,
    /// The first number of the advisory locks of this schema, which other schemas of the database do not use.
    pub(super) space: i32,
}

/// Brings a schema up to date, holds it to one application, and takes a writer number. Of several processes that do so
/// at once, one goes first.
pub(super) async fn prepare(
    client: &mut Client,
    server: &Server,
    app: Option<&AppName>,
) -> Result<Seat, Failure> {
    let transaction = client.transaction().await?;
    let lock = "SELECT pg_advisory_xact_lock(hashtext('weir'), hashtext($1))";
    transaction.execute(lock, &[&server.schema]).await?;
    let known = "SELECT FROM pg_namespace WHERE nspname = $1";
    if transaction.query_opt(known, &[&server.schema]).await?.is_none() {
        transaction.batch_execute(&format!("CREATE SCHEMA {}", quoted(&server.schema))).await?;
    }
    let row = transaction.query_one("SELECT current_schema() IS NULL, current_user::text", &[]).await?;
    if row.get(0) {
        let user: &str = row.get(1);
        return Err(refused(server, format!("{user:?} may not use it; {}", super::error::GRANT)));
    }
    migrate(&transaction, server).await?;
    if let Some(app) = app {
        claim(&transaction, server, app).await?;
    }
    let space = "SELECT oid FROM pg_namespace WHERE nspname = $1";
    let space: u32 = transaction.query_one(space, &[&server.schema]).await?.get(0);
    let writer = "UPDATE meta SET value = value % 16777215 + 1 WHERE name = 'writers' RETURNING value::int";
    let writer: i32 = transaction.query_one(writer, &[]).await?.get(0);
    let lane = "INSERT INTO lanes(writer, batch) VALUES ($1, 0)
        ON CONFLICT (writer) DO UPDATE SET batch = 0, applied = false, tails = NULL, bases = NULL";
    transaction.execute(lane, &[&writer]).await?;
    transaction.commit().await?;
    Ok(Seat { writer: WriterId(writer.cast_unsigned()), space: space.cast_signed() })
}

/// Removes what was kept for a writer that is done.
pub(super) async fn leave(client: &Client, writer: WriterId) -> Result<(), Failure> {
    client.execute("DELETE FROM lanes WHERE writer = $1", &[&writer.0.cast_signed()]).await?;
    Ok(())
}

async fn migrate(transaction: &Transaction<'_>, server: &Server) -> Result<(), Failure> {
    let found = version(transaction, &server.schema).await?;
    let newest = MIGRATIONS.len();
    if found > newest {
        let why = format!("its schema has version {found}, this program knows {newest}: use a newer weir");
        return Err(refused(server, why));
    }
    for migration in &MIGRATIONS[found..] {
        transaction.batch_execute(migration).await?;
    }
    if found < newest {
        let set =
            "INSERT INTO meta VALUES ('schema', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        transaction.execute(set, &[&i64::try_from(newest).expect("few")]).await?;
    }
    Ok(())
}

/// The version that a schema has; 0 if it has no table of ours.
async fn version(transaction: &Transaction<'_>, schema: &str) -> Result<usize, Failure> {
    let known = "SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = 'meta'";
    if transaction.query_opt(known, &[&schema]).await?.is_none() {
        return Ok(0);
    }
    let row = transaction.query_one("SELECT value FROM meta WHERE name = 'schema'", &[]).await?;
    Ok(usize::try_from(row.get::<_, i64>(0)).unwrap_or(usize::MAX))
}

async fn claim(transaction: &Transaction<'_>, server: &Server, app: &AppName) -> Result<(), Failure> {
    let owner = transaction.query_opt("SELECT app FROM owner", &[]).await?;
    match owner.map(|row| row.get::<_, String>(0)) {
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
