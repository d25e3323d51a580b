//! What a test needs in order to hold many connections.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises how many files this process, and so a server that it starts, may have open to what the system allows.
/// Returns that number.
#[must_use]
pub fn raise_open_files() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // refused: it stays what it is
    setrlimit(Resource::Nofile, limit).ok();
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
