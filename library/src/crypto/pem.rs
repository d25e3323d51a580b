//! Keys in their files: PEM around DER.

use data_encoding::BASE64;
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;
use spki::SubjectPublicKeyInfoRef;

/// The label and the bytes of the first block of a text in PEM; none: there is no whole one.
pub(super) fn read(text: &str) -> Option<(&str, Vec<u8>)> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once(&*format!("-----END {label}-----"))?;
    let digits: String = body.split_whitespace().collect();
    Some((label, BASE64.decode(digits.as_bytes()).ok()?))
}

/// The algorithm, its curve, and the bytes of a public key in its usual wrapping.
pub(super) fn public_key(der: &[u8]) -> Option<(String, String, Vec<u8>)> {
    let info = SubjectPublicKeyInfoRef::try_from(der).ok()?;
    let curve = info.algorithm.parameters_oid().map(|oid| oid.to_string()).unwrap_or_default();
    Some((info.algorithm.oid.to_string(), curve, info.subject_public_key.as_bytes()?.to_vec()))
}

/// The public key of a certificate, in its wrapping. Nothing else of the certificate is looked at.
pub(super) fn certificate_key(der: Vec<u8>) -> Option<Vec<u8>> {
    let certificate = CertificateDer::from(der);
    let parsed = ParsedCertificate::try_from(&certificate).ok()?;
    Some(parsed.subject_public_key_info().as_ref().to_vec())
}

/// A private key of Ed25519, by RFC 8410.
pub(super) fn ed25519_private(seed: &[u8]) -> String {
    const HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    write("PRIVATE KEY", &[&HEAD, seed].concat())
}

/// A public key of Ed25519, by RFC 8410.
pub(super) fn ed25519_public(key: &[u8]) -> String {
    const HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
    write("PUBLIC KEY", &[&HEAD, key].concat())
}

/// What is short enough for one line.
fn write(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
}
