//! Logs that are moved: a whole log copied into an empty one, and events of another system brought into one.
//!
//! [`Log::commit`](crate::Log::commit) gives events new offsets and times. Here they keep theirs, so a backend has a
//! second, smaller seam: [`Export`], which reads a log that is held still, and [`Import`], which writes one that nobody
//! else uses. What is to be read and written, and in which order, is decided once for all backends, in [`copy`] and in
//! [`spacer`].

mod compare;
mod copy;
mod edit;
mod outline;
mod progress;
pub(crate) mod refusal;
mod spacer;

pub use compare::Tally;
pub use copy::{Copied, copy};
pub(crate) use edit::{Edit, Row};
pub(crate) use outline::{Marker, Numbers, Outline, Partition, Position};
pub(crate) use progress::Count;
pub use progress::{Phase, Progress, Watcher};
pub use spacer::{Imported, SpacerImport, SpacerTopic, import_spacer};

use crate::{LogError, ReadLimit};
use weir_schema::{At, Offset, Records, StateKey};

/// A log that is held still: while this exists nobody writes it. Dropping it lets the log go.
#[async_trait::async_trait]
pub(crate) trait Export: Send {
    /// Where it is, without secrets.
    fn place(&self) -> &str;

    /// Everything but events and rows.
    async fn outline(&mut self) -> Result<Outline, LogError>;

    /// Events as [`Log::read`](crate::Log::read) gives them.
    async fn events(&mut self, at: At, from: Offset, max: ReadLimit) -> Result<Records, LogError>;

    /// Up to `limit` rows behind `after`, in the order of table (by bytes), generation and key. None: from the first.
    async fn rows(&mut self, after: Option<StateKey>, limit: u32) -> Result<Vec<Row>, LogError>;
}

/// A log that is held to be written past its own rules: offsets and times are the caller's.
#[async_trait::async_trait]
pub(crate) trait Import: Export {
    /// Applies edits in their order, all or none of them; durable when this returns.
    ///
    /// # Errors
    /// `Unavailable` if events do not begin at their partition's tail: somebody else has written. Nothing is changed
    /// then.
    async fn write(&mut self, edits: Vec<Edit>) -> Result<(), LogError>;
}
