//! A broker that asks who one is, and speaks TLS.

use super::Broker;
use crate::conformance::encrypted::{authority, sign};
use crate::conformance::shell::folder;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

/// What is added to the settings.
const SETTINGS: &str = include_str!("secured.properties");
/// Whoever may connect.
const USER: &str = "weir";
/// The password.
const PASSWORD: &str = "correct horse";

/// A broker of its own, whose certificate is for `localhost`. It knows one user, by PLAIN and by SCRAM.
#[derive(Debug)]
pub struct Secured {
    /// Where it speaks TLS: `host:port`.
    pub tls: String,
    /// Where it does not, but asks who one is.
    pub plaintext: String,
    /// Where it asks nothing.
    pub open: String,
    /// The root that its certificate is signed by.
    pub root: PathBuf,
    /// Another root.
    pub other_root: PathBuf,
    /// The user that it knows.
    pub user: &'static str,
    /// The user's password.
    pub password: &'static str,
    folder: PathBuf,
    _broker: Broker,
}

impl Secured {
    /// Starts one.
    ///
    /// # Panics
    /// If there is nothing to start.
    pub fn start() -> Self {
        Self::try_start().unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_start() -> Result<Self, Box<dyn Error>> {
        let folder = folder("weir-kafka-keys")?;
        let (root, other_root) = (folder.join("root.crt"), folder.join("other.crt"));
        sign(&folder, &root)?;
        fs::write(&other_root, authority()?.1)?;
        // as the broker wants them: the key and the certificate in one file
        let pem =
            fs::read_to_string(folder.join("server.key"))? + &fs::read_to_string(folder.join("server.crt"))?;
        fs::write(folder.join("server.pem"), pem)?;
        let ports = super::free_ports(2)?;
        let settings = SETTINGS
            .replace("{tls}", &ports[0].to_string())
            .replace("{sasl}", &ports[1].to_string())
            .replace("{keys}", &folder.display().to_string())
            .replace("{user}", USER)
            .replace("{password}", PASSWORD);
        let broker = Broker::own_with(&settings)?;
        let open = broker.brokers().to_owned();
        let (tls, plaintext) = (format!("localhost:{}", ports[0]), format!("127.0.0.1:{}", ports[1]));
        let secured = Self {
            tls,
            plaintext,
            open,
            root,
            other_root,
            user: USER,
            password: PASSWORD,
            folder,
            _broker: broker,
        };
        // it takes one at a time
        secured.know_user("SCRAM-SHA-256")?;
        secured.know_user("SCRAM-SHA-512")?;
        Ok(secured)
    }

    /// Tells the broker the user's secret for a mechanism.
    fn know_user(&self, mechanism: &str) -> Result<(), Box<dyn Error>> {
        let output = super::tool("kafka.admin.ConfigCommand")?
            .args(["--bootstrap-server", &self.open, "--alter", "--add-config"])
            .arg(format!("{mechanism}=[password={PASSWORD}]"))
            .args(["--entity-type", "users", "--entity-name", USER])
            .output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(()) } else { Err(format!("the user is not made: {told}").into()) }
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}
