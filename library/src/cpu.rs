//! CPU time, as the system counts it.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// The CPU time that this thread has used since it began. What others take of the machine is none of it.
#[must_use]
pub fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.try_into().expect("a thread has used no negative time")
}
