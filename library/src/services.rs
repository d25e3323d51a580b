//! What all invocations of a process share.

use crate::cache::Values;
use crate::http::Outbound;
use crate::jwt::JwksCache;
use crate::re::Patterns;
use crate::template::Templates;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Made once by the process, and given to its workers.
#[derive(Debug)]
pub struct Services {
    pub(crate) patterns: Patterns,
    pub(crate) templates: Templates,
    pub(crate) values: Values,
    pub(crate) outbound: Outbound,
    pub(crate) jwks: JwksCache,
    passwords: Semaphore,
}

impl Services {
    /// Services that send requests by `outbound`.
    #[must_use]
    pub fn new(outbound: Outbound) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            patterns: Patterns::default(),
            templates: Templates::default(),
            values: Values::default(),
            outbound,
            jwks: JwksCache::default(),
            passwords: Semaphore::new(processors),
        }
    }

    /// Forgets what `cache` keeps: no test is to find what another has left.
    pub fn forget_values(&self) {
        self.values.forget();
    }

    /// A turn at hashing a password, which takes a processor and megabytes for a while.
    pub(crate) async fn password_turn(&self) -> SemaphorePermit<'_> {
        self.passwords.acquire().await.expect("the semaphore is never closed")
    }
}

impl Default for Services {
    /// Requests are sent under the strictest policy.
    fn default() -> Self {
        Self::new(Outbound::default())
    }
}
