//! What tests and operators may set about a log in a file.

use crate::{BoxError, FaultPoint, Faults};
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

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { queue: 16_384, busy: Duration::from_secs(5), max_pages: None, faults: None }
    }
}

impl SqliteOptions {
    pub(super) fn at(&self, point: FaultPoint) -> Result<(), BoxError> {
        crate::faults::at(self.faults.as_ref(), point)
    }
}
