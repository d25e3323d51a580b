//! Positions and who owns them, and the processes that take part.

use super::error::Failure;
use super::topics::{at, offset, signed, signed_offset, unsigned};
use crate::moving::Position;
use crate::{Change, GroupPosition, LogError};
use deadpool_postgres::{Client, GenericClient};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use weir_schema::{At, Epoch, Fence, GroupName, Offset, TopicId};

/// How long after its lease has ended a process is no member any more.
const NO_MEMBER_AFTER: &str = "1 minute";
/// And how long after it nothing is kept for it: one that was only asleep can go on before that.
const FORGOTTEN_AFTER: &str = "1 day";

/// What is stored of a group in one partition, of what decides who is to have it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) at: At,
    pub(super) epoch: Epoch,
    /// The process that it was assigned to last, unless it has handed it over or is gone.
    pub(super) node: Option<i32>,
}

/// Who could have the partitions of a group, and who has.
#[derive(Default, Debug)]
pub(super) struct Standing {
    /// The processes that want partitions of a topic, and are alive.
    pub(super) nodes: HashMap<TopicId, Vec<i32>>,
    /// By partition.
    pub(super) places: Vec<Place>,
}

/// Writes the positions that a join begins with, and that `node` wants partitions of their topics; returns those.
pub(super) async fn start(
    client: &mut Client,
    node: i32,
    group: &GroupName,
    start: &[(At, Offset)],
) -> Result<Vec<At>, Failure> {
    let transaction = client.transaction().await?;
    // of several processes that join at once, one is the first
    transaction.batch_execute("LOCK TABLE members IN SHARE ROW EXCLUSIVE MODE").await?;
    let topics: Vec<_> = start.iter().map(|(at, _)| signed(at.topic.0)).collect();
    let sql = "SELECT topic, part, earliest FROM partitions WHERE topic = ANY($1) ORDER BY topic, part";
    let claims = transaction.query(sql, &[&topics]).await?;
    let claims: Vec<_> = claims.iter().map(|row| (at(row, 0), offset(row, 2))).collect();
    if let Some((unknown, _)) = start.iter().find(|(at, _)| !claims.iter().any(|(known, _)| known == at)) {
        return Err(crate::topic::no_topic(*unknown).into());
    }
    let sql = "SELECT FROM positions WHERE name = $1 LIMIT 1";
    if transaction.query_opt(sql, &[&group.as_str()]).await?.is_none() {
        begin(&transaction, group, start).await?;
    }
    begin(&transaction, group, &claims).await?;
    let sql = "INSERT INTO members SELECT DISTINCT $1::text, u, $2::int FROM unnest($3::int[]) u ON CONFLICT DO NOTHING";
    transaction.execute(sql, &[&group.as_str(), &node, &topics]).await?;
    transaction.commit().await?;
    Ok(claims.into_iter().map(|(at, _)| at).collect())
}

/// Writes those of `positions` that the group has not yet.
pub(super) async fn begin(
    client: &impl GenericClient,
    group: &GroupName,
    positions: &[(At, Offset)],
) -> Result<(), Failure> {
    let (topics, parts) = columns(positions.iter().map(|(at, _)| *at));
    let offsets: Vec<_> = positions.iter().map(|(_, offset)| signed_offset(*offset)).collect();
    let sql = "INSERT INTO positions(name, topic, part, position)
        SELECT $1::text, * FROM unnest($2::int[], $3::int[], $4::bigint[]) ON CONFLICT DO NOTHING";
    client.execute(sql, &[&group.as_str(), &topics, &parts, &offsets]).await?;
    Ok(())
}

/// Gives partitions to `node`, but for those whose epoch is not the one that was seen: they have gone to another.
pub(super) async fn take_over(
    client: &mut Client,
    node: i32,
    group: &GroupName,
    seen: &[(At, Epoch)],
) -> Result<Vec<Change>, Failure> {
    let transaction = client.transaction().await?;
    let count = i64::try_from(seen.len()).expect("few");
    let sql = "UPDATE meta SET value = value + $1 WHERE name = 'epochs' RETURNING value";
    let last: i64 = transaction.query_one(sql, &[&count]).await?.get(0);
    let (topics, parts) = columns(seen.iter().map(|(at, _)| *at));
    let before: Vec<_> = seen.iter().map(|(_, epoch)| epoch.0.cast_signed()).collect();
    let after: Vec<_> = (last - count + 1..=last).collect();
    // the order in which commits lock them
    let sql = "SELECT FROM positions WHERE name = $1 AND (topic, part) IN (SELECT * FROM unnest($2::int[], $3::int[]))
        ORDER BY topic, part FOR NO KEY UPDATE";
    transaction.execute(sql, &[&group.as_str(), &topics, &parts]).await?;
    let sql = "UPDATE positions p SET unclean = CASE WHEN owned THEN unclean + 1 ELSE 0 END, owned = true,
          epoch = u.e, node = $2
        FROM unnest($3::int[], $4::int[], $5::bigint[], $6::bigint[]) u(t, q, s, e)
        WHERE p.name = $1 AND p.topic = u.t AND p.part = u.q AND p.epoch = u.s
        RETURNING p.topic, p.part, p.epoch, p.position, p.incarnation, p.unclean";
    let rows = transaction.query(sql, &[&group.as_str(), &node, &topics, &parts, &before, &after]).await?;
    transaction.commit().await?;
    let mut changes: Vec<_> = rows.iter().map(|row| (at(row, 0), assigned(row))).collect();
    changes.sort_unstable_by_key(|(at, _)| *at);
    Ok(changes.into_iter().map(|(_, change)| change).collect())
}

