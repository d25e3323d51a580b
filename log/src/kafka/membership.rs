//! Memberships of the store's, that go on when their topics become others: what was held is lost, and assigned again.

use super::shared::Shared;
use crate::store::Store;
use crate::{Change, LogError, Membership, MembershipEnd};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use weir_schema::{At, Epoch, GroupName, Offset, TopicId};

/// How much may wait for a member.
const CHANGES: usize = 64;
/// The pause before the store is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// A member of the store's, and who it stands for.
pub(super) struct Member {
    store: Arc<dyn Store>,
    group: GroupName,
    start: Vec<(At, Offset)>,
    inner: Membership,
    held: BTreeMap<At, Epoch>,
    /// What it is to hear.
    told: VecDeque<Change>,
    changes: mpsc::Sender<Change>,
    ends: mpsc::Receiver<MembershipEnd>,
    /// How often each topic has become another, as it was when the member joined.
    altered: watch::Receiver<BTreeMap<TopicId, u64>>,
}

/// What there is to do.
enum Next {
    /// Nothing: the user was told something.
    Told,
    Heard(Option<Change>),
    Ended(Option<MembershipEnd>),
    Altered,
    Closed,
}

impl Member {
    /// Joins; returns the member, which is to be attended, and its user's end.
    pub(super) async fn join(
        store: Arc<dyn Store>,
        shared: &Shared,
        group: &GroupName,
        start: &[(At, Offset)],
    ) -> Result<(Self, Membership), LogError> {
        let altered = shared.altered();
        let inner = store.join(group, start).await?;
        let (changes, heard) = mpsc::channel(CHANGES);
        let (tell, ends) = mpsc::channel(CHANGES);
        let (group, start) = (group.clone(), start.to_vec());
        let (held, told) = (BTreeMap::new(), VecDeque::new());
        let member = Self { store, group, start, inner, held, told, changes, ends, altered };
        Ok((member, Membership::new(heard, tell)))
    }

    /// Passes on what there is to pass on, until either end is gone.
    pub(super) async fn attend(mut self) {
        let mut known = self.counts();
        loop {
            match self.next().await {
                Next::Told => {}
                Next::Heard(Some(change)) => self.hear(change),
                Next::Ended(Some(end)) => self.end(end).await,
                Next::Altered => {
                    let now = self.counts();
                    if now != known && !self.join_again().await {
                        return;
                    }
                    known = now;
                }
                Next::Heard(None) | Next::Ended(None) | Next::Closed => return,
            }
        }
    }

    async fn next(&mut self) -> Next {
        let Self { changes, told, inner, ends, altered, .. } = self;
        tokio::select! {
            permit = changes.reserve(), if !told.is_empty() => {
                let (Ok(permit), Some(change)) = (permit, told.pop_front()) else { return Next::Closed };
                permit.send(change);
                Next::Told
            }
            change = inner.changes.recv() => Next::Heard(change),
            end = ends.recv() => Next::Ended(end),
            altered = altered.changed() => if altered.is_ok() { Next::Altered } else { Next::Closed },
        }
    }

    fn counts(&mut self) -> Vec<(TopicId, u64)> {
        let topics: HashSet<_> = self.start.iter().map(|(at, _)| at.topic).collect();
        let altered = self.altered.borrow_and_update();
        altered.iter().filter(|(topic, _)| topics.contains(topic)).map(|(t, n)| (*t, *n)).collect()
    }

    fn hear(&mut self, change: Change) {
        match change {
            Change::Assigned { at, epoch, .. } => drop(self.held.insert(at, epoch)),
            Change::Lost { at } => drop(self.held.remove(&at)),
            Change::Revoking { .. } => {}
        }
        self.told.push_back(change);
    }

    async fn end(&mut self, end: MembershipEnd) {
        // whoever asked may have gone
        match end {
            MembershipEnd::Release(at, epoch, done) => {
                self.held.remove(&at);
                drop(done.send(self.inner.release(at, epoch).await));
            }
            MembershipEnd::Settled(at, epoch, done) => {
                drop(done.send(self.inner.settled(at, epoch).await));
            }
        }
    }

    /// Gives back what is held and joins anew; false: the log is closed.
    async fn join_again(&mut self) -> bool {
        for (at, epoch) in std::mem::take(&mut self.held) {
            self.told.push_back(Change::Lost { at });
            if let Err(error) = self.inner.release(at, epoch).await {
                tracing::debug!(%error, "a partition was not handed back; it will be taken");
            }
        }
        loop {
            match self.store.join(&self.group, &self.start).await {
                Ok(inner) => self.inner = inner,
                Err(LogError::Closed) => return false,
                Err(error) => {
                    tracing::debug!(%error, "cannot join the group again yet");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            }
            return true;
        }
    }
}
