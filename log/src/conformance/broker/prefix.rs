//! Topics of a case's own on the broker that cases share.

use super::{Broker, tool};
use crate::conformance::shell::fresh_name;
use std::process::Command;

/// A name for topics that nobody else has, removed at the end with what bears it.
#[derive(Debug)]
pub struct Prefix {
    broker: &'static Broker,
    name: String,
}

impl Prefix {
    /// A name that nobody else has.
    pub fn fresh() -> Self {
        Self { broker: Broker::shared(), name: fresh_name('-') }
    }

    /// Likewise, on a broker that compacts at once.
    ///
    /// # Panics
    /// If the broker does not take that.
    pub async fn compacting() -> Self {
        let prefix = Self::fresh();
        prefix.broker.compact_at_once().await.unwrap_or_else(|why| panic!("{why}"));
        prefix
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What Kafka calls a topic of the log.
    #[must_use]
    pub fn topic(&self, name: &str) -> String {
        format!("{}_{name}", self.name)
    }

    /// Where its topics are.
    #[must_use]
    pub fn brokers(&self) -> &str {
        self.broker.brokers()
    }

    /// One of Kafka's own programs, by the name of its class, that works with these brokers.
    ///
    /// # Panics
    /// If there is no Java or no Maven here.
    pub fn tool(&self, class: &str) -> Command {
        let mut command = tool(class).unwrap_or_else(|why| panic!("{why}"));
        command.args(["--bootstrap-server", self.brokers()]);
        command
    }
}

impl Drop for Prefix {
    fn drop(&mut self) {
        let (broker, name) = (self.broker, self.topic(""));
        // a runtime must not be blocked on inside of another one
        let removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|e| e.to_string())?.block_on(broker.remove(&name))
        });
        if let Ok(Err(error)) = removed.join() {
            tracing::warn!(error, prefix = self.name, "topics stay behind");
        }
    }
}
