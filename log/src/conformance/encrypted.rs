//! A server that speaks TLS.

use super::server::{Server, folder};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::error::Error;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A server of its own, on TCP, whose certificate is for `localhost`.
#[derive(Debug)]
pub struct Encrypted {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// The root that its certificate is signed by.
    pub root: PathBuf,
    /// Another root.
    pub other_root: PathBuf,
    server: Server,
}

impl Encrypted {
    /// Starts one.
    ///
    /// # Panics
    /// If there is no PostgreSQL to start.
    pub fn start() -> Self {
        Self::try_start().unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_start() -> Result<Self, Box<dyn Error>> {
        let folder = folder()?;
        let (root, other_root) = (folder.join("root.crt"), folder.join("other.crt"));
        sign(&folder, &root)?;
        fs::write(&other_root, authority()?.1)?;
        // free when it was asked for; the server has to be told a number
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let settings = format!(
            "-c listen_addresses=127.0.0.1 -p {port} -c ssl=on -c ssl_cert_file={0}/server.crt -c ssl_key_file={0}/server.key",
            folder.display()
        );
        let server = Server::start(&folder, &settings)?;
        Ok(Self { port, root, other_root, server })
    }

    /// A connection that is not encrypted, through the server's socket.
    pub async fn connect(&self) -> tokio_postgres::Client {
        let conn = format!("{} port={}", self.server.conn, self.port);
        Server::connect_to(&conn).await.expect("the server takes connections")
    }
}

/// Makes a server's key and certificate in `folder`, and the root that it is signed by.
pub(super) fn sign(folder: &Path, root: &Path) -> Result<(), Box<dyn Error>> {
    let (authority, pem) = authority()?;
    fs::write(root, pem)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    // by its default name it would look as if it had signed itself
    params.distinguished_name.push(DnType::CommonName, "localhost");
    let certificate = params.signed_by(&key, &authority)?;
    fs::write(folder.join("server.crt"), certificate.pem())?;
    fs::write(folder.join("server.key"), key.serialize_pem())?;
    // the server refuses a key that others may read
    Ok(fs::set_permissions(folder.join("server.key"), fs::Permissions::from_mode(0o600))?)
}

/// Whoever signs, and its certificate.
pub(super) fn authority() -> Result<(Issuer<'static, KeyPair>, String), Box<dyn Error>> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key)?.pem();
    Ok((Issuer::new(params, key), certificate))
}
