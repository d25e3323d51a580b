//! Live triggers that stand still while a replay of the same events runs.
//!
//! | table | key | value |
//! |---|---|---|
//! | `_weir_control_replays` | group of a live trigger | the name of the replay that it stands still for, as JSON |
//!
//! The row is written with the replay's record and deleted with its end, so it outlives a crash as the replay does.
//! It is apart from a pause by hand, so that a trigger that was paused by hand stays so.

use super::record;
use weir_log::LogError;
use weir_runtime::Session;
use weir_schema::{GroupName, StateKey};

/// Writes of a table whose name begins so are told to every process.
pub(crate) const TABLE: &str = "_weir_control_replays";

/// The row of a live trigger.
pub(crate) fn hold_key(group: &GroupName) -> StateKey {
    record::key(TABLE, group.as_str())
}

/// Every trigger that stands still, and for which replay.
pub(crate) async fn holds(session: &Session) -> Result<Vec<(GroupName, String)>, LogError> {
    let rows = record::rows(session, TABLE).await?.into_iter();
    let hold = |key: &[u8], value: &[u8]| {
        let group = GroupName::new(std::str::from_utf8(key).ok()?).ok()?;
        Some((group, serde_json::from_slice(value).ok()?))
    };
    Ok(rows.filter_map(|(key, row)| hold(&key, &row.value)).collect())
}

/// The replay that a trigger stands still for.
pub(crate) async fn holder(session: &Session, group: &GroupName) -> Result<Option<String>, LogError> {
    let row = session.log().get(&[hold_key(group)]).await?.into_iter().flatten().next();
    Ok(row.and_then(|row| serde_json::from_slice(&row.value).ok()))
}
