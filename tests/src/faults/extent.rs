//! How often faults strike, and how long they last.

use std::time::Duration;

/// The short form's number of strikes, or the full one's.
#[must_use]
pub fn times(short: usize, full: usize) -> usize {
    if is_full() { full } else { short }
}

/// How many seconds a fault lasts in the short form, or in the full one.
#[must_use]
pub fn seconds(short: u64, full: u64) -> Duration {
    Duration::from_secs(if is_full() { full } else { short })
}

fn is_full() -> bool {
    match std::env::var_os("SOAK_FAULTS") {
        None => false,
        Some(said) if said == "full" => true,
        Some(said) => panic!("SOAK_FAULTS is full or not there, not {}", said.display()),
    }
}

/// Lets a fault last.
pub async fn last(duration: Duration) {
    drop(tokio::time::timeout(duration, std::future::pending::<()>()).await);
}
