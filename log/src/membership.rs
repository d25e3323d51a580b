//! Taking part in a group.

use crate::LogError;
use tokio::sync::{mpsc, oneshot};
use weir_schema::{At, Epoch, GroupName, Offset};

/// Where a group stands in one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupPosition {
    /// The group.
    pub group: GroupName,
    /// The partition.
    pub at: At,
    /// The first offset that is not handled yet.
    pub position: Offset,
    /// Under which it is owned, or was last.
    pub epoch: Epoch,
    /// How often it has been moved back.
    pub incarnation: u32,
    /// How many take-overs in a row found it not released.
    pub unclean: u32,
}

/// What changes for a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// The partition is ours, under `epoch`.
    Assigned {
        /// The partition.
        at: At,
        /// For the fence.
        epoch: Epoch,
        /// Where to begin.
        position: Offset,
        /// How often the group has been moved back here.
        incarnation: u32,
        /// How many take-overs in a row, this one included, found the partition not released.
        unclean: u32,
    },
    /// Another is to have it: drain, commit, then [`Membership::release`].
    Revoking {
        /// The partition.
        at: At,
        /// How long that may take.
        within: std::time::Duration,
    },
    /// It is another's already: stop now. Commits will be `Fenced`.
    Lost {
        /// The partition.
        at: At,
    },
}

/// What a member tells the log about a partition of its own.
#[derive(Debug)]
pub enum MembershipEnd {
    /// It is handed over, clean.
    Release(At, Epoch, oneshot::Sender<Result<(), LogError>>),
    /// What an unclean take-over left has been digested: the count of them starts again at 0.
    Settled(At, Epoch, oneshot::Sender<Result<(), LogError>>),
}

/// A member's end. Dropping it leaves the group; what was not released is taken over as unclean.
#[derive(Debug)]
pub struct Membership {
    /// What changes, in order. Ends when the log is closed.
    pub changes: mpsc::Receiver<Change>,
    ends: mpsc::Sender<MembershipEnd>,
}

impl Membership {
    /// Puts the two ends together: for backends.
    #[must_use]
    pub fn new(changes: mpsc::Receiver<Change>, ends: mpsc::Sender<MembershipEnd>) -> Self {
        Self { changes, ends }
    }

    /// Hands a partition over. Durable when it returns; a second time, or under an old epoch, it does nothing.
    ///
    /// # Errors
    /// `Closed`, `Unavailable`.
    pub async fn release(&self, at: At, epoch: Epoch) -> Result<(), LogError> {
        self.tell(|done| MembershipEnd::Release(at, epoch, done)).await
    }

    /// Says that what an unclean take-over left has been digested. Durable when it returns.
    ///
    /// # Errors
    /// `Closed`, `Unavailable`.
    pub async fn settled(&self, at: At, epoch: Epoch) -> Result<(), LogError> {
        self.tell(|done| MembershipEnd::Settled(at, epoch, done)).await
    }

    async fn tell(
        &self,
        end: impl FnOnce(oneshot::Sender<Result<(), LogError>>) -> MembershipEnd,
    ) -> Result<(), LogError> {
        let (done, answer) = oneshot::channel();
        self.ends.send(end(done)).await.map_err(|_| LogError::Closed)?;
        answer.await.map_err(|_| LogError::Closed)?
    }
}
