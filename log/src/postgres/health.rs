//! Whether the server answers. That it does not is said once, and that it does again.

use super::error::{Failure, Fate};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Connections that are lost and made again within this time are not worth a word.
const WORTH_A_WORD: Duration = Duration::from_millis(500);

/// See the module's docs.
#[derive(Default, Debug)]
pub(super) struct Health(Mutex<State>);

#[derive(Default, Debug)]
struct State {
    /// Since when nothing that was asked has been answered.
    unanswered: Option<Instant>,
    is_told: bool,
    /// When the server last let somebody wait for too long.
    silent: Option<Instant>,
}

impl Health {
    /// Takes note of what came of asking the server at `place` something.
    pub(super) fn note<T>(&self, place: &str, result: &Result<T, Failure>) {
        match result {
            Err(failure) if failure.fate() == Fate::Lost => self.lost(place, failure),
            Ok(_) | Err(_) => self.answered(place),
        }
    }

    /// Whether a connection that was made then may still wait for an answer that nobody waits for any more.
    pub(super) fn is_suspect(&self, created: Instant) -> bool {
        self.lock().silent.is_some_and(|silent| created <= silent)
    }

    fn lost(&self, place: &str, failure: &Failure) {
        let (mut state, now) = (self.lock(), Instant::now());
        let since = *state.unanswered.get_or_insert(now);
        let is_silent = matches!(failure, Failure::Silent(_));
        if is_silent {
            state.silent = Some(now);
        }
        if !state.is_told && (is_silent || now - since > WORTH_A_WORD) {
            state.is_told = true;
            tracing::warn!(error = failure.in_words(), "{place} does not answer; trying until it does");
        }
    }

    fn answered(&self, place: &str) {
        let mut state = self.lock();
        if state.unanswered.take().is_some() && std::mem::take(&mut state.is_told) {
            tracing::info!("{place} answers again");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
