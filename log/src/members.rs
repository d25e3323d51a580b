//! The memberships of this process.
//!
//! A membership claims the partitions of the topics that it was joined with. The last one to claim a partition has
//! it; the one before hears `Lost`.

use crate::{Change, Membership, MembershipEnd};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use weir_schema::{At, Epoch, GroupName};

/// How many ends may wait to be served.
const ENDS: usize = 16;
/// How many changes there are of one partition at most before it is assigned again: assigned, revoking, lost.
const CHANGES: usize = 3;

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
    held: BTreeMap<At, Epoch>,
    /// What of it is to go to another process, and since when it knows.
    revoked: BTreeMap<At, Instant>,
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
        let (changes, received) = mpsc::channel(CHANGES * claims.len() + 1);
        let (ends, served) = mpsc::channel(ENDS);
        list.last += 1;
        let number = list.last;
        let group = group.clone();
        let (held, revoked) = (BTreeMap::new(), BTreeMap::new());
        list.members.push(Member { number, group, claims, waiting: true, held, revoked, changes });
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
            let Change::Assigned { at, epoch, .. } = change else { continue };
            for other in list.members.iter_mut().filter(|m| m.number != number && m.group == group) {
                other.lose(at);
                other.claims.retain(|claim| *claim != at);
            }
            if let Some(member) = list.members.iter_mut().find(|m| m.number == number) {
                member.held.insert(at, epoch);
                member.tell(change);
            }
        }
    }

    /// Tells all members of `group` that they have lost everything.
    pub(crate) fn forget(&self, group: &GroupName) {
        for member in self.lock().members.iter_mut().filter(|m| m.group == *group) {
            for at in member.held.keys().copied().collect::<Vec<_>>() {
                member.lose(at);
            }
        }
    }

    /// `number` has handed `at` over. If nobody had asked for it, it does not want it back either.
    pub(crate) fn released(&self, number: u64, at: At) {
        if let Some(member) = self.lock().members.iter_mut().find(|m| m.number == number) {
            member.held.remove(&at);
            if member.revoked.remove(&at).is_none() {
                member.claims.retain(|claim| *claim != at);
            }
        }
    }

    /// `number` has left; returns what it held.
    pub(crate) fn leave(&self, number: u64) -> Vec<(At, Epoch)> {
        let mut list = self.lock();
        let index = list.members.iter().position(|m| m.number == number);
        index.map(|index| list.members.remove(index).held.into_iter().collect()).unwrap_or_default()
    }

    /// The groups that have members.
    pub(crate) fn groups(&self) -> Vec<GroupName> {
        let groups: BTreeSet<_> = self.lock().members.iter().map(|m| m.group.clone()).collect();
        groups.into_iter().collect()
    }

    /// Of each partition that members of `group` claim or hold: who claims it (of several the last one that has joined,
    /// as long as it can be told of changes), and who holds it under which epoch.
    pub(crate) fn stakes(&self, group: &GroupName) -> BTreeMap<At, Stake> {
        let mut stakes: BTreeMap<At, Stake> = BTreeMap::new();
        for member in self.lock().members.iter().filter(|m| m.group == *group) {
            // room for all that there is to hear until every claim has been assigned and lost again
            let can_hear = member.changes.capacity() + member.held.len() >= CHANGES * member.claims.len();
            for at in &member.claims {
                stakes.entry(*at).or_default().claimant = can_hear.then_some(member.number);
            }
            for (at, epoch) in &member.held {
                stakes.entry(*at).or_default().holder = Some((member.number, *epoch));
            }
        }
        stakes
    }

    /// Tells who holds `at` of `group` that another process is to have it; once. How long ago that was.
    pub(crate) fn revoke(&self, group: &GroupName, at: At, within: Duration) -> Duration {
        let mut list = self.lock();
        let holder = list.members.iter_mut().find(|m| m.group == *group && m.held.contains_key(&at));
        let Some(holder) = holder else { return Duration::ZERO };
        if let Some(asked) = holder.revoked.get(&at) {
            return asked.elapsed();
        }
        holder.revoked.insert(at, Instant::now());
        holder.tell(Change::Revoking { at, within });
        Duration::ZERO
    }

    /// Tells who holds `at` of `group` that another process has it.
    pub(crate) fn lose(&self, group: &GroupName, at: At) {
        for member in self.lock().members.iter_mut().filter(|m| m.group == *group) {
            member.lose(at);
        }
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

/// What the members of this process have to do with a partition.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Stake {
    pub(crate) claimant: Option<u64>,
    pub(crate) holder: Option<(u64, Epoch)>,
}

impl Member {
    fn lose(&mut self, at: At) {
        self.revoked.remove(&at);
        if self.held.remove(&at).is_some() {
            self.tell(Change::Lost { at });
        }
    }

    fn tell(&self, change: Change) {
        if self.changes.try_send(change).is_err() {
            tracing::debug!(group = %self.group, "a member that has left was told of a change");
        }
    }
}
