//! What all invocations of a process share.

use crate::cache::Values;
use crate::re::Patterns;

/// Made once by the process, and given to its workers.
#[derive(Default, Debug)]
pub struct Services {
    pub(crate) patterns: Patterns,
    pub(crate) values: Values,
}