fn assigned(row: &Row) -> Change {
    Change::Assigned {
        at: at(row, 0),
        epoch: epoch(row, 2),
        position: offset(row, 3),
        incarnation: unsigned(row, 4),
        unclean: unsigned(row, 5),
    }
}

/// Notes that the owner under `epoch` has handed a partition over.
pub(super) async fn release(client: &Client, group: &GroupName, at: At, epoch: Epoch) -> Result<(), Failure> {
    owner_says(client, "owned = false, node = NULL", group, at, epoch).await
}

/// Notes that the owner under `epoch` has digested what unclean take-overs left.
pub(super) async fn settle(client: &Client, group: &GroupName, at: At, epoch: Epoch) -> Result<(), Failure> {
    owner_says(client, "unclean = 0", group, at, epoch).await
}

/// Notes that the owner under `epoch` is gone without a hand-over.
pub(super) async fn abandon(client: &Client, group: &GroupName, at: At, epoch: Epoch) -> Result<(), Failure> {
    owner_says(client, "node = NULL", group, at, epoch).await
}

async fn owner_says(
    client: &Client,
    what: &str,
    group: &GroupName,
    at: At,
    epoch: Epoch,
) -> Result<(), Failure> {
    let sql =
        format!("UPDATE positions SET {what} WHERE name = $1 AND topic = $2 AND part = $3 AND epoch = $4");
    let (topic, part, epoch) = (signed(at.topic.0), signed(at.partition), epoch.0.cast_signed());
    client.execute(&sql, &[&group.as_str(), &topic, &part, &epoch]).await?;
    Ok(())
}

/// Notes that `node` wants partitions of no other topics than `wanted` for `group` any more.
pub(super) async fn resign(
    client: &Client,
    node: i32,
    group: &GroupName,
    wanted: &BTreeSet<TopicId>,
) -> Result<(), Failure> {
    let wanted: Vec<_> = wanted.iter().map(|topic| signed(topic.0)).collect();
    let sql = "DELETE FROM members WHERE name = $1 AND node = $2 AND topic <> ALL($3)";
    client.execute(sql, &[&group.as_str(), &node, &wanted]).await?;
    Ok(())
}

/// Says that `node` is alive, for as long as `lease` by the server's clock.
pub(super) async fn renew(client: &impl GenericClient, node: i32, lease: Duration) -> Result<(), Failure> {
    let sql = "INSERT INTO nodes VALUES ($1, now() + $2 * interval '1 second')
        ON CONFLICT (node) DO UPDATE SET until = excluded.until";
    let statement = client.prepare_cached(sql).await?;
    client.execute(&statement, &[&node, &lease.as_secs_f64()]).await?;
    Ok(())
}

/// Removes what says that `node` is alive.
pub(super) async fn depart(client: &Client, node: i32) -> Result<(), Failure> {
    let sql = "WITH gone AS (DELETE FROM nodes WHERE node = $1) DELETE FROM members WHERE node = $1";
    client.execute(sql, &[&node]).await?;
    Ok(())
}

/// Removes the processes that have long been dead.
pub(super) async fn forget_dead(client: &Client) -> Result<(), Failure> {
    let sql = format!(
        "WITH dead AS (DELETE FROM nodes WHERE until < now() - interval '{FORGOTTEN_AFTER}' RETURNING node),
           gone AS (DELETE FROM lanes WHERE writer IN (SELECT node FROM dead))
         DELETE FROM members WHERE node NOT IN
           (SELECT node FROM nodes WHERE until >= now() - interval '{NO_MEMBER_AFTER}')"
    );
    client.execute(&sql, &[]).await?;
    Ok(())
}

/// Takes everything from `node` that it has, without counting that as unclean; how many partitions. What it still sends for
/// them is refused.
pub(super) async fn disown(client: &Client, node: i32) -> Result<u64, Failure> {
    let sql = "WITH held AS (
            SELECT name, topic, part, row_number() OVER () AS n FROM positions WHERE node = $1),
          raised AS (
            UPDATE meta SET value = value + (SELECT count(*) FROM held) WHERE name = 'epochs' RETURNING value)
        UPDATE positions p SET epoch = raised.value + 1 - held.n, owned = false, node = NULL FROM held, raised
          WHERE p.name = held.name AND p.topic = held.topic AND p.part = held.part";
    Ok(client.execute(sql, &[&node]).await?)
}

