//! Positions and who owns them.

use super::store::Store;
use crate::{Change, GroupPosition, LogError};
use weir_schema::{At, Epoch, GroupName, Offset};

/// Where a group stands in one partition.
#[derive(Default, Debug)]
pub(super) struct Group {
    pub(super) position: Offset,
    pub(super) epoch: Epoch,
    pub(super) incarnation: u32,
    unclean: u32,
    /// Taken over, and not released.
    owned: bool,
}

impl Store {
    /// Writes the positions that a join begins with; returns the partitions that it claims.
    pub(super) fn start(&mut self, group: &GroupName, start: &[(At, Offset)]) -> Result<Vec<At>, LogError> {
        let mut claims = Vec::new();
        for (at, _) in start {
            self.partition(*at).ok_or_else(|| crate::topic::no_topic(*at))?;
            claims.extend(self.partitions_of(at.topic).into_iter().flatten());
        }
        claims.sort_unstable();
        claims.dedup();
        let first = !self.groups.keys().any(|(known, _)| known == group);
        for (at, position) in start.iter().filter(|_| first) {
            self.begin(group, *at, *position);
        }
        for at in &claims {
            let earliest = self.partition(*at).map_or(Offset::ZERO, |p| p.earliest);
            self.begin(group, *at, earliest);
        }
        Ok(claims)
    }

    fn begin(&mut self, group: &GroupName, at: At, position: Offset) {
        let absent = || Group { position, ..Group::default() };
        self.groups.entry((group.clone(), at)).or_insert_with(absent);
    }

    /// Gives a partition that has a position to a new owner.
    pub(super) fn take_over(&mut self, group: &GroupName, at: At) -> Change {
        self.last_epoch = Epoch(self.last_epoch.0 + 1);
        let row = self.groups.entry((group.clone(), at)).or_default();
        row.unclean = if row.owned { row.unclean + 1 } else { 0 };
        row.owned = true;
        row.epoch = self.last_epoch;
        Change::Assigned {
            at,
            epoch: row.epoch,
            position: row.position,
            incarnation: row.incarnation,
            unclean: row.unclean,
        }
    }

    pub(super) fn release(&mut self, group: &GroupName, at: At, epoch: Epoch) {
        if let Some(row) = self.owned_under(group, at, epoch) {
            row.owned = false;
        }
    }

    pub(super) fn settle(&mut self, group: &GroupName, at: At, epoch: Epoch) {
        if let Some(row) = self.owned_under(group, at, epoch) {
            row.unclean = 0;
        }
    }

    fn owned_under(&mut self, group: &GroupName, at: At, epoch: Epoch) -> Option<&mut Group> {
        self.groups.get_mut(&(group.clone(), at)).filter(|row| row.epoch == epoch)
    }

    pub(super) fn positions(&self, group: Option<&GroupName>) -> Vec<GroupPosition> {
        let wanted = self.groups.iter().filter(|((name, _), _)| group.is_none_or(|g| g == name));
        wanted
            .map(|((name, at), row)| GroupPosition {
                group: name.clone(),
                at: *at,
                position: row.position,
                epoch: row.epoch,
                incarnation: row.incarnation,
                unclean: row.unclean,
            })
            .collect()
    }

    pub(super) fn forget(&mut self, group: &GroupName) {
        self.groups.retain(|(name, _), _| name != group);
    }
}
