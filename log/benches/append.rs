//! Appends to a log in a file, against what the disk and SQLite themselves do in the same run.
//!
//! `cargo bench -p weir-log --bench append`. Only the ratios mean something: a disk's sync time changes from minute to
//! minute, so each round measures all four things one after the other, and the medians of the rounds are compared.
#![expect(clippy::print_stdout, reason = "its figures are for people")]

use rusqlite::{Connection, params};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir_log::{Driver, Log, LogConfig, SqliteOptions, SystemClock, TopicSpec};
use weir_schema::{At, CatalogVersion, Partitioner, RecordsBuilder, TopicName, Transaction, TxnId};

const ROUNDS: usize = 5;
const EACH: Duration = Duration::from_millis(1500);
const WRITERS: u64 = 256;
const VALUE: &[u8] = &[b'7'; 248];

fn main() {
    let folder = tempfile::tempdir().expect("a folder is made");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut rounds: [Vec<f64>; 6] = Default::default();
    for round in 0..ROUNDS {
        let place = folder.path().join(round.to_string());
        std::fs::create_dir(&place).expect("a folder is made");
        rounds[0].push(sync_p50(&place));
        let (alone, many) = runtime.block_on(log(&place.join("log.db")));
        rounds[1].push(alone);
        rounds[2].push(many);
        rounds[3].push(median(raw(&place.join("raw1.db"), 1)));
        for (round, batch) in [(4, 256), (5, 1000)] {
            let times = raw(&place.join(format!("raw{batch}.db")), batch);
            rounds[round].push((times.len() as u64 * batch) as f64 / times.iter().sum::<f64>());
        }
    }
    let [sync, alone, many, raw1, raw256, raw1000] = rounds.map(median);
    println!("fdatasync of 4 KiB, p50           {:8.3} ms", sync * 1e3);
    println!("append, one writer, p50           {:8.3} ms   {:.2} of the sync", alone * 1e3, alone / sync);
    println!("raw SQLite, one event, p50        {:8.3} ms   {:.2} of the sync", raw1 * 1e3, raw1 / sync);
    println!("append, {WRITERS} writers              {many:8.0} events/s");
    println!(
        "raw SQLite, batches of 256        {raw256:8.0} events/s   append is {:.2} of it",
        many / raw256
    );
    println!(
        "raw SQLite, batches of 1000       {raw1000:8.0} events/s   append is {:.2} of it",
        many / raw1000
    );
    // for `make bench`; JSON by hand, so that the log needs no crate for it
    println!(
        "RESULT {{\"writers_per_s\":{many},\"raw_per_s\":{raw1000},\"one_ms\":{},\"sync_ms\":{}}}",
        alone * 1e3,
        sync * 1e3
    );
}

/// Overwrites 4 KiB of a file that has its blocks already, and syncs; half of the times are below, in seconds.
fn sync_p50(folder: &Path) -> f64 {
    let mut file = File::create(folder.join("probe")).expect("made");
    file.write_all(&vec![0; 8 << 20]).expect("written");
    file.sync_all().expect("synced");
    let times = repeat(|n| {
        file.seek(SeekFrom::Start(n % 2000 * 4096)).expect("there");
        file.write_all(&[1; 4096]).expect("written");
        file.sync_data().expect("synced");
    });
    median(times)
}

/// The p50 in seconds of one writer, and the events a second of many.
async fn log(path: &Path) -> (f64, f64) {
    let driver = Driver::Sqlite { path: path.to_owned(), options: SqliteOptions::default() };
    let log =
        weir_log::open(LogConfig { driver, app: None, clock: Arc::new(SystemClock) }).await.expect("opened");
    let name = TopicName::new("events").expect("valid");
    let spec = TopicSpec { name, partitions: 1, partitioner: Partitioner::Murmur2, retention: None };
    let at = At { topic: log.create_topic(&spec).await.expect("created").id, partition: 0 };
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < EACH {
        let begun = Instant::now();
        append(&*log, at, times.len() as u64).await;
        times.push(begun.elapsed().as_secs_f64());
    }
    let mut writers = tokio::task::JoinSet::new();
    let start = Instant::now();
    for writer in 1..=WRITERS {
        let log = log.clone();
        writers.spawn(async move {
            let mut count = 0_u64;
            while start.elapsed() < EACH {
                append(&*log, at, writer << 24 | count).await;
                count += 1;
            }
            count
        });
    }
    let counts = writers.join_all().await;
    let rate = counts.iter().sum::<u64>() as f64 / start.elapsed().as_secs_f64();
    log.close().await.expect("closed");
    (median(times), rate)
}

async fn append(log: &dyn Log, at: At, id: u64) {
    let mut records = RecordsBuilder::with_capacity(1, 300);
    records.push(at, Some(b"key-000000000"), Some(VALUE), []);
    let mut transaction = Transaction::new(TxnId(id), CatalogVersion(0));
    transaction.appends.push(records.build());
    log.commit(Arc::new(transaction)).await.expect("committed");
}

/// How long each batch of the same rows takes one connection, in seconds.
fn raw(path: &Path, batch: u64) -> Vec<f64> {
    let connection = Connection::open(path).expect("opened");
    connection
        .execute_batch(
            "PRAGMA journal_mode = wal; PRAGMA synchronous = full; PRAGMA wal_autocheckpoint = 8000;
             CREATE TABLE partitions(topic INTEGER, part INTEGER, tail INTEGER, PRIMARY KEY (topic, part)) WITHOUT ROWID;
             INSERT INTO partitions VALUES (0, 0, 0);
             CREATE TABLE events(topic INTEGER NOT NULL, part INTEGER NOT NULL, off INTEGER NOT NULL, ts INTEGER NOT NULL,
               key BLOB, value BLOB, headers BLOB NOT NULL, PRIMARY KEY (topic, part, off)) WITHOUT ROWID;",
        )
        .expect("tables are made");
    repeat(|n| {
        connection.prepare_cached("BEGIN IMMEDIATE").and_then(|mut s| s.execute([])).expect("begun");
        let mut insert =
            connection.prepare_cached("INSERT INTO events VALUES (0, 0, ?1, 1, ?2, ?3, ?4)").expect("sound");
        for row in (n * batch..(n + 1) * batch).map(u64::cast_signed) {
            insert.execute(params![row, b"key-000000000", VALUE, b""]).expect("inserted");
        }
        let update = "UPDATE partitions SET tail = ?1 WHERE topic = 0 AND part = 0";
        connection
            .prepare_cached(update)
            .and_then(|mut s| s.execute([((n + 1) * batch).cast_signed()]))
            .expect("updated");
        connection.prepare_cached("COMMIT").and_then(|mut s| s.execute([])).expect("committed");
    })
}

fn repeat(mut work: impl FnMut(u64)) -> Vec<f64> {
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < EACH {
        let begun = Instant::now();
        work(times.len() as u64);
        times.push(begun.elapsed().as_secs_f64());
    }
    times
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}
