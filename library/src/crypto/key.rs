//! Keys that sign, and keys that verify.

use super::{Form, pem};
use data_encoding::BASE64URL_NOPAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use serde::Deserialize;

/// A text that is no key that can be used; for people.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct KeyError(pub(crate) String);

/// A curve of ECDSA.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Curve {
    P256,
    P384,
}

/// What verifies a signature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum PublicKey {
    /// As PKCS #1 has it.
    Rsa(Vec<u8>),
    /// Modulus and exponent, big-endian.
    RsaParts { n: Vec<u8>, e: Vec<u8> },
    /// A point, uncompressed.
    Ecdsa(Curve, Vec<u8>),
    /// 32 bytes.
    Ed25519(Vec<u8>),
}

/// What signs.
pub(crate) enum PrivateKey {
    Rsa(Box<RsaKeyPair>),
    /// As PKCS #8 has it: the form of the signature is chosen later.
    Ecdsa(Curve, Vec<u8>),
    Ed25519(Ed25519KeyPair),
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey(***)")
    }
}

/// Whether the text is a key in PEM: such a text is never taken for a shared secret.
pub(crate) fn is_pem(text: &[u8]) -> bool {
    text.windows(11).any(|w| w == b"-----BEGIN ")
}

const RSA: &str = "1.2.840.113549.1.1.1";
const EC: &str = "1.2.840.10045.2.1";
const ED25519: &str = "1.3.101.112";
const P256: &str = "1.2.840.10045.3.1.7";
const P384: &str = "1.3.132.0.34";

impl PublicKey {
    /// Reads `PUBLIC KEY`, `RSA PUBLIC KEY` or `CERTIFICATE` in PEM, or the 32 bytes of an Ed25519 key.
    pub(crate) fn read(text: &[u8]) -> Result<Self, KeyError> {
        if text.len() == 32 {
            return Ok(Self::Ed25519(text.to_vec()));
        }
        let broken = |what: &str| KeyError(format!("the public key is no {what}"));
        let read = std::str::from_utf8(text).ok().and_then(pem::read);
        let (label, der) = read.ok_or_else(|| broken("whole text in PEM"))?;
        match label {
            "PUBLIC KEY" => Self::from_info(&der),
            "RSA PUBLIC KEY" => Ok(Self::Rsa(der)),
            "CERTIFICATE" => {
                Self::from_info(&pem::certificate_key(der).ok_or_else(|| broken("certificate of X.509"))?)
            }
            label => Err(KeyError(format!(
                "{label:?} is no public key; give PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE in PEM"
            ))),
        }
    }

    fn from_info(info: &[u8]) -> Result<Self, KeyError> {
        let info = pem::public_key(info).ok_or_else(|| KeyError("the public key is broken".to_owned()))?;
        match info {
            (kind, _, bytes) if kind == RSA => Ok(Self::Rsa(bytes)),
            (kind, _, bytes) if kind == ED25519 => Ok(Self::Ed25519(bytes)),
            (kind, curve, bytes) if kind == EC && curve == P256 => Ok(Self::Ecdsa(Curve::P256, bytes)),
            (kind, curve, bytes) if kind == EC && curve == P384 => Ok(Self::Ecdsa(Curve::P384, bytes)),
            (kind, curve, _) => Err(KeyError(format!(
                "a public key of {kind} {curve}: there are RSA, ECDSA on P-256 and P-384, and Ed25519"
            ))),
        }
    }

    /// Reads a key of RFC 7517.
    pub(crate) fn from_jwk(jwk: &Jwk) -> Result<Self, KeyError> {
        let part = |name: &str, text: &Option<String>| {
            let bytes = text
                .as_ref()
                .and_then(|text| BASE64URL_NOPAD.decode(text.trim_end_matches('=').as_bytes()).ok());
            bytes.ok_or_else(|| KeyError(format!("the key has no member {name:?} in base64url")))
        };
        match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => Ok(Self::RsaParts { n: part("n", &jwk.n)?, e: part("e", &jwk.e)? }),
            ("OKP", Some("Ed25519")) => Ok(Self::Ed25519(part("x", &jwk.x)?)),
            ("EC", Some(curve @ ("P-256" | "P-384"))) => {
                let curve = if curve == "P-256" { Curve::P256 } else { Curve::P384 };
                let mut point = vec![4];
                point.extend(part("x", &jwk.x)?);
                point.extend(part("y", &jwk.y)?);
                Ok(Self::Ecdsa(curve, point))
            }
            (kty, crv) => Err(KeyError(format!(
                "a key of {kty} {}: there are RSA, EC on P-256 and P-384, and OKP on Ed25519",
                crv.unwrap_or_default()
            ))),
        }
    }
}

