//! Passwords. Slow on purpose: none of this may run on a reactor.

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

/// The most that one hash may take: whoever can write a hash into a database could else ask for all memory there is.
const MAX_KIB: u32 = 256 << 10;
/// Passes over the memory, likewise.
const MAX_PASSES: u32 = 16;
/// Of bcrypt: 2^14 rounds take about a second.
const MAX_COST: u32 = 14;

/// 2^12 rounds take about a quarter of a second.
pub(crate) const BCRYPT_COST: u32 = 12;

/// What an Argon2id hash costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Argon2Cost {
    /// KiB of memory.
    pub(crate) memory: u32,
    /// Passes over it.
    pub(crate) passes: u32,
    /// Lanes.
    pub(crate) lanes: u32,
}

impl Default for Argon2Cost {
    /// What OWASP recommends.
    fn default() -> Self {
        Self { memory: 19 << 10, passes: 2, lanes: 1 }
    }
}

impl Argon2Cost {
    /// # Errors
    /// It is too much for a server, or too little for the algorithm.
    pub(crate) fn check(self) -> Result<Self, String> {
        if self.memory > MAX_KIB || self.passes > MAX_PASSES {
            return Err(format!(
                "memory {} KiB and {} passes: at most {MAX_KIB} KiB and {MAX_PASSES} passes",
                self.memory, self.passes
            ));
        }
        Params::new(self.memory, self.passes, self.lanes, None).map(|_| self).map_err(|e| e.to_string())
    }
}

/// `$argon2id$v=19$m=…,t=…,p=…$SALT$HASH`.
pub(crate) fn argon2_hash(password: &[u8], cost: Argon2Cost) -> Result<String, String> {
    let params = Params::new(cost.memory, cost.passes, cost.lanes, None).map_err(|e| e.to_string())?;
    let salt = SaltString::encode_b64(&super::seal::random(16)?).map_err(|e| e.to_string())?;
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    hasher.hash_password(password, &salt).map(|hash| hash.to_string()).map_err(|e| e.to_string())
}

/// Whether the password is the one of the hash.
pub(crate) fn argon2_verify(password: &[u8], hash: &str) -> Result<bool, String> {
    let parsed = PasswordHash::new(hash).map_err(|e| format!("no hash of Argon2: {e}"))?;
    let params = Params::try_from(&parsed).map_err(|e| format!("no hash of Argon2: {e}"))?;
    Argon2Cost { memory: params.m_cost(), passes: params.t_cost(), lanes: params.p_cost() }.check()?;
    match Argon2::default().verify_password(password, &parsed) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::Password) => Ok(false),
        Err(error) => Err(format!("no hash of Argon2: {error}")),
    }
}

/// # Errors
/// The cost is none, or takes longer than a server should.
pub(crate) fn check_bcrypt_cost(cost: u32) -> Result<u32, String> {
    match cost {
        4..=MAX_COST => Ok(cost),
        _ => Err(format!("cost {cost}: from 4 to {MAX_COST}")),
    }
}

/// `$2b$COST$…`. Bytes behind the 72nd would count for nothing, so they are refused.
pub(crate) fn bcrypt_hash(password: &[u8], cost: u32) -> Result<String, String> {
    bcrypt::non_truncating_hash(password, check_bcrypt_cost(cost)?).map_err(|e| e.to_string())
}

/// Whether the password is the one of the hash, made by whatever program.
pub(crate) fn bcrypt_verify(password: &[u8], hash: &str) -> Result<bool, String> {
    let parts: bcrypt::HashParts = hash.parse().map_err(|e| format!("no hash of bcrypt: {e}"))?;
    check_bcrypt_cost(parts.get_cost())?;
    bcrypt::verify(password, hash).map_err(|e| format!("no hash of bcrypt: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the reference implementation's README and test.c (m=65536 and m=256), and OpenBSD's vectors of bcrypt.
    #[test]
    fn hashes_that_other_programs_made_are_verified() {
        let argon2 = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        assert_eq!(argon2_verify(b"password", argon2), Ok(true));
        assert_eq!(argon2_verify(b"passworD", argon2), Ok(false));
        let bcrypt = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        assert_eq!(bcrypt_verify(b"U*U", bcrypt), Ok(true));
        assert_eq!(bcrypt_verify(b"U*V", bcrypt), Ok(false));
    }

    #[test]
    fn a_hash_that_would_take_all_memory_or_time_is_refused() {
        let huge = "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        assert!(argon2_verify(b"password", huge).is_err_and(|e| e.contains("4194304 KiB")));
        let slow = "$2a$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        assert!(bcrypt_verify(b"U*U", slow).is_err_and(|e| e.contains("cost 31")));
        assert!(bcrypt_hash(b"x", 15).is_err());
        assert!(bcrypt_hash(&[b'x'; 73], 4).is_err(), "what does not count is refused");
    }

    #[test]
    fn a_password_is_verified_by_its_own_hash_alone() {
        let cheap = Argon2Cost { memory: 64, passes: 1, lanes: 1 };
        let hash = argon2_hash(b"hunter2", cheap).expect("a hash");
        assert_eq!(argon2_verify(b"hunter2", &hash), Ok(true));
        assert_eq!(argon2_verify(b"hunter3", &hash), Ok(false));
        assert_ne!(hash, argon2_hash(b"hunter2", cheap).expect("a hash"), "the salt is random");
        let hash = bcrypt_hash(b"hunter2", 4).expect("a hash");
        assert_eq!(bcrypt_verify(b"hunter2", &hash), Ok(true));
        assert_eq!(bcrypt_verify(b"hunter3", &hash), Ok(false));
    }

    #[test]
    fn what_is_no_hash_is_an_error_and_not_a_wrong_password() {
        for text in ["", "x", "$argon2id$", "$2b$", "$2b$12$"] {
            assert!(argon2_verify(b"x", text).is_err(), "{text}");
            assert!(bcrypt_verify(b"x", text).is_err(), "{text}");
        }
    }
}
