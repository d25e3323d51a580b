//! From a position as users write it to an offset.

use crate::{Log, LogError, TopicInfo};
use weir_schema::{Millis, Offset, Position};

/// The offset that `position` means in one partition of `topic`. An offset is taken as it is, but for one below the
/// earliest kept event, which is `Trimmed`; a duration counts back from `now`.
///
/// # Errors
/// As [`Log::offset_at`], and `Trimmed`.
pub async fn resolve(
    log: &dyn Log,
    topic: &TopicInfo,
    partition: u32,
    position: Position,
    now: Millis,
) -> Result<Offset, LogError> {
    let index = partition as usize;
    let (Some(earliest), Some(tail)) = (topic.earliest.get(index), topic.tail.get(index)) else {
        return Err(LogError::NoTopic(format!("{} with a partition {partition}", topic.spec.name)));
    };
    let at = weir_schema::At { topic: topic.id, partition };
    match position {
        Position::Earliest => Ok(*earliest),
        Position::Latest => Ok(*tail),
        Position::Offset(offset) if offset < *earliest => Err(LogError::Trimmed { earliest: *earliest }),
        Position::Offset(offset) => Ok(offset),
        Position::Time(time) => log.offset_at(at, time).await,
        Position::Back(by) => log.offset_at(at, now.before(by)).await,
    }
}
