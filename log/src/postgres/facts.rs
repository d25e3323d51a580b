//! What the server has told of the log while one batch is tried.
//!
//! It is told after all of the batch was enqueued, so it is newer than whatever the batch's members have seen: one that
//! saw something else is refused for good. Whether it is still so is asserted again with every try.

use super::state::Held;
use std::collections::HashMap;
use weir_schema::{At, CatalogVersion, Epoch, GroupName, Offset, Stamp, StateKey, StateRange};

/// See the module's docs. What is absent has not been told.
#[derive(Default, Debug)]
pub(super) struct Facts {
    pub(super) catalog: Option<CatalogVersion>,
    /// None: it was never joined.
    pub(super) groups: HashMap<(GroupName, At), Option<(Epoch, Offset)>>,
    /// None: there is no such row.
    pub(super) stamps: HashMap<StateKey, Option<Stamp>>,
    /// None: the row is no counter. Absent and expired rows are 0.
    pub(super) counters: HashMap<StateKey, Option<i64>>,
    /// Of every range that the batch has read.
    pub(super) ranges: HashMap<StateRange, Held>,
}

/// What a refusal has told.
#[derive(Default, Debug)]
pub(super) struct Lesson {
    pub(super) facts: Facts,
    /// Ranges that no longer hold what they held.
    pub(super) stale: Vec<StateRange>,
}

impl Facts {
    pub(super) fn learn(&mut self, lesson: Lesson) {
        let Lesson { facts, stale } = lesson;
        self.catalog = facts.catalog.or(self.catalog);
        self.groups.extend(facts.groups);
        self.stamps.extend(facts.stamps);
        self.counters.extend(facts.counters);
        for range in stale {
            self.ranges.remove(&range);
        }
    }
}
