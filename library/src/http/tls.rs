//! Whose certificates are believed.

use super::HttpError;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// A file of certificates that holds none, or one that is no certificate.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidCertificates(String);

/// The certificates of a text in PEM.
pub(super) fn read_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, InvalidCertificates> {
    let invalid = |error: &dyn std::fmt::Display| InvalidCertificates(error.to_string());
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|e| invalid(&e))?;
    if all.is_empty() {
        return Err(invalid(&"it holds no certificate in PEM"));
    }
    let mut store = RootCertStore::empty();
    for certificate in &all {
        store.add(certificate.clone()).map_err(|e| invalid(&e))?;
    }
    Ok(all)
}

/// Believes those whom the system trusts (where it has none, as in an empty container: Mozilla's list, as it was when
/// this was built), and these.
pub(super) fn config(more: &[CertificateDer<'static>]) -> Result<ClientConfig, HttpError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    }
    roots.add_parsable_certificates(more.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| HttpError::Unusable(e.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
