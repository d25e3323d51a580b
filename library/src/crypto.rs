//! Hashes, keys, signatures, passwords.

mod hash;
mod key;
pub(crate) mod module;
mod password;
mod pem;
mod seal;
mod sign;

pub(crate) use hash::Hash;
pub(crate) use key::{Jwk, KeyError, PrivateKey, PublicKey, is_pem};
pub(crate) use sign::{Form, Scheme};

#[cfg(test)]
mod tests;
