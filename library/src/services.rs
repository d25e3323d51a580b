//! What all invocations of a process share.

/// Made once by the process, and given to its workers.
#[derive(Default, Debug)]
pub struct Services {}
