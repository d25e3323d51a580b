//! The memberships of this process, for backends whose partitions all belong to one process at a time.
//!
//! A membership claims the partitions of the topics that it was joined with. The last one to claim a partition has
//! it; the one before hears `Lost`.

use crate::{Change, Membership, MembershipEnd};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use weir_schema::{At, GroupName};

/// How many ends may wait to be served.
const ENDS: usize = 16;

/// Who takes part in what.
#[derive(Default, Debug)]
pub(crate) struct Members(Mutex<List>);

#[derive(Default, Debug)]
struct List {
    members: Vec<Member>,
    last: u64,
    closed: bool,
}

#[derive(Debug)]
struct Member {
    number: u64,
    group: GroupName,
    claims: Vec<At>,
    /// It has been assigned nothing yet.
    waiting: bool,
    /// What it was assigned and has not lost.
    held: BTreeSet<At>,
    changes: mpsc::Sender<Change>,
}

/// A membership just made: its number, the caller's end, and what the backend is to serve.
pub(crate) struct Joined {
    pub(crate) number: u64,
    pub(crate) membership: Membership,
    pub(crate) ends: mpsc::Receiver<MembershipEnd>,
}

impl Members {
    /// Enters a membership that claims `claims`; none if the log has been closed. It holds nothing yet.
    pub(crate) fn enter(&self, group: &GroupName, claims: Vec<At>) -> Option<Joined> {
        let mut list = self.lock();
        if list.closed {
            return None;
        }
        // each partition is assigned once and lost once at most
        let (changes, received) = mpsc::channel(2 * claims.len() + 1);
        let (ends, served) = mpsc::channel(ENDS);
        list.last += 1;
        let number = list.last;
        let group = group.clone();
        list.members.push(Member { number, group, claims, waiting: true, held: BTreeSet::new(), changes });
        Some(Joined { number, membership: Membership::new(received, ends), ends: served })
    }

    /// Who has been assigned nothing yet: number, group and claims, in the order of joining.
    pub(crate) fn waiting(&self) -> Vec<(u64, GroupName, Vec<At>)> {
        let list = self.lock();
        let waiting = list.members.iter().filter(|m| m.waiting);
        waiting.map(|m| (m.number, m.group.clone(), m.claims.clone())).collect()
    }

    /// Whether `number` has been assigned nothing yet.
    pub(crate) fn is_waiting(&self, number: u64) -> bool {
        self.lock().members.iter().any(|m| m.number == number && m.waiting)
    }

    /// Tells `number` what it has been assigned, and whoever had it before that it is lost.
    pub(crate) fn assign(&self, number: u64, assigned: Vec<Change>) {
        let mut list = self.lock();
        let Some(member) = list.members.iter_mut().find(|m| m.number == number) else { return };
        member.waiting = false;
        let group = member.group.clone();
        for change in assigned {
            let Change::Assigned { at, .. } = change else { continue };
            for other in list.members.iter_mut().filter(|m| m.number != number && m.group == group) {
                other.lose(at);
            }
            if let Some(member) = list.members.iter_mut().find(|m| m.number == number) {
                member.held.insert(at);
                member.tell(change);
            }
        }
    }

    /// Tells all members of `group` that they have lost everything.
    pub(crate) fn forget(&self, group: &GroupName) {
        for member in self.lock().members.iter_mut().filter(|m| m.group == *group) {
            for at in member.held.clone() {
                member.lose(at);
            }
        }
    }

    /// `number` has handed `at` over.
    pub(crate) fn released(&self, number: u64, at: At) {
        if let Some(member) = self.lock().members.iter_mut().find(|m| m.number == number) {
            member.held.remove(&at);
        }
    }

    /// `number` has left.
    pub(crate) fn leave(&self, number: u64) {
        self.lock().members.retain(|m| m.number != number);
    }

    /// Ends every membership's changes.
    pub(crate) fn close(&self) {
        let mut list = self.lock();
        list.closed = true;
        list.members.clear();
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    fn lose(&mut self, at: At) {
        if self.held.remove(&at) {
            self.tell(Change::Lost { at });
        }
    }

    fn tell(&self, change: Change) {
        if self.changes.try_send(change).is_err() {
            tracing::debug!(group = %self.group, "a member that has left was told of a change");
        }
    }
}
