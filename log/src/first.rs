//! Where a group begins that has no position yet.

use weir_schema::{At, Offset};

/// What a log knows of where a new group of a topic is to begin; asked only where nobody has said it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FirstPosition {
    /// Nothing: the topic's events are this application's own.
    Usual,
    /// The topic had events before the log knew it, and another application has handled those before these offsets, one for
    /// each partition.
    After {
        /// As whom it did.
        who: String,
        /// The first offset that it has not handled.
        positions: Vec<(At, Offset)>,
    },
    /// The topic had events before the log knew it, and only a person can say which of them are to be handled.
    Unknown,
}
