//! Waiting for something to hold.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

/// How long a test waits for what should take milliseconds. It is spent only by a test that fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Asks until the answer is `Ok`, and returns what it holds.
///
/// # Panics
/// It is still `Err` after `within`: with the last one.
pub async fn eventually<T, E, F>(within: Duration, mut ask: impl FnMut() -> F) -> T
where
    E: Debug,
    F: Future<Output = Result<T, E>>,
{
    let begun = tokio::time::Instant::now();
    loop {
        match ask().await {
            Ok(found) => return found,
            Err(last) => assert!(begun.elapsed() < within, "not within {within:?}: {last:?}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
