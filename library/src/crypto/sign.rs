//! Signatures.

use super::Hash;
use super::key::{Curve, KeyError, PrivateKey, PublicKey};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, RsaEncoding, RsaParameters, UnparsedPublicKey,
    VerificationAlgorithm,
};

/// How a message is signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scheme {
    /// PKCS #1 1.5.
    Rsa(Hash),
    /// PSS, its salt as long as the hash.
    RsaPss(Hash),
    /// With the hash that fits the curve: SHA-256 with P-256, SHA-384 with P-384.
    Ecdsa(Form),
    Ed25519,
}

/// How the two numbers of an ECDSA signature are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// As ASN.1, what `openssl` writes.
    Der,
    /// One after the other, as in JOSE.
    Fixed,
}

impl Curve {
    pub(super) fn key_pair(self, pkcs8: &[u8], form: Form) -> Result<EcdsaKeyPair, ring::error::KeyRejected> {
        let algorithm: &'static EcdsaSigningAlgorithm = match (self, form) {
            (Self::P256, Form::Der) => &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            (Self::P256, Form::Fixed) => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            (Self::P384, Form::Der) => &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
            (Self::P384, Form::Fixed) => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        };
        EcdsaKeyPair::from_pkcs8(algorithm, pkcs8, &SystemRandom::new())
    }

    fn verification(self, form: Form) -> &'static dyn VerificationAlgorithm {
        match (self, form) {
            (Self::P256, Form::Der) => &signature::ECDSA_P256_SHA256_ASN1,
            (Self::P256, Form::Fixed) => &signature::ECDSA_P256_SHA256_FIXED,
            (Self::P384, Form::Der) => &signature::ECDSA_P384_SHA384_ASN1,
            (Self::P384, Form::Fixed) => &signature::ECDSA_P384_SHA384_FIXED,
        }
    }
}

impl PublicKey {
    /// Whether the signature is one of this message by the key's owner.
    ///
    /// # Errors
    /// The key is not of the scheme's kind.
    pub(crate) fn verify(&self, scheme: Scheme, message: &[u8], signed: &[u8]) -> Result<bool, KeyError> {
        let verify = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            Ok(UnparsedPublicKey::new(algorithm, key).verify(message, signed).is_ok())
        };
        match (self, scheme) {
            (Self::Ed25519(key), Scheme::Ed25519) => verify(&signature::ED25519, key),
            (Self::Ecdsa(curve, key), Scheme::Ecdsa(form)) => verify(curve.verification(form), key),
            (Self::Rsa(key), Scheme::Rsa(_) | Scheme::RsaPss(_)) => verify(rsa_verification(scheme)?, key),
            (Self::RsaParts { n, e }, Scheme::Rsa(_) | Scheme::RsaPss(_)) => {
                let key = PublicKeyComponents { n, e };
                Ok(key.verify(rsa_verification(scheme)?, message, signed).is_ok())
            }
            (_, scheme) => Err(KeyError(format!("the key is not for {}", scheme.kind()))),
        }
    }
}

impl PrivateKey {
    /// Signs. RSA takes milliseconds.
    ///
    /// # Errors
    /// The key is not of the scheme's kind.
    pub(crate) fn sign(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let random = SystemRandom::new();
        let failed = |_| KeyError("the key cannot sign this".to_owned());
        match (self, scheme) {
            (Self::Ed25519(key), Scheme::Ed25519) => Ok(key.sign(message).as_ref().to_vec()),
            (Self::Ecdsa(curve, pkcs8), Scheme::Ecdsa(form)) => {
                let key = curve.key_pair(pkcs8, form).map_err(|e| KeyError(e.to_string()))?;
                Ok(key.sign(&random, message).map_err(failed)?.as_ref().to_vec())
            }
            (Self::Rsa(key), Scheme::Rsa(_) | Scheme::RsaPss(_)) => {
                let mut signed = vec![0; key.public().modulus_len()];
                key.sign(rsa_signing(scheme)?, &random, message, &mut signed).map_err(failed)?;
                Ok(signed)
            }
            (_, scheme) => Err(KeyError(format!("the key is not for {}", scheme.kind()))),
        }
    }
}

impl Scheme {
    fn kind(self) -> &'static str {
        match self {
            Self::Rsa(_) | Self::RsaPss(_) => "RSA",
            Self::Ecdsa(_) => "ECDSA",
            Self::Ed25519 => "Ed25519",
        }
    }
}

fn rsa_verification(scheme: Scheme) -> Result<&'static RsaParameters, KeyError> {
    match scheme {
        Scheme::Rsa(Hash::Sha1) => Ok(&signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY),
        Scheme::Rsa(Hash::Sha256) => Ok(&signature::RSA_PKCS1_2048_8192_SHA256),
        Scheme::Rsa(Hash::Sha384) => Ok(&signature::RSA_PKCS1_2048_8192_SHA384),
        Scheme::Rsa(Hash::Sha512) => Ok(&signature::RSA_PKCS1_2048_8192_SHA512),
        Scheme::RsaPss(Hash::Sha256) => Ok(&signature::RSA_PSS_2048_8192_SHA256),
        Scheme::RsaPss(Hash::Sha384) => Ok(&signature::RSA_PSS_2048_8192_SHA384),
        Scheme::RsaPss(Hash::Sha512) => Ok(&signature::RSA_PSS_2048_8192_SHA512),
        _ => Err(no_such_hash()),
    }
}

fn rsa_signing(scheme: Scheme) -> Result<&'static dyn RsaEncoding, KeyError> {
    match scheme {
        Scheme::Rsa(Hash::Sha256) => Ok(&signature::RSA_PKCS1_SHA256),
        Scheme::Rsa(Hash::Sha384) => Ok(&signature::RSA_PKCS1_SHA384),
        Scheme::Rsa(Hash::Sha512) => Ok(&signature::RSA_PKCS1_SHA512),
        Scheme::RsaPss(Hash::Sha256) => Ok(&signature::RSA_PSS_SHA256),
        Scheme::RsaPss(Hash::Sha384) => Ok(&signature::RSA_PSS_SHA384),
        Scheme::RsaPss(Hash::Sha512) => Ok(&signature::RSA_PSS_SHA512),
        _ => Err(no_such_hash()),
    }
}

fn no_such_hash() -> KeyError {
    KeyError("RSA signs with sha256, sha384 or sha512".to_owned())
}
