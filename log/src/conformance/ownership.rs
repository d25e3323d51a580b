//! Who a partition belongs to.

use super::{Fixture, group};
use crate::{Change, CommitError, GroupPosition, Membership};
use weir_schema::{Advance, At, Epoch, Fence, GroupName, Offset};

/// A member of a group that has been assigned one partition.
#[derive(Debug)]
pub struct Owner {
    /// Its end.
    pub membership: Membership,
    /// Of what.
    pub group: GroupName,
    /// Of what.
    pub at: At,
    /// Since the assignment.
    pub epoch: Epoch,
    /// At the assignment; then as [`Self::move_to`] leaves it.
    pub position: Offset,
    /// At the assignment.
    pub incarnation: u32,
    /// At the assignment.
    pub unclean: u32,
}

impl Owner {
    /// Joins `name` with one partition, from offset 0, and waits for the assignment.
    pub async fn join(f: &Fixture, name: &str, at: At) -> Self {
        let group = group(name);
        let membership = f.log.join(&group, &[(at, Offset(0))]).await.expect("joined");
        Self::wait(membership, group, at).await
    }

    /// Waits for the assignment of `at`.
    pub async fn wait(mut membership: Membership, group: GroupName, at: At) -> Self {
        loop {
            match membership.changes.recv().await.expect("the log is open") {
                Change::Assigned { at: assigned, epoch, position, incarnation, unclean }
                    if assigned == at =>
                {
                    return Self { membership, group, at, epoch, position, incarnation, unclean };
                }
                _ => {}
            }
        }
    }

    /// What its transactions carry.
    pub fn fence(&self) -> Fence {
        Fence { group: self.group.clone(), at: self.at, epoch: self.epoch }
    }

    /// Fence and advance that move it to `to`.
    pub fn advance(&mut self, to: u64) -> (Option<Fence>, Option<Advance>) {
        (Some(self.fence()), Some(Advance { from: self.position, to: Offset(to) }))
    }

    /// Moves it to `to`.
    pub async fn move_to(&mut self, f: &Fixture, to: u64) {
        let mut transaction = f.transaction();
        (transaction.fence, transaction.advance) = self.advance(to);
        f.done(transaction).await;
        self.position = Offset(to);
    }

    /// Where it stands, as stored.
    pub async fn stored(&self, f: &Fixture) -> GroupPosition {
        let positions = f.log.positions(Some(&self.group)).await.expect("listed");
        positions.into_iter().find(|p| p.at == self.at).expect("it has been joined")
    }

    async fn release(&self) {
        self.membership.release(self.at, self.epoch).await.expect("released");
    }

    async fn settle(&self) {
        self.membership.settled(self.at, self.epoch).await.expect("settled");
    }
}

/// Once a partition has been assigned again, what carries the former epoch is refused, with the new one.
pub async fn a_stale_owner_is_fenced(f: &Fixture) {
    let at = f.partition().await;
    let mut old = Owner::join(f, "events/f", at).await;
    let mut new = Owner::join(f, "events/f", at).await;
    assert!(new.epoch > old.epoch);
    let mut late = f.transaction();
    (late.fence, late.advance) = old.advance(1);
    late.appends.push(super::events(at, &["late"]));
    let error = f.commit(late).await.expect_err("it is fenced");
    assert!(matches!(error, CommitError::Fenced(epoch) if epoch == new.epoch), "{error:?}");
    assert_eq!(f.values(at, 0).await, []);
    new.move_to(f, 1).await;
    assert_eq!(new.stored(f).await.epoch, new.epoch);
}

/// After a release the next owner hears of no unclean take-over, and goes on where the last one stood.
pub async fn a_released_partition_is_taken_over_clean(f: &Fixture) {
    let at = f.partition().await;
    let mut first = Owner::join(f, "events/f", at).await;
    first.move_to(f, 7).await;
    first.release().await;
    first.release().await;
    let second = Owner::join(f, "events/f", at).await;
    assert_eq!((second.position, second.unclean), (Offset(7), 0));
}

/// What was not released is taken over as unclean, and each such take-over in a row counts.
pub async fn a_dropped_one_counts_as_unclean(f: &Fixture) {
    let at = f.partition().await;
    for unclean in 0..4 {
        let owner = Owner::join(f, "events/f", at).await;
        assert_eq!((owner.unclean, owner.stored(f).await.unclean), (unclean, unclean));
    }
    Owner::join(f, "events/f", at).await.release().await;
    assert_eq!(Owner::join(f, "events/f", at).await.unclean, 0);
}

/// What an unclean take-over left has been digested: the count starts again.
pub async fn settling_starts_the_count_again(f: &Fixture) {
    let at = f.partition().await;
    drop(Owner::join(f, "events/f", at).await);
    let owner = Owner::join(f, "events/f", at).await;
    assert_eq!(owner.unclean, 1);
    owner.settle().await;
    assert_eq!(owner.stored(f).await.unclean, 0);
    drop(owner);
    assert_eq!(Owner::join(f, "events/f", at).await.unclean, 1);
}

/// A partition belongs to the last member that has joined with its topic; the former hears that it is lost. Other
/// groups do not mind.
pub async fn a_later_join_takes_partitions_away(f: &Fixture) {
    let at = f.partition().await;
    let mut first = Owner::join(f, "events/f", at).await;
    let mut other = Owner::join(f, "events/g", at).await;
    let second = Owner::join(f, "events/f", at).await;
    assert_eq!(first.membership.changes.recv().await, Some(Change::Lost { at }));
    assert_eq!(second.stored(f).await.epoch, second.epoch);
    other.move_to(f, 3).await;
    assert!(other.membership.changes.try_recv().is_err());
}

/// A release or a settling under an epoch that has passed changes nothing.
pub async fn an_old_epoch_releases_nothing(f: &Fixture) {
    let at = f.partition().await;
    let first = Owner::join(f, "events/f", at).await;
    let second = Owner::join(f, "events/f", at).await;
    first.release().await;
    first.settle().await;
    assert_eq!(second.stored(f).await.unclean, 1);
    assert_eq!(Owner::join(f, "events/f", at).await.unclean, 2);
}
