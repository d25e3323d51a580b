//! Nodes of two releases on one schema.

use super::*;
use crate::ManualClock;
use crate::conformance::places::Schema;
use crate::conformance::{Fixture, add, events, key, offsets};
use crate::postgres::{PostgresLog, PostgresOptions};
use std::sync::Arc;

/// What a next release could add: a column and an index.
const NEXT: &[Migration] = &[
    MIGRATIONS[0],
    Migration {
        what: "note who wrote a row",
        sql: "ALTER TABLE rows ADD COLUMN writer int; CREATE INDEX rows_of_writer ON rows(writer);
            CREATE TABLE added(n int)",
        oldest: 1,
    },
];

/// And what the one after it could take away.
const NARROWED: &[Migration] = &[
    NEXT[0],
    NEXT[1],
    Migration { what: "drop what nobody uses any more", sql: "DROP VIEW state_view", oldest: 2 },
];

async fn open(options: PostgresOptions, migrations: &'static [Migration]) -> Result<Fixture, LogError> {
    let clock = Arc::new(ManualClock::default());
    let log = PostgresLog::open_as(options, None, clock.clone(), migrations).await?;
    Ok(Fixture::new(Arc::new(log), clock, ()))
}

/// Everything that a commit can do.
async fn works(f: &Fixture, round: i64) {
    let at = f.partition().await;
    let mut transaction = f.transaction();
    transaction.appends.push(events(at, &["x"]));
    transaction.writes.push(add(&key("t", "n"), 1, transaction.id));
    let receipt = f.done(transaction).await;
    assert_eq!((offsets(&receipt), receipt.sums[0].1), (vec![round.cast_unsigned() - 1], round));
    assert_eq!(f.values(at, 0).await.len(), usize::try_from(round).expect("positive"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_two_releases_work_side_by_side() {
    let schema = Schema::fresh();
    let older = open(schema.options(), MIGRATIONS).await.expect("it makes the schema");
    works(&older, 1).await;
    let newer = open(schema.options(), NEXT).await.expect("it migrates while the older one works");
    works(&newer, 2).await;
    works(&older, 3).await;
    let started_later = open(schema.options(), MIGRATIONS).await.expect("it may work with the newer schema");
    works(&started_later, 4).await;
    let sql = "SELECT value FROM meta WHERE name = 'schema'";
    let row = schema.connect().await.query_one(sql, &[]).await.expect("it is SQL");
    assert_eq!(row.get::<_, i64>(0), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_two_before_a_schema_is_refused() {
    let schema = Schema::fresh();
    drop(open(schema.options(), NARROWED).await.expect("it makes the schema"));
    works(&open(schema.options(), NEXT).await.expect("it is the one before"), 1).await;
    let refused = open(schema.options(), MIGRATIONS).await.expect_err("it is two behind");
    let said = refused.to_string();
    assert!(said.contains("its schema has version 3, this program knows 1: use a newer weir"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_schema_lacks_is_told_and_not_done() {
    let schema = Schema::fresh();
    let server = Server::new(&schema.options()).expect("valid");
    let state = async |migrations| {
        let client = server.client().await.expect("the server is up");
        state(&client, &server, migrations).await.expect("it can be told")
    };
    let at_first = state(NEXT).await;
    assert_eq!((at_first.found, at_first.newest), (Some(0), 2));
    assert_eq!(at_first.missing, ["make the tables", "note who wrote a row"]);
    assert_eq!(state(NEXT).await, at_first, "nothing was done");
    let log = open(schema.options(), MIGRATIONS).await.expect("it makes the schema");
    assert_eq!(state(NEXT).await.missing, ["note who wrote a row"]);
    log.log.close().await.expect("closed");
    drop(open(schema.options(), NEXT).await.expect("it migrates"));
    assert!(state(NEXT).await.missing.is_empty() && state(MIGRATIONS).await.missing.is_empty());
}
