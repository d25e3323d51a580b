//! Positions and who owns them.

use super::error::Failure;
use super::{schema, topics};
use crate::moving::Position;
use crate::{Change, GroupPosition, LogError};
use rusqlite::{Connection, OptionalExtension, Row};
use weir_schema::{Advance, At, Epoch, Fence, GroupName, Offset, TopicId};

/// Writes the positions that a join begins with; returns the partitions that it claims.
pub(super) fn start(
    connection: &Connection,
    group: &GroupName,
    start: &[(At, Offset)],
) -> Result<Vec<At>, Failure> {
    let mut claims = Vec::new();
    for (at, _) in start {
        topics::known(connection, *at)?;
        claims.extend(topics::partitions_of(connection, at.topic)?);
    }
    claims.sort_unstable();
    claims.dedup();
    let sql = "SELECT EXISTS (SELECT 1 FROM positions WHERE name = ?1)";
    let known: bool = connection.query_row(sql, [group.as_str()], |row| row.get(0))?;
    if !known {
        begin_all(connection, group, start)?;
    }
    for at in &claims {
        begin(connection, group, *at, topics::known(connection, *at)?.earliest)?;
    }
    Ok(claims)
}

/// Writes those of `positions` that the group has not yet.
pub(super) fn begin_all(
    connection: &Connection,
    group: &GroupName,
    positions: &[(At, Offset)],
) -> rusqlite::Result<()> {
    positions.iter().try_for_each(|(at, position)| begin(connection, group, *at, *position))
}

fn begin(connection: &Connection, group: &GroupName, at: At, position: Offset) -> rusqlite::Result<()> {
    let sql =
        "INSERT INTO positions(name, topic, part, position) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
    let values = (group.as_str(), at.topic.0, at.partition, position.0.cast_signed());
    connection.prepare_cached(sql)?.execute(values).map(drop)
}

/// Gives partitions to a new owner.
pub(super) fn take_over(
    connection: &Connection,
    group: &GroupName,
    claims: &[At],
) -> Result<Vec<Change>, Failure> {
    let sql = "UPDATE positions SET unclean = iif(owned, unclean + 1, 0), owned = 1, epoch = ?4
        WHERE name = ?1 AND topic = ?2 AND part = ?3 RETURNING position, incarnation, unclean";
    let mut statement = connection.prepare_cached(sql)?;
    let mut epoch = schema::number(connection, "epochs")?;
    let mut changes = Vec::new();
    for at in claims {
        epoch += 1;
        let values = (group.as_str(), at.topic.0, at.partition, epoch.cast_signed());
        let assigned = |row: &Row<'_>| {
            Ok(Change::Assigned {
                at: *at,
                epoch: Epoch(epoch),
                position: topics::offset(row, 0)?,
                incarnation: row.get(1)?,
                unclean: row.get(2)?,
            })
        };
        // absent: forgotten since it was joined
        changes.extend(statement.query_row(values, assigned).optional()?);
    }
    schema::set_number(connection, "epochs", epoch)?;
    Ok(changes)
}

/// Notes that the owner under `epoch` has handed a partition over.
pub(super) fn release(
    connection: &Connection,
    group: &GroupName,
    at: At,
    epoch: Epoch,
) -> rusqlite::Result<()> {
    owner_says(connection, "UPDATE positions SET owned = 0", group, at, epoch)
}

/// Notes that the owner under `epoch` has digested what unclean take-overs left.
pub(super) fn settle(
    connection: &Connection,
    group: &GroupName,
    at: At,
    epoch: Epoch,
) -> rusqlite::Result<()> {
    owner_says(connection, "UPDATE positions SET unclean = 0", group, at, epoch)
}

fn owner_says(
    connection: &Connection,
    update: &str,
    group: &GroupName,
    at: At,
    epoch: Epoch,
) -> rusqlite::Result<()> {
    let sql = format!("{update} WHERE name = ?1 AND topic = ?2 AND part = ?3 AND epoch = ?4");
    let values = (group.as_str(), at.topic.0, at.partition, epoch.0.cast_signed());
    connection.prepare_cached(&sql)?.execute(values).map(drop)
}

/// Epoch and position of what `fence` names; none if it was never joined.
pub(super) fn owner(connection: &Connection, fence: &Fence) -> rusqlite::Result<Option<(Epoch, Offset)>> {
    let sql = "SELECT epoch, position FROM positions WHERE name = ?1 AND topic = ?2 AND part = ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let name = (fence.group.as_str(), fence.at.topic.0, fence.at.partition);
    let read = |row: &Row<'_>| Ok((Epoch(row.get::<_, i64>(0)?.cast_unsigned()), topics::offset(row, 1)?));
    statement.query_row(name, read).optional()
}

/// Moves the position of what `fence` names.
pub(super) fn advance(connection: &Connection, fence: &Fence, advance: Advance) -> rusqlite::Result<()> {
    let sql = "UPDATE positions SET position = ?4, incarnation = incarnation + ?5
        WHERE name = ?1 AND topic = ?2 AND part = ?3";
    connection.prepare_cached(sql)?.execute((
        fence.group.as_str(),
        fence.at.topic.0,
        fence.at.partition,
        advance.to.0.cast_signed(),
        advance.to < advance.from,
    ))?;
    Ok(())
}

/// Where `group` stands, or all groups.
pub(super) fn positions(
    connection: &Connection,
    group: Option<&GroupName>,
) -> Result<Vec<GroupPosition>, Failure> {
    let sql = "SELECT name, topic, part, position, epoch, incarnation, unclean FROM positions
        WHERE ?1 IS NULL OR name = ?1 ORDER BY name, topic, part";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([group.map(GroupName::as_str)])?;
    let mut positions = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        positions.push(GroupPosition {
            group: GroupName::new(&name)
                .map_err(|e| LogError::Corrupt { subject: "the positions".into(), detail: e.to_string() })?,
            at: At { topic: TopicId(row.get(1)?), partition: row.get(2)? },
            position: topics::offset(row, 3)?,
            epoch: Epoch(row.get::<_, i64>(4)?.cast_unsigned()),
            incarnation: row.get(5)?,
            unclean: row.get(6)?,
        });
    }
    Ok(positions)
}

/// Makes a position this one, whatever it was.
pub(super) fn put(connection: &Connection, position: &Position) -> rusqlite::Result<()> {
    let GroupPosition { group, at, position: to, epoch, incarnation, unclean } = &position.standing;
    let sql =
        "INSERT OR REPLACE INTO positions(name, topic, part, position, epoch, incarnation, unclean, owned)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let (to, epoch) = (to.0.cast_signed(), epoch.0.cast_signed());
    let values = (group.as_str(), at.topic.0, at.partition, to, epoch, incarnation, unclean, position.owned);
    connection.prepare_cached(sql)?.execute(values).map(drop)
}

/// Removes everything that is known of `group`.
pub(super) fn forget(connection: &Connection, group: &GroupName) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM positions WHERE name = ?1", [group.as_str()]).map(drop)
}
