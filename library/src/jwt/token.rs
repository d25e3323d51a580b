//! Tokens: made, read, and verified. Which algorithm may verify a token is decided by the key, never by the token.

use super::Rules;
use crate::crypto::{Form, Hash, PrivateKey, PublicKey, Scheme, is_pem};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq as _;

/// How a token is signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Algorithm {
    /// With a secret that both sides know.
    Shared(Hash),
    /// With a private key.
    Pair(Scheme),
}

/// By the names of RFC 7518. There is no `none`.
const ALGORITHMS: [(&str, Algorithm); 12] = [
    ("HS256", Algorithm::Shared(Hash::Sha256)),
    ("HS384", Algorithm::Shared(Hash::Sha384)),
    ("HS512", Algorithm::Shared(Hash::Sha512)),
    ("RS256", Algorithm::Pair(Scheme::Rsa(Hash::Sha256))),
    ("RS384", Algorithm::Pair(Scheme::Rsa(Hash::Sha384))),
    ("RS512", Algorithm::Pair(Scheme::Rsa(Hash::Sha512))),
    ("PS256", Algorithm::Pair(Scheme::RsaPss(Hash::Sha256))),
    ("PS384", Algorithm::Pair(Scheme::RsaPss(Hash::Sha384))),
    ("PS512", Algorithm::Pair(Scheme::RsaPss(Hash::Sha512))),
    ("ES256", Algorithm::Pair(Scheme::Ecdsa(Form::Fixed))),
    ("ES384", Algorithm::Pair(Scheme::Ecdsa(Form::Fixed))),
    ("EdDSA", Algorithm::Pair(Scheme::Ed25519)),
];

impl Algorithm {
    pub(crate) fn named(name: &str) -> Option<Self> {
        ALGORITHMS.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
    }
}

/// What verifies a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Key {
    /// What both sides know.
    Secret(Vec<u8>),
    /// The signer's public key.
    Public(PublicKey),
}

impl Key {
    /// A key in PEM is a public key, and every other text a secret: a public key is never taken for a secret, which
    /// everyone would know.
    pub(crate) fn read(text: &[u8]) -> Result<Self, String> {
        if is_pem(text) {
            return PublicKey::read(text).map(Self::Public).map_err(|e| e.to_string());
        }
        if text.is_empty() {
            return Err("the secret is empty".to_owned());
        }
        Ok(Self::Secret(text.to_vec()))
    }

    /// Whether the key can have signed by this algorithm, and has.
    fn verifies(&self, token: &Token<'_>) -> bool {
        match (self, token.algorithm) {
            (Self::Secret(secret), Some(Algorithm::Shared(hash))) => {
                hash.hmac(secret, token.signed.as_bytes()).ct_eq(&token.signature).into()
            }
            (Self::Public(key), Some(Algorithm::Pair(scheme))) if key.fits(&token.algorithm_name) => {
                key.verify(scheme, token.signed.as_bytes(), &token.signature) == Ok(true)
            }
            _ => false,
        }
    }
}

/// Signs claims, a JSON object, with a secret or a private key; `header` has the members beside `alg` and `typ`.
pub(crate) fn sign(
    claims: &[u8],
    key: &[u8],
    name: &str,
    mut header: Map<String, Value>,
) -> Result<String, String> {
    let algorithm = Algorithm::named(name).ok_or_else(|| format!("there is no algorithm {name:?}"))?;
    header.insert("alg".to_owned(), name.into());
    header.entry("typ").or_insert("JWT".into());
    let header = Value::Object(header).to_string();
    let signed = format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(claims));
    let signature = match (algorithm, is_pem(key)) {
        (Algorithm::Shared(_), true) => {
            return Err(format!(
                "{name} takes a secret, and this is a key in PEM: did you mean RS256, ES256 or EdDSA?"
            ));
        }
        (Algorithm::Shared(_), false) if key.is_empty() => return Err("the secret is empty".to_owned()),
        (Algorithm::Shared(hash), false) => hash.hmac(key, signed.as_bytes()),
        (Algorithm::Pair(scheme), _) => {
            let key = PrivateKey::read(key).map_err(|e| e.to_string())?;
            if !key.fits(name) {
                return Err(format!("the key is not for {name}"));
            }
            key.sign(scheme, signed.as_bytes()).map_err(|e| e.to_string())?
        }
    };
    Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
}

/// A token that was read, and not verified.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Token<'t> {
    signed: &'t str,
    signature: Vec<u8>,
    algorithm: Option<Algorithm>,
    /// As the header says, whatever it says.
    pub(crate) algorithm_name: String,
    /// Which of the signer's keys.
    pub(crate) kid: Option<String>,
    /// A JSON object.
    pub(crate) header: Vec<u8>,
    /// A JSON object.
    pub(crate) claims: Vec<u8>,
}

impl<'t> Token<'t> {
    /// # Errors
    /// It is no token in three parts.
    pub(crate) fn read(text: &'t str) -> Result<Self, String> {
        let malformed = |what: &str| format!("malformed token: {what}");
        let (signed, signature) = text.rsplit_once('.').ok_or_else(|| malformed("it has no three parts"))?;
        let (header, claims) = signed.split_once('.').ok_or_else(|| malformed("it has no three parts"))?;
        let decode = |part: &str, name: &str| {
            BASE64URL_NOPAD
                .decode(part.as_bytes())
                .map_err(|_| malformed(&format!("its {name} is no base64url")))
        };
        let (header, claims) = (decode(header, "header")?, decode(claims, "payload")?);
        let signature = decode(signature, "signature")?;
        let members: Map<String, Value> =
            serde_json::from_slice(&header).map_err(|_| malformed("its header is no JSON object"))?;
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        let algorithm_name = text("alg").ok_or_else(|| malformed("its header names no algorithm"))?;
        // what is marked as critical must be understood, and nothing of it is
        if members.contains_key("crit") {
            return Err(malformed("its header has critical extensions"));
        }
        let (algorithm, kid) = (Algorithm::named(&algorithm_name), text("kid"));
        Ok(Self { signed, signature, algorithm, algorithm_name, kid, header, claims })
    }

    /// # Errors
    /// None of the keys has signed it by one of the algorithms (empty: any that fits its key), or the claims break
    /// a rule.
    pub(crate) fn verify(&self, keys: &[Key], algorithms: &[String], rules: &Rules) -> Result<(), String> {
        let name = &self.algorithm_name;
        if self.algorithm.is_none() || !(algorithms.is_empty() || algorithms.contains(name)) {
            return Err(format!("algorithm {name:?} is not accepted"));
        }
        if !keys.iter().any(|key| key.verifies(self)) {
            let fits = |key: &Key| match (key, self.algorithm) {
                (Key::Secret(_), Some(Algorithm::Shared(_))) => true,
                (Key::Public(key), Some(Algorithm::Pair(_))) => key.fits(name),
                _ => false,
            };
            return Err(match keys.iter().any(fits) {
                true => "the signature is wrong".to_owned(),
                false => format!("algorithm {name:?} does not fit the key"),
            });
        }
        let claims: Map<String, Value> = serde_json::from_slice(&self.claims)
            .map_err(|_| "malformed token: its payload is no JSON object".to_owned())?;
        rules.check(&claims)
    }
}
