//! The transaction: everything that one invocation, or one chunk of a trigger's, does to the log.

use crate::{
    At, CatalogVersion, Digest, Epoch, GroupName, Millis, Offset, Records, Stamp, StateKey, StateRange, TxnId,
};
use bytes::Bytes;
use smallvec::SmallVec;

/// Becomes visible as a whole or not at all. The log checks in this order: what it knows of `id`, `fence`,
/// `advance.from`, `catalog`, `reads`; then it applies `writes` and `appends`.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// Sending the same id again is how an outcome that is not known is resolved.
    pub id: TxnId,
    /// The version of the catalog that it was built with; another one is a conflict.
    pub catalog: CatalogVersion,
    /// For whom it acts. Everything that acts for a group carries one.
    pub fence: Option<Fence>,
    /// Moves the group's position in `fence.at`; needs a fence.
    pub advance: Option<Advance>,
    /// What must still be so; empty: it is blind.
    pub reads: Vec<Read>,
    /// At most one per key.
    pub writes: Vec<Write>,
    /// Events, in order.
    pub appends: SmallVec<[Records; 1]>,
}

impl Transaction {
    /// A transaction that does nothing yet.
    #[must_use]
    pub fn new(id: TxnId, catalog: CatalogVersion) -> Self {
        Self {
            id,
            catalog,
            fence: None,
            advance: None,
            reads: Vec::new(),
            writes: Vec::new(),
            appends: SmallVec::new(),
        }
    }

    /// Whether it changes nothing, so that only its reads are to be checked.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.advance.is_none() && self.writes.is_empty() && self.appends.iter().all(Records::is_empty)
    }

    /// Its size for the bounds of batches: bytes of events, keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let writes = self.writes.iter().map(|w| match &w.op {
            Op::Put { value, .. } => w.key.key.len() + value.len(),
            Op::Delete | Op::Add(_) => w.key.key.len(),
        });
        writes.sum::<usize>() + self.appends.iter().map(Records::bytes).sum::<usize>()
    }
}

/// Acts for a group only while it owns the partition under this epoch.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Fence {
    /// The group.
    pub group: GroupName,
    /// The partition.
    pub at: At,
    /// The epoch that `join` gave.
    pub epoch: Epoch,
}

/// Moves a position. Backwards raises the incarnation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advance {
    /// The position must be this.
    pub from: Offset,
    /// The first offset that is not handled yet.
    pub to: Offset,
}

/// Something a transaction saw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Read {
    /// A row, by its stamp; none: it was absent.
    Key(StateKey, Option<Stamp>),
    /// A range, by its digest.
    Range(StateRange, Digest),
}

/// One row changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// The row.
    pub key: StateKey,
    /// What becomes of it.
    pub op: Op,
    /// Its new version.
    pub stamp: Stamp,
}

/// What becomes of a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// The row is this.
    Put {
        /// JSON.
        value: Bytes,
        /// When it stops to count.
        expires: Option<Millis>,
    },
    /// The row is gone. Deleting an absent row is no error.
    Delete,
    /// The counter grows by this; an absent row counts as 0, and so does one that has expired at the commit.
    /// Blind: adds commute. On anything but a counter, or past 2^53, the transaction is refused.
    Add(i64),
}

/// What a commit came to.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Receipt {
    /// Runs of offsets in the order of the appends: partition, first offset, how many follow without a gap.
    pub bases: SmallVec<[(At, Offset, u32); 1]>,
    /// What each `Add` came to.
    pub sums: SmallVec<[(StateKey, i64); 1]>,
}

impl Receipt {
    /// The offset of each appended event, in order.
    pub fn offsets(&self) -> impl Iterator<Item = (At, Offset)> + '_ {
        self.bases.iter().flat_map(|(at, base, n)| (0..u64::from(*n)).map(|i| (*at, Offset(base.0 + i))))
    }
}
