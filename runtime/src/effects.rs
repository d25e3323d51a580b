//! What an invocation did to the log, not committed yet.

use weir_schema::{FunctionName, Op, Records, StateKey, TableName};

/// Appends in order and one write per key, of the function and of every callee that did not fail.
#[derive(Clone, Default, Debug)]
pub struct Effects {
    /// Events in order, causes in their headers.
    pub appends: Records,
    /// In the order of their first write.
    pub writes: Vec<(StateKey, Op)>,
    /// Which function wrote which table.
    pub writers: Vec<(FunctionName, TableName)>,
}

impl Effects {
    /// Whether nothing was done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.appends.is_empty() && self.writes.is_empty()
    }
}
