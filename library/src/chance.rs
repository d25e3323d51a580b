//! Where random numbers come from.

use chacha20::ChaCha12Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

/// A stream of random bytes: the same for the same seed, in every version of Weir and on every machine.
pub struct Chance(ChaCha12Rng);

impl Chance {
    /// The stream of these parts, each for itself.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut seed = Sha256::new();
        for part in parts {
            seed.update((part.len() as u64).to_le_bytes());
            seed.update(part);
        }
        Self(ChaCha12Rng::from_seed(seed.finalize().into()))
    }

    /// A stream that nobody can tell.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn of_system() -> std::io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self(ChaCha12Rng::from_seed(seed)))
    }

    /// The next number from 0 up to, and not, 1.
    pub fn float(&mut self) -> f64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        unit(u64::from_le_bytes(bytes))
    }

    /// The next bytes of the stream.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

/// The number from 0 up to, and not, 1 that the upper 53 bits are.
pub(crate) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

impl std::fmt::Debug for Chance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chance").finish_non_exhaustive()
    }
}
