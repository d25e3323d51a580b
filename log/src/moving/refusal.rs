//! Why a log cannot be held, opened or written.

use crate::LogError;

/// Another process has the log.
pub(crate) fn in_use(place: &str) -> LogError {
    unavailable("open", place, "a server works on it, or another command moves it: stop that first", true)
}

/// There is none to be held.
pub(crate) fn no_log(place: &str) -> LogError {
    unavailable("open", place, "there is no log", false)
}

/// A copy into it has not ended.
pub(crate) fn half_a_copy(place: &str) -> LogError {
    let why = "a copy into it has not ended: run the same `weir copy` again, or delete it";
    unavailable("open", place, why, false)
}

/// A partition ends elsewhere than an import takes it to end.
pub(crate) fn moved_on(place: &str) -> LogError {
    let why = "a partition has got events from elsewhere meanwhile: stop what writes to it, and try again";
    unavailable("write", place, why, false)
}

/// A log cannot be used as it should; `verb` is what was to be done with it.
pub(crate) fn unavailable(verb: &str, place: &str, why: &str, retry: bool) -> LogError {
    LogError::Unavailable { operation: format!("{verb} log {place}"), source: why.into(), retry }
}
