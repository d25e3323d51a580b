//! All of a schema but its events and rows.

use super::error::Failure;
use super::topics::{self, at, offset};
use super::{groups, schema, state};
use crate::moving::{Marker, Numbers, Outline, Partition, Position};
use deadpool_postgres::Client;
use std::collections::{HashMap, HashSet};
use weir_schema::{At, Millis};

/// What the schema holds.
pub(super) async fn read(client: &Client) -> Result<Outline, Failure> {
    let numbers = client.query("SELECT name, value FROM meta", &[]).await?;
    let numbers: HashMap<String, u64> =
        numbers.iter().map(|row| (row.get(0), row.get::<_, i64>(1).cast_unsigned())).collect();
    let number = |name| numbers.get(name).copied();
    let sql = "SELECT topic, part, earliest, tail, last_ts, bytes FROM partition_now ORDER BY topic, part";
    let partitions = client.query(sql, &[]).await?;
    let partitions = partitions.iter().map(|row| Partition {
        at: at(row, 0),
        earliest: offset(row, 2),
        tail: offset(row, 3),
        last_time: Millis(row.get(4)),
        bytes: row.get::<_, i64>(5).cast_unsigned(),
    });
    let topics = topics::all(client).await?;
    let rows: i64 = client.query_one("SELECT count(*) FROM rows", &[]).await?.get(0);
    Ok(Outline {
        app: schema::owner(client).await?,
        marker: number(schema::COPY_ORIGIN)
            .zip(number(schema::COPY_WRITERS))
            .map(|(origin, writers)| Marker { origin, writers }),
        numbers: Numbers::read(|name| Ok::<_, Failure>(number(name).unwrap_or_default()))?,
        topics: topics.into_iter().map(|topic| (topic.id, topic.spec)).collect(),
        partitions: partitions.collect(),
        positions: positions(client).await?,
        rows: rows.cast_unsigned(),
        last_row: state::last(client).await?,
    })
}

async fn positions(client: &Client) -> Result<Vec<Position>, Failure> {
    let owned = client.query("SELECT name, topic, part FROM positions WHERE owned", &[]).await?;
    let owned: HashSet<(String, At)> = owned.iter().map(|row| (row.get(0), at(row, 1))).collect();
    Ok(Position::all(groups::positions(client, None).await?, &owned))
}
