//! What is done in steps, so that others get their turn in between.

use crate::LogError;
use weir_schema::Offset;

/// Trims by `step`, which removes a bounded number of the events below `before` and returns the new earliest offset,
/// until there is nothing left to remove.
pub(crate) async fn trim<F>(before: Offset, step: impl Fn() -> F) -> Result<Offset, LogError>
where
    F: Future<Output = Result<Offset, LogError>>,
{
    let mut last = None;
    loop {
        let earliest = step().await?;
        if earliest >= before || last == Some(earliest) {
            return Ok(earliest);
        }
        last = Some(earliest);
    }
}
