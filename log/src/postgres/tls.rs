//! Encrypted connections, as libpq's `sslmode` says.

use crate::BoxError;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::Arc;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

/// What `sslmode` and `sslrootcert` ask for.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Tls {
    mode: Mode,
    /// A file in PEM; none, or `system`: those that the system trusts.
    root: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Mode {
    Disable,
    /// Encrypted if the server can.
    #[default]
    Prefer,
    Require,
    /// And the server's certificate is signed by whom is trusted.
    VerifyCa,
    /// And it bears the server's name.
    VerifyFull,
}

impl Tls {
    /// Reads the two parameters; in the error: what is wrong.
    pub(super) fn parse(mode: Option<&str>, root: Option<&str>) -> Result<Self, String> {
        let mode = match mode {
            None | Some("prefer" | "allow") => Mode::Prefer,
            Some("disable") => Mode::Disable,
            // as libpq has it: who names a root wants it to be looked at
            Some("require") if root.is_some() => Mode::VerifyCa,
            Some("require") => Mode::Require,
            Some("verify-ca") => Mode::VerifyCa,
            Some("verify-full") => Mode::VerifyFull,
            Some(other) => {
                return Err(format!(
                    "sslmode {other:?} is none of disable, prefer, require, verify-ca and verify-full"
                ));
            }
        };
        let root = root.filter(|root| *root != "system").map(str::to_owned);
        Ok(Self { mode, root })
    }

    /// What the driver is told.
    pub(super) fn mode(&self) -> SslMode {
        match self.mode {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
        }
    }

    /// What makes connections.
    pub(super) fn connector(&self) -> Result<MakeRustlsConnect, BoxError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let config = match self.mode {
            Mode::Disable | Mode::Prefer | Mode::Require => {
                let anyone = Lenient { chain: None, algorithms: provider.signature_verification_algorithms };
                config.dangerous().with_custom_certificate_verifier(Arc::new(anyone))
            }
            Mode::VerifyCa => {
                config.dangerous().with_custom_certificate_verifier(Arc::new(self.any_name(provider)?))
            }
            Mode::VerifyFull => config.with_root_certificates(self.roots()?),
        };
        Ok(MakeRustlsConnect::new(config.with_no_client_auth()))
    }

    fn any_name(&self, provider: Arc<CryptoProvider>) -> Result<Lenient, BoxError> {
        let algorithms = provider.signature_verification_algorithms;
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(self.roots()?), provider).build()?;
        Ok(Lenient { chain: Some(chain), algorithms })
    }

    fn roots(&self) -> Result<RootCertStore, BoxError> {
        let mut roots = RootCertStore::empty();
        match &self.root {
            Some(file) => {
                let failed =
                    |error: &dyn std::fmt::Display| format!("cannot read sslrootcert {file}: {error}");
                for certificate in CertificateDer::pem_file_iter(file).map_err(|e| failed(&e))? {
                    roots.add(certificate.map_err(|e| failed(&e))?)?;
                }
            }
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        if roots.is_empty() {
            return Err(
                "there is no root certificate to verify the server's: name a file in sslrootcert".into()
            );
        }
        Ok(roots)
    }
}

/// Takes a server with any name, or with any certificate at all. That the server has the key of its certificate is
/// verified always.
#[derive(Debug)]
struct Lenient {
    /// None: any certificate.
    chain: Option<Arc<WebPkiServerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            // the name is looked at last, when all else is well
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
