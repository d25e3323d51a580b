//! How a log tells the groups that what they had not handled is gone.

use weir_schema::{GroupName, StateKey, TableName};

/// The row of a group that says so of one partition; its value is the earliest offset that is kept there now. A log writes
/// it where a partition turns out to be another one than it was: the group's position says nothing there. Whoever
/// moves the group removes it, in the same transaction.
#[must_use]
pub fn lost_key(group: &GroupName, partition: u32) -> StateKey {
    let table = TableName::new("_weir_control_lost").expect("the constant is a valid name");
    StateKey { table, generation: 0, key: format!("{group}\0{partition}").into() }
}
