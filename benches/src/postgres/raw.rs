//! What a program would do by hand: one connection, arrays by `unnest`, a thousand events a transaction.

use super::cluster::Cluster;
use crate::append::{EACH, KEY, VALUE};
use crate::store::value;
use crate::trigger::{EVENTS, KEYS, REPLAYED};
use std::time::Instant;
use tokio_postgres::Client;

const BATCH: u64 = 1000;

/// The tables that a log keeps its events, rows and positions in, without what only Weir needs.
const TABLES: &str = "
DROP SCHEMA IF EXISTS raw CASCADE; CREATE SCHEMA raw; SET search_path = raw; SET synchronous_commit = on;
CREATE TABLE partitions(topic int, part int, tail bigint NOT NULL DEFAULT 0, PRIMARY KEY (topic, part)) WITH (fillfactor = 20);
CREATE TABLE events(topic int NOT NULL, part int NOT NULL, off bigint NOT NULL, ts bigint NOT NULL, key bytea, value bytea,
  headers bytea NOT NULL, PRIMARY KEY (topic, part, off));
CREATE TABLE rows(key bytea PRIMARY KEY, value bytea, stamp bigint NOT NULL) WITH (fillfactor = 70);
CREATE TABLE positions(name text PRIMARY KEY, position bigint NOT NULL) WITH (fillfactor = 20);
INSERT INTO partitions VALUES (1, 0); INSERT INTO positions VALUES ('count', 0);";

const INSERT: &str = "
WITH p AS (UPDATE partitions SET tail = tail + cardinality($1::bytea[]) WHERE topic = 1 AND part = 0
  RETURNING tail - cardinality($1::bytea[]) AS base)
INSERT INTO events SELECT 1, 0, p.base + u.n - 1, 1, u.k, u.v, '' FROM p, unnest($1::bytea[], $2::bytea[]) WITH ORDINALITY u(k, v, n)";
const READ: &str = "SELECT key, value FROM rows WHERE key = ANY($1)";
const PUT: &str = "
INSERT INTO rows SELECT u.k, u.v, $3 FROM unnest($1::bytea[], $2::bytea[]) u(k, v)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, stamp = excluded.stamp";
const ADVANCE: &str = "UPDATE positions SET position = $2 WHERE name = 'count' AND position = $1";
const SCAN: &str =
    "SELECT off, key, value FROM events WHERE topic = 1 AND part = 0 AND off >= $1 ORDER BY off LIMIT 1000";

/// A connection to tables of its own.
pub(super) struct Raw(Client);

impl Raw {
    pub(super) async fn new(cluster: &Cluster) -> anyhow::Result<Self> {
        let client = cluster.connect().await?;
        client.batch_execute(TABLES).await?;
        Ok(Self(client))
    }

    /// Events a second of batches of appends.
    pub(super) async fn append(&self) -> anyhow::Result<f64> {
        let insert = self.0.prepare(INSERT).await?;
        let (keys, values) = (vec![KEY; BATCH as usize], vec![VALUE; BATCH as usize]);
        let (started, mut events) = (Instant::now(), 0);
        while started.elapsed() < EACH {
            events += self.0.execute(&insert, &[&keys, &values]).await?;
        }
        Ok(events as f64 / started.elapsed().as_secs_f64())
    }

    /// Events a second where each reads its key's row, writes it and appends one event, and the position goes along.
    pub(super) async fn count(&mut self) -> anyhow::Result<f64> {
        let (read, put) = (self.0.prepare(READ).await?, self.0.prepare(PUT).await?);
        let (insert, advance) = (self.0.prepare(INSERT).await?, self.0.prepare(ADVANCE).await?);
        let started = Instant::now();
        for first in (0..EVENTS).step_by(BATCH as usize) {
            let names: Vec<String> = (first..first + BATCH).map(|i| format!("key-{:06}", i % KEYS)).collect();
            let keys: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
            let transaction = self.0.transaction().await?;
            let mut counts = std::collections::HashMap::new();
            for row in transaction.query(&read, &[&keys]).await? {
                let seen: serde_json::Value = serde_json::from_slice(row.get(1))?;
                counts.insert(row.get::<_, Vec<u8>>(0), seen["n"].as_u64().unwrap_or_default());
            }
            let counts: Vec<u64> =
                keys.iter().map(|k| counts.get(*k).copied().unwrap_or_default() + 1).collect();
            let rows: Vec<Vec<u8>> = counts.iter().map(|n| format!("{{\"n\":{n}}}").into_bytes()).collect();
            let out =
                counts.iter().zip(first..).map(|(n, id)| format!("{{\"n\":{n},\"id\":{id}}}").into_bytes());
            let out: Vec<Vec<u8>> = out.collect();
            let (from, to) = (first.cast_signed(), (first + BATCH).cast_signed());
            tokio::try_join!(
                async { transaction.execute(&put, &[&keys, &rows, &from]).await },
                async { transaction.execute(&insert, &[&keys, &out]).await },
                async { transaction.execute(&advance, &[&from, &to]).await },
            )?;
            transaction.commit().await?;
        }
        Ok(EVENTS as f64 / started.elapsed().as_secs_f64())
    }

    /// Events a second of reading a topic page by page and parsing each value.
    pub(super) async fn scan(&self) -> anyhow::Result<f64> {
        let (insert, scan) = (self.0.prepare(INSERT).await?, self.0.prepare(SCAN).await?);
        for first in (0..REPLAYED).step_by(BATCH as usize) {
            let keys: Vec<_> =
                (first..first + BATCH).map(|i| format!("key-{:06}", i % KEYS).into_bytes()).collect();
            let values: Vec<_> = (first..first + BATCH).map(|i| value(i).into_bytes()).collect();
            self.0.execute(&insert, &[&keys, &values]).await?;
        }
        let (started, mut next) = (Instant::now(), 0_i64);
        loop {
            let page = self.0.query(&scan, &[&next]).await?;
            for row in &page {
                let value: serde_json::Value = serde_json::from_slice(row.get(2))?;
                anyhow::ensure!(value.is_object(), "it is the value that was inserted");
            }
            let Some(last) = page.last() else { break };
            next = last.get::<_, i64>(0) + 1;
        }
        Ok(next as f64 / started.elapsed().as_secs_f64())
    }
}
