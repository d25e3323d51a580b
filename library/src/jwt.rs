//! JSON Web Tokens.

mod jwks;
pub(crate) mod module;
mod rules;
mod token;

pub(crate) use jwks::{Jwks, JwksCache};
pub(crate) use rules::Rules;
pub(crate) use token::{Algorithm, Key, Token, sign};

#[cfg(test)]
mod tests;
