//! Appends to a log in PostgreSQL while a stranger keeps a transaction open, and so every row that it could still see.
//!
//! `HELD_SECONDS=1800 cargo bench -p weir-log --bench held`: the rate in ten parts of that time, after one part without
//! the stranger. Keep 1.5 GB of disk free for each minute. Rows that each commit changes leave a dead version each, which nothing may remove meanwhile, and which
//! whoever looks for the row has to pass. Appends are to slow down by a fifth at most for it.
#![expect(clippy::print_stdout, reason = "its figures are for people")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use weir_log::conformance::places::Schema;
use weir_log::{Driver, Log, LogConfig, SystemClock, TopicSpec};
use weir_schema::{At, CatalogVersion, Partitioner, RecordsBuilder, TopicName, Transaction, TxnId};

const WRITERS: u64 = 64;
const PARTS: u32 = 10;
const VALUE: &[u8] = &[b'7'; 248];

#[tokio::main(worker_threads = 2)]
async fn main() {
    let seconds = std::env::var_os("HELD_SECONDS")
        .map_or(60, |n| n.to_str().and_then(|n| n.parse().ok()).expect("HELD_SECONDS is a number"));
    let part = Duration::from_secs(seconds) / PARTS;
    let schema = Schema::fresh();
    let driver = Driver::Postgres(schema.options());
    let log = weir_log::open(LogConfig { driver, app: None, clock: Arc::new(SystemClock) }).await;
    let log = log.expect("the log is opened");
    let name = TopicName::new("events").expect("valid");
    let spec = TopicSpec { name, partitions: 1, partitioner: Partitioner::Murmur2, retention: None };
    let at = At { topic: log.create_topic(&spec).await.expect("created").id, partition: 0 };
    println!("| seconds | appends/s | commits/s | size of `tails` |\n|---|---|---|---|");
    let watcher = schema.connect().await;
    let alone = measure(&*log, at, &watcher, "alone", part).await;
    let stranger = schema.connect().await;
    let hold = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM events";
    stranger.batch_execute(hold).await.expect("it stays open");
    let mut last = 0.0;
    for number in 1..=PARTS {
        last = measure(&*log, at, &watcher, &format!("{}", (part * number).as_secs()), part).await;
    }
    println!(
        "\nWith a stranger's transaction open for {seconds} s: {:.2} of the rate without it.",
        last / alone
    );
    log.close().await.expect("closed");
}

/// Appends for `part` by many writers; the events a second.
async fn measure(log: &dyn Log, at: At, watcher: &tokio_postgres::Client, what: &str, part: Duration) -> f64 {
    let batches = "SELECT max(batch), pg_relation_size('tails') FROM lanes";
    let before: i64 = watcher.query_one(batches, &[]).await.expect("it is SQL").get(0);
    let begun = Instant::now();
    let writers = (0..WRITERS).map(|_| append(log, at, begun + part));
    let appended: u64 = futures::future::join_all(writers).await.into_iter().sum();
    let took = begun.elapsed().as_secs_f64();
    let row = watcher.query_one(batches, &[]).await.expect("it is SQL");
    let (after, size): (i64, i64) = (row.get(0), row.get(1));
    let (rate, commits) = (appended as f64 / took, (after - before) as f64 / took);
    println!("| {what} | {rate:.0} | {commits:.0} | {} KiB |", size / 1024);
    rate
}

/// Appends one event after the other until `end`; how many.
async fn append(log: &dyn Log, at: At, end: Instant) -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let mut count = 0;
    while Instant::now() < end {
        let mut records = RecordsBuilder::with_capacity(1, 300);
        records.push(at, Some(b"key-000000000"), Some(VALUE), []);
        let mut transaction =
            Transaction::new(TxnId(LAST.fetch_add(1, Ordering::Relaxed)), CatalogVersion(0));
        transaction.appends.push(records.build());
        log.commit(Arc::new(transaction)).await.expect("committed");
        count += 1;
    }
    count
}