/// How `groups` stand.
pub(super) async fn standings(
    client: &Client,
    groups: &[GroupName],
) -> Result<HashMap<GroupName, Standing>, Failure> {
    let names: Vec<_> = groups.iter().map(GroupName::as_str).collect();
    let members =
        "SELECT m.name, m.topic, m.node FROM members m JOIN nodes n ON n.node = m.node AND n.until > now()
        WHERE m.name = ANY($1) ORDER BY m.name, m.topic, m.node";
    let places = "SELECT p.name, p.topic, p.part, p.epoch, n.node FROM positions p
        LEFT JOIN nodes n ON n.node = p.node AND n.until > now()
        WHERE p.name = ANY($1) ORDER BY p.name, p.topic, p.part";
    let (members, places) = (client.prepare_cached(members).await?, client.prepare_cached(places).await?);
    let mut standings: HashMap<&str, Standing> =
        names.iter().map(|name| (*name, Standing::default())).collect();
    let members = client.query(&members, &[&names]).await?;
    let places = client.query(&places, &[&names]).await?;
    for row in &members {
        let nodes = &mut standings.entry(row.get(0)).or_default().nodes;
        nodes.entry(TopicId(unsigned(row, 1))).or_default().push(row.get(2));
    }
    for row in &places {
        let place = Place { at: at(row, 1), epoch: epoch(row, 3), node: row.get(4) };
        standings.entry(row.get(0)).or_default().places.push(place);
    }
    Ok(groups.iter().filter_map(|group| Some((group.clone(), standings.remove(group.as_str())?))).collect())
}

/// The epoch of what `fence` names; none if it was never joined.
pub(super) async fn owner(client: &impl GenericClient, fence: &Fence) -> Result<Option<Epoch>, Failure> {
    let sql = "SELECT epoch FROM positions WHERE name = $1 AND topic = $2 AND part = $3";
    let statement = client.prepare_cached(sql).await?;
    let (topic, part) = (signed(fence.at.topic.0), signed(fence.at.partition));
    let row = client.query_opt(&statement, &[&fence.group.as_str(), &topic, &part]).await?;
    Ok(row.map(|row| epoch(&row, 0)))
}

/// Where `group` stands, or all groups.
pub(super) async fn positions(
    client: &Client,
    group: Option<&GroupName>,
) -> Result<Vec<GroupPosition>, Failure> {
    let sql = "SELECT name, topic, part, position, epoch, incarnation, unclean FROM positions
        WHERE $1::text IS NULL OR name = $1 ORDER BY name, topic, part";
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query(&statement, &[&group.map(GroupName::as_str)]).await?;
    let position = |row: &Row| {
        let damaged = |detail: String| LogError::Corrupt { subject: "the positions".into(), detail };
        Ok(GroupPosition {
            group: GroupName::new(row.get(0)).map_err(|e| damaged(e.to_string()))?,
            at: at(row, 1),
            position: offset(row, 3),
            epoch: epoch(row, 4),
            incarnation: unsigned(row, 5),
            unclean: unsigned(row, 6),
        })
    };
    rows.iter().map(position).collect()
}

/// Makes positions these, whatever they were.
pub(super) async fn put(client: &impl GenericClient, positions: &[Position]) -> Result<(), Failure> {
    let sql = "INSERT INTO positions(name, topic, part, position, epoch, incarnation, unclean, owned)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name, topic, part) DO UPDATE
        SET position = excluded.position, epoch = excluded.epoch, incarnation = excluded.incarnation,
          unclean = excluded.unclean, owned = excluded.owned, node = NULL";
    let statement = client.prepare_cached(sql).await?;
    for Position { standing, owned } in positions {
        let (name, topic, part) =
            (standing.group.as_str(), signed(standing.at.topic.0), signed(standing.at.partition));
        let (position, epoch) = (signed_offset(standing.position), standing.epoch.0.cast_signed());
        let (incarnation, unclean) = (signed(standing.incarnation), signed(standing.unclean));
        let values: [&(dyn ToSql + Sync); 8] =
            [&name, &topic, &part, &position, &epoch, &incarnation, &unclean, owned];
        client.execute(&statement, &values).await?;
    }
    Ok(())
}

/// Removes everything that is known of `group`.
pub(super) async fn forget(client: &Client, group: &GroupName) -> Result<(), Failure> {
    client.execute("DELETE FROM positions WHERE name = $1", &[&group.as_str()]).await?;
    Ok(())
}

fn columns(list: impl Iterator<Item = At>) -> (Vec<i32>, Vec<i32>) {
    list.map(|at| (signed(at.topic.0), signed(at.partition))).unzip()
}

fn epoch(row: &Row, column: usize) -> Epoch {
    Epoch(row.get::<_, i64>(column).cast_unsigned())
}