impl PublicKey {
    /// Whether the key signs by this algorithm of RFC 7518: ES256 is P-256 alone.
    pub(crate) fn fits(&self, name: &str) -> bool {
        match self {
            Self::Rsa(_) | Self::RsaParts { .. } => name.starts_with("RS") || name.starts_with("PS"),
            Self::Ecdsa(curve, _) => curve.fits(name),
            Self::Ed25519(_) => name == "EdDSA",
        }
    }
}

impl Curve {
    fn fits(self, name: &str) -> bool {
        match self {
            Self::P256 => name == "ES256",
            Self::P384 => name == "ES384",
        }
    }
}

/// A public key of RFC 7517.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(crate) struct Jwk {
    pub(crate) kty: String,
    pub(crate) kid: Option<String>,
    pub(crate) alg: Option<String>,
    #[serde(rename = "use")]
    pub(crate) purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl PrivateKey {
    /// Reads `PRIVATE KEY` or `RSA PRIVATE KEY` in PEM, or the 32 bytes that an Ed25519 key is made from.
    pub(crate) fn read(text: &[u8]) -> Result<Self, KeyError> {
        let wrong = |why: &str| KeyError(format!("the private key cannot be used: {why}"));
        if text.len() == 32 {
            let key = Ed25519KeyPair::from_seed_unchecked(text);
            return key.map(Self::Ed25519).map_err(|e| wrong(&e.to_string()));
        }
        let read = std::str::from_utf8(text).ok().and_then(pem::read);
        let (label, der) = read.ok_or_else(|| wrong("it is no whole text in PEM"))?;
        match label {
            "PRIVATE KEY" => Self::from_pkcs8(der).map_err(|why| wrong(&why)),
            "RSA PRIVATE KEY" => {
                let key = RsaKeyPair::from_der(&der);
                key.map(|key| Self::Rsa(Box::new(key))).map_err(|e| wrong(&e.to_string()))
            }
            label => Err(wrong(&format!(
                "it is {label:?}; make it PKCS #8 by: openssl pkcs8 -topk8 -nocrypt -in FILE"
            ))),
        }
    }

    fn from_pkcs8(der: Vec<u8>) -> Result<Self, String> {
        if let Ok(key) = RsaKeyPair::from_pkcs8(&der) {
            return Ok(Self::Rsa(Box::new(key)));
        }
        if let Ok(key) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der) {
            return Ok(Self::Ed25519(key));
        }
        let mut curves = [Curve::P256, Curve::P384].into_iter();
        if let Some(curve) = curves.find(|curve| curve.key_pair(&der, Form::Der).is_ok()) {
            return Ok(Self::Ecdsa(curve, der));
        }
        Err("there are RSA of 2048 to 4096 bits, ECDSA on P-256 and P-384, and Ed25519".to_owned())
    }

    /// As [`PublicKey::fits`].
    pub(crate) fn fits(&self, name: &str) -> bool {
        match self {
            Self::Rsa(_) => name.starts_with("RS") || name.starts_with("PS"),
            Self::Ecdsa(curve, _) => curve.fits(name),
            Self::Ed25519(_) => name == "EdDSA",
        }
    }

    /// The public key of an Ed25519 key.
    pub(crate) fn ed25519_public(&self) -> Option<Vec<u8>> {
        match self {
            Self::Ed25519(key) => Some(key.public_key().as_ref().to_vec()),
            Self::Rsa(_) | Self::Ecdsa(..) => None,
        }
    }
}
