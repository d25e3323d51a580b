//! What tests and operators may set about a log in a file.

use crate::BoxError;
use std::sync::Arc;
use std::time::Duration;

/// Settings of a log in a file. The defaults are right for use.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// How many transactions may wait; one more is answered `Unavailable` at once.
    pub queue: usize,
    /// How long to wait while another process writes.
    pub busy: Duration,
    /// How many pages of 4 KiB the file may have.
    pub max_pages: Option<u32>,
    /// What happens at the fault points; none: nothing.
    pub faults: Option<Arc<dyn Faults>>,
}

/// Where in a commit a fault may strike.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultPoint {
    /// A batch has been taken from the queue; nothing is applied. An error makes it `Unavailable`.
    Taken,
    /// Everything is applied, `COMMIT` comes next. An error counts as one of `COMMIT`, which is not run.
    Applied,
    /// `COMMIT` has returned, nobody knows yet. An error counts as one of `COMMIT`.
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

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { queue: 16_384, busy: Duration::from_secs(5), max_pages: None, faults: None }
    }
}

impl SqliteOptions {
    pub(super) fn at(&self, point: FaultPoint) -> Result<(), BoxError> {
        self.faults.as_ref().map_or(Ok(()), |faults| faults.at(point))
    }
}
