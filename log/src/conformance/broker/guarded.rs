//! A broker whose users may do only what they were allowed.

use super::{Broker, tool};

/// What is added to the settings.
const SETTINGS: &str = include_str!("guarded.properties");
/// Everyone's password.
const PASSWORD: &str = "secret";

/// A broker of its own with access control lists, whose users are known by PLAIN.
#[derive(Debug)]
pub struct Guarded {
    /// Where it asks who one is: `host:port`.
    pub address: String,
    /// The password of each user.
    pub password: &'static str,
    broker: Broker,
}

impl Guarded {
    /// Starts one that knows these users. They may do nothing yet.
    ///
    /// # Errors
    /// There is nothing to start.
    pub fn start(users: &[&str]) -> Result<Self, String> {
        let port = super::free_ports(1)?[0];
        let users: Vec<_> = users.iter().map(|user| format!("user_{user}=\"{PASSWORD}\"")).collect();
        let settings = SETTINGS.replace("{sasl}", &port.to_string()).replace("{users}", &users.join(" "));
        let broker = Broker::own_with(&settings)?;
        Ok(Self { address: format!("127.0.0.1:{port}"), password: PASSWORD, broker })
    }

    /// Where it asks nothing, and everything is allowed.
    #[must_use]
    pub fn open(&self) -> &str {
        self.broker.brokers()
    }

    /// Allows users to do this with what `resource` names, as Kafka's own tool takes it.
    ///
    /// # Errors
    /// What the tool said.
    pub fn allow(&self, users: &[&str], resource: &[&str], operations: &[&str]) -> Result<(), String> {
        let mut allow = tool("org.apache.kafka.tools.AclCommand")?;
        allow.args(["--bootstrap-server", self.open(), "--add", "--force"]).args(resource);
        for user in users {
            allow.args(["--allow-principal", &format!("User:{user}")]);
        }
        for operation in operations {
            allow.args(["--operation", operation]);
        }
        let output = allow.output().map_err(|e| e.to_string())?;
        let told = [output.stdout, output.stderr].concat();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&told).into_owned()) }
    }
}
