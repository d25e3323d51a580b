//! Faults that tests let strike.

use crate::BoxError;
use std::sync::Arc;

/// Where in a commit a fault may strike: of a batch to a file, or of one that goes from the store to Kafka.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultPoint {
    /// A batch has been taken from the queue; nothing is applied. An error of a file's makes it `Unavailable`.
    Taken,
    /// Everything is applied, the commit comes next. An error counts as one of the commit, which is not run.
    Applied,
    /// The commit has returned, nobody knows yet. An error counts as one of the commit.
    Committed,
}

/// Decides at each fault point whether the commit goes on.
pub trait Faults: Send + Sync + std::fmt::Debug {
    /// The committer's thread is at `point`.
    ///
    /// # Errors
    /// What the commit is to fail with.
    fn at(&self, point: FaultPoint) -> Result<(), BoxError>;
}

/// Lets `faults`, if there are any, decide.
pub(crate) fn at(faults: Option<&Arc<dyn Faults>>, point: FaultPoint) -> Result<(), BoxError> {
    faults.map_or(Ok(()), |faults| faults.at(point))
}
