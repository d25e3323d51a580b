//! Appends of single events, by one writer and by many at once, against what the disk and SQLite themselves do.

use crate::load::{Load, in_flight};
use crate::measure::{ROUNDS, median};
use crate::report::{Row, Target};
use crate::store::{Log, Store};
use anyhow::Context as _;
use rusqlite::{Connection, params};
use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};
use weir_schema::{At, RecordsBuilder};

/// How long each thing is done in a round.
pub(crate) const EACH: Duration = Duration::from_millis(1500);
/// The key of each event.
pub(crate) const KEY: &[u8] = b"key-000000000";
/// The value of each event.
pub(crate) const VALUE: &[u8] = &[b'7'; 248];
const MANY: u32 = 256;

pub(crate) fn run() -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let [mut sync, mut alone, mut many, mut raw] = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        let folder = tempfile::tempdir_in(".")?;
        sync.push(sync_ms(folder.path())?);
        let (one, all) = runtime.block_on(async {
            let log = Store::Embedded.log(folder.path()).await?;
            let measured = (appends(&log, 1).await?, appends(&log, MANY).await?);
            log.session.log().close().await?;
            anyhow::Ok(measured)
        })?;
        alone.push(one.p50_ms);
        many.push(all.per_second);
        raw.push(raw_rate(&folder.path().join("raw.db"), 1000)?);
    }
    let (sync, alone) = (median(&mut sync), median(&mut alone));
    let (many, raw) = (median(&mut many), median(&mut raw));
    Ok(vec![
        Row::rates(
            "append, embedded, 256 writers",
            "raw SQLite batches of the same rows",
            many,
            raw,
            Target::AtLeast(0.6),
        ),
        Row {
            path: "append, one writer, p50".into(),
            against: "the disk's own sync time".into(),
            ours: format!("{alone:.3} ms"),
            reference: format!("{sync:.3} ms"),
            value: alone / sync,
            target: Target::AtMost(1.5),
        },
    ])
}

/// Lets so many writers append to a topic of their own for a while, each one event after the other.
pub(crate) async fn appends(log: &Log, writers: u32) -> anyhow::Result<Load> {
    let topic = log.topic("appended", 1).await?.id;
    appends_to(log, At { topic, partition: 0 }, writers).await
}

/// Lets so many writers append to a partition for a while, each one event after the other.
pub(crate) async fn appends_to(log: &Log, at: At, writers: u32) -> anyhow::Result<Load> {
    let log = log.clone();
    in_flight(writers, EACH, move || {
        let mut records = RecordsBuilder::with_capacity(1, 300);
        records.push(at, Some(KEY), Some(VALUE), []);
        let log = log.clone();
        async move { log.append(records).await }
    })
    .await
}

/// The median time to overwrite 4 KiB of a file that has its blocks already, and to sync.
fn sync_ms(folder: &Path) -> anyhow::Result<f64> {
    let mut file = File::create(folder.join("probe"))?;
    file.write_all(&vec![0; 8 << 20])?;
    file.sync_all()?;
    let mut times = repeat(|n| {
        file.seek(SeekFrom::Start(n % 2000 * 4096))?;
        file.write_all(&[1; 4096])?;
        Ok(file.sync_data()?)
    })?;
    Ok(median(&mut times) * 1e3)
}

/// Events a second of one connection that inserts the same rows in batches.
fn raw_rate(path: &Path, batch: u64) -> anyhow::Result<f64> {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode = wal; PRAGMA synchronous = full; PRAGMA wal_autocheckpoint = 8000;
         CREATE TABLE partitions(topic INTEGER, part INTEGER, tail INTEGER, PRIMARY KEY (topic, part)) WITHOUT ROWID;
         INSERT INTO partitions VALUES (0, 0, 0);
         CREATE TABLE events(topic INTEGER NOT NULL, part INTEGER NOT NULL, off INTEGER NOT NULL, ts INTEGER NOT NULL,
           key BLOB, value BLOB, headers BLOB NOT NULL, PRIMARY KEY (topic, part, off)) WITHOUT ROWID;",
    )?;
    let times = repeat(|n| {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut insert = connection.prepare_cached("INSERT INTO events VALUES (0, 0, ?1, 1, ?2, ?3, ?4)")?;
        for row in (n * batch..(n + 1) * batch).map(u64::cast_signed) {
            insert.execute(params![row, KEY, VALUE, b""])?;
        }
        let update = "UPDATE partitions SET tail = ?1 WHERE topic = 0 AND part = 0";
        connection.prepare_cached(update)?.execute([((n + 1) * batch).cast_signed()])?;
        connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    })
    .context("insert into SQLite")?;
    Ok((times.len() as u64 * batch) as f64 / times.iter().sum::<f64>())
}

/// Does it again and again for a while; how long each took, in seconds.
fn repeat(mut work: impl FnMut(u64) -> anyhow::Result<()>) -> anyhow::Result<Vec<f64>> {
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < EACH {
        let begun = Instant::now();
        work(times.len() as u64)?;
        times.push(begun.elapsed().as_secs_f64());
    }
    Ok(times)
}
