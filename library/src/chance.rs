//! Where random numbers come from.

use chacha20::ChaCha12Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};

/// A stream of random bytes: the same for the same seed, in every version of Weir and on every machine.
pub struct Chance(ChaCha12Rng);

impl Chance {
    /// The stream of this seed.
    #[must_use]
    pub fn of_seed(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    /// A stream that nobody can tell.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn of_system() -> std::io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self::of_seed(seed))
    }

    /// The next bytes of the stream.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

impl std::fmt::Debug for Chance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chance").finish_non_exhaustive()
    }
}
